"""A competitor's own process: `python -m simulations.benchmarks.engines.child SPEC`, SPEC in JSON.

It says in a line of JSON that it is ready, then reads numbers of rounds from standard input, a line each, and answers
each with a line: `seconds`, `peak_mb`, and what its act tells. The end of the input ends it. `act` names what it does,
see `ACTS`; round 1 is the warm-up. Whatever anybody else prints goes to standard error.
"""

import json
import os
import resource
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch

from simulations.benchmarks.engines import federate, local, trivial
from simulations.benchmarks.engines.federate import Play

ACTS: Mapping[str, Callable[..., None]] = {
    "engine": federate.engine,
    "one at a time": local.one_at_a_time,
    "central": local.central,
    "vectorised": local.vectorised,
    "trivial": trivial.engine,
}


def main() -> None:
    """Do what the command line says."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    spec = json.loads(sys.argv[1])
    try:
        ACTS[spec.pop("act")](partial(_serve, out, peak_mb()), **spec)
    except Exception as error:
        _say(out, {"error": f"{type(error).__name__}: {error}"})
        raise


def _serve(out: TextIO, before_mb: float, run_round: Play) -> None:
    _say(out, {"before_mb": before_mb})
    for line in sys.stdin:
        _say(out, {**run_round(int(line)), "peak_mb": peak_mb()})


def _say(out: TextIO, answer: Mapping[str, Any]) -> None:
    out.write(json.dumps(answer) + "\n")
    out.flush()


def peak_mb() -> float:
    """Return the most memory that this process held so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage tells Linux' children of their parent's peak, too
        words = status.read_text(encoding="utf-8").split()
        return int(words[words.index("VmHWM:") + 1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024


if __name__ == "__main__":
    main()
