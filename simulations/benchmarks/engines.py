"""How fast clients are trained: fedrec's engines, Flower's simulation, pfl and others on the same work, interleaved.

`python -m simulations.benchmarks.engines`, or `fedrec bench engines`, prints a table of medians and ratios; with
`--json`, every single time. Every rival is started once, warmed up with one round, and then has its turn in every
repetition, alone on the machine: slow and fast minutes of the machine meet all rivals alike. A thread a worker.
What was measured is on disk at once (see `engines_kept`), so that an interrupted benchmark goes on where it stopped.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from fedrec.errors import ConfigError
from fedrec.progress import Progress
from fedrec.reporting.environment import environment
from fedrec.threads import one_thread
from simulations.benchmarks.engines_cases import CASES, CORES, SMALL_CASES, Heat, Settings
from simulations.benchmarks.engines_kept import Answer, Kept
from simulations.benchmarks.engines_times import limit_of, measures, ratios, turns

AGREE = 1e-3
"""Relative difference of the lengths of two rivals' aggregated changes, up to which they did the same work."""


def bench(cases: Sequence[str], asked: Settings, progress: Progress, folder: Path) -> dict[str, Any]:
    """Run cases and return what was measured.

    Args:
        cases: Names of `CASES`; if empty all, or `SMALL_CASES` if small.
        asked: How.
        progress: Told of all work.
        folder: Where answers are kept; those of the same settings, machine and versions are not asked for again.

    Returns:
        The whole run: `settings`, `cores`, `environment`, `kept` (the file of the answers), and `cases`, name ->
        `about` and `heats` (see `heat_result`).

    Raises:
        ConfigError: If there is no such case.
        FedrecError: If a rival breaks down.
    """
    if unknown := sorted(set(cases) - CASES.keys()):
        message = f"no case {', '.join(unknown)}; there are {', '.join(CASES)}"
        raise ConfigError(message)
    about = {
        "benchmark": "engines",
        "settings": {
            **vars(asked),
            "pfl": None if asked.pfl is None else str(asked.pfl),
            "rivals": list(asked.rivals),
        },
        "cores": CORES,
        "environment": environment(),
    }
    kept, results = Kept.at(folder, about), {}
    for name in cases or (SMALL_CASES if asked.small else CASES):
        with tempfile.TemporaryDirectory(prefix="fedrec-bench-") as place, one_thread():
            heats = [run_heat(name, heat, asked, progress, kept) for heat in CASES[name](asked, Path(place), progress)]
        results[name] = {"about": CASES[name].__doc__, "heats": heats}
    return {**about, "kept": str(kept.path), "cases": results}


def run_heat(case: str, heat: Heat, asked: Settings, progress: Progress, kept: Kept) -> dict[str, Any]:
    """Start the rivals that have repetitions left, warm them up, let them take turns, and return all times."""
    label = f"{case}: {heat.title}"
    repeats = {name: min(asked.repeats, heat.most.get(name, asked.repeats)) for name in heat.rivals}
    had = {name: len(kept.answers(label, name)) for name in repeats}
    left = [(repetition, name) for repetition, name in turns(repeats) if repetition > had[name]]
    waiting = [name for name in repeats if had[name] < repeats[name]]
    total, load = len(left) + 2 * len(waiting), list(os.getloadavg())
    with ExitStack() as stack:
        players, begun = {}, {}
        for done, name in enumerate(waiting):
            progress(label, 2 * done, total, f"starting {name}")
            began = time.perf_counter()
            players[name] = stack.enter_context(heat.rivals[name])
            begun[name] = time.perf_counter() - began
            players[name].play(1)
        for done, (repetition, name) in enumerate(left, 2 * len(waiting)):
            progress(label, done, total, name)
            ready: Answer = getattr(players[name], "ready", {})
            kept.add(label, name, {**players[name].play(repetition + 1), **ready, "start_s": begun[name]})
        progress(label, total, total)
    answers = {name: kept.answers(label, name) for name in repeats}
    return {**heat_result(heat, answers), "load_before": load}


def heat_result(heat: Heat, answers: Mapping[str, Sequence[Answer]]) -> dict[str, Any]:
    """Return a heat's result.

    Returns:
        `title`, `clients` of a round, `facts`, `limit` (the central rival that is it, or None), `same_work` (see there)
        and `rivals`: name -> `seconds` of each repetition, `median_s`, `clients_per_s`, `ms_per_client`, `ratios`
        (reference -> how many times as fast), `start_s`, `peak_mb_above_start` (None where not told), and `told`, the
        last answer.
    """
    found = {
        name: {**measures([one["seconds"] for one in own], heat.clients), **_start(own[-1])}
        for name, own in answers.items()
    }
    medians = {name: own["median_s"] for name, own in found.items()}
    beside = ratios(medians, heat.against)
    return {
        "title": heat.title,
        "clients": heat.clients,
        "facts": dict(heat.facts),
        "limit": limit_of(medians),
        "same_work": same_work(answers.values()),
        "rivals": {name: {**own, "ratios": beside[name], "told": answers[name][-1]} for name, own in found.items()},
    }


def _start(last: Answer) -> dict[str, float | None]:
    above = last["peak_mb"] - last["before_mb"] if "peak_mb" in last else None
    return {"start_s": last.get("start_s"), "peak_mb_above_start": above}


def same_work(answers: Iterable[Sequence[Answer]]) -> bool | None:
    """Return whether all who tell of their aggregated change's length agree in every round; None if no two tell."""
    norms = [[answer["update_norm"] for answer in own] for own in answers if own and "update_norm" in own[0]]
    if len(norms) < 2:
        return None
    rounds = [[own[place] for own in norms if place < len(own)] for place in range(max(map(len, norms)))]
    return all(max(told) - min(told) <= AGREE * max(told) for told in rounds)


if __name__ == "__main__":
    from fedrec.__main__ import main

    sys.argv[1:1] = ["bench", "engines"]
    main()
