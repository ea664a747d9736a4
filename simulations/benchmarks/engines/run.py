"""How fast clients are trained: fedrec's engines, Flower's simulation, pfl and others on the same work, interleaved.

`python -m simulations.benchmarks.engines.run`, or `fedrec bench engines`, prints a table of medians and ratios; with
`--json`, every single time. Every competitor is started once, warmed up with one round, and then has its turn in every
repetition, alone on the machine: slow and fast minutes of the machine meet all competitors alike. A thread a worker.
What was measured is on disk at once (see `kept`), so that an interrupted benchmark goes on where it stopped.
A competitor that fails is left out from then on; the others go on, and a second start tries it again.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fedrec.core.errors import ConfigError, FedrecError
from fedrec.core.progress import Progress
from fedrec.core.threads import one_thread
from fedrec.run.environment import environment
from simulations.benchmarks.engines.cases import CASES, CORES, SMALL_CASES, Comparison, Settings
from simulations.benchmarks.engines.competitors import Competitor
from simulations.benchmarks.engines.kept import Kept, Measurement
from simulations.benchmarks.engines.pfl import check_environment
from simulations.benchmarks.engines.times import limit_of, measures, ratios, turns

AGREE = 1e-3
"""Relative difference of the lengths of two competitors' aggregated changes, up to which they did the same work."""


def bench(cases: Sequence[str], asked: Settings, progress: Progress, folder: Path) -> dict[str, Any]:
    """Run cases and return what was measured.

    Args:
        cases: Names of `CASES`; if empty all, or `SMALL_CASES` if small.
        asked: How.
        progress: Called for all work.
        folder: Where answers are kept; those of the same settings, machine and versions are not asked for again.

    Returns:
        The whole run: `settings`, `cores`, `environment`, `kept` (the file of the answers), and `cases`, name ->
        `about` and `comparisons` (see `run_comparison`).

    Raises:
        ConfigError: If there is no such case, or pfl's environment lacks something.
    """
    if unknown := sorted(set(cases) - CASES.keys()):
        message = f"no case {', '.join(unknown)}; there are {', '.join(CASES)}"
        raise ConfigError(message)
    if asked.pfl is not None:
        check_environment(asked.pfl)
    about = {
        "benchmark": "engines",
        "settings": {
            **vars(asked),
            "pfl": None if asked.pfl is None else str(asked.pfl),
            "competitors": list(asked.competitors),
        },
        "cores": CORES,
        "environment": environment(),
    }
    kept, results = Kept.at(folder, about), {}
    for name in cases or (SMALL_CASES if asked.small else CASES):
        with tempfile.TemporaryDirectory(prefix="fedrec-bench-") as place, one_thread():
            comparisons = [
                run_comparison(name, comparison, asked, progress, kept)
                for comparison in CASES[name](asked, Path(place), progress)
            ]
        results[name] = {"about": CASES[name].__doc__, "comparisons": comparisons}
    return {**about, "kept": str(kept.path), "cases": results}


def run_comparison(
    case: str, comparison: Comparison, asked: Settings, progress: Progress, kept: Kept
) -> dict[str, Any]:
    """Start the competitors that have repetitions left, warm them up, let them take turns, and return all times.

    Returns:
        `comparison_result`'s of those that were measured, with `load_before`, and `failed`: competitor -> what it
        failed with, empty if none did.
    """
    label = f"{case}: {comparison.title}"
    repeats = {name: min(asked.repeats, comparison.most.get(name, asked.repeats)) for name in comparison.competitors}
    had = {name: len(kept.answers(label, name)) for name in repeats}
    left = [(repetition, name) for repetition, name in turns(repeats) if repetition > had[name]]
    waiting = [name for name in repeats if had[name] < repeats[name]]
    total, load = len(left) + 2 * len(waiting), list(os.getloadavg())
    with ExitStack() as stack:
        running = _Running(stack)
        for done, name in enumerate(waiting):
            progress(label, 2 * done, total, f"starting {name}")
            running.start(name, comparison.competitors[name])
        for done, (repetition, name) in enumerate(left, 2 * len(waiting)):
            progress(label, done, total, name)
            if (answer := running.run_round(name, repetition + 1)) is not None:
                kept.add(label, name, answer)
        progress(label, total, total)
    answers = {name: own for name in repeats if (own := kept.answers(label, name))}
    return {**comparison_result(comparison, answers), "load_before": load, "failed": running.failed}


class _Running:
    """The competitors that are started and have not failed.

    Args:
        stack: Ends them all.

    Attributes:
        failed: Competitor -> what it failed with. It is ended at once, so that it takes no time from the others.
    """

    def __init__(self, stack: ExitStack) -> None:
        self.failed: dict[str, str] = {}
        self._stack = stack
        self._ready: dict[str, tuple[Competitor, Measurement]] = {}
        self._own: dict[str, ExitStack] = {}

    def start(self, name: str, competitor: AbstractContextManager[Competitor]) -> None:
        """Start a competitor and warm it up."""
        self._own[name] = self._stack.enter_context(ExitStack())
        with self._watched(name):
            began = time.perf_counter()
            started = self._own[name].enter_context(competitor)
            told = {**getattr(started, "ready", {}), "start_s": time.perf_counter() - began}
            started.run_round(1)
            self._ready[name] = (started, told)

    def run_round(self, name: str, number: int) -> Measurement | None:
        """Return what a competitor tells of a round; None if it fails, or has failed before."""
        with self._watched(name):
            if name in self._ready:
                competitor, told = self._ready[name]
                return {**competitor.run_round(number), **told}
        return None

    @contextmanager
    def _watched(self, name: str) -> Iterator[None]:
        try:
            yield
        except FedrecError as error:
            self.failed[name] = str(error)
            self._ready.pop(name, None)
            self._own[name].__exit__(type(error), error, error.__traceback__)


def comparison_result(comparison: Comparison, answers: Mapping[str, Sequence[Measurement]]) -> dict[str, Any]:
    """Return the result of a comparison; whoever has no answer is left out of `answers`.

    Returns:
        `title`, `clients` of a round, `facts`, `limit` (the central competitor that is it, or None), `same_work` (see
        there) and `competitors`: name -> `seconds` of each repetition, `median_s`, `clients_per_s`, `ms_per_client`,
        `ratios` (reference -> how many times as fast), `start_s`, `peak_mb_above_start` (None where not told), and
        `told`, the last answer.
    """
    found = {
        name: {**measures([one["seconds"] for one in own], comparison.clients), **_start(own[-1])}
        for name, own in answers.items()
    }
    medians = {name: own["median_s"] for name, own in found.items()}
    beside = ratios(medians, comparison.against)
    return {
        "title": comparison.title,
        "clients": comparison.clients,
        "facts": dict(comparison.facts),
        "limit": limit_of(medians),
        "same_work": same_work(answers.values()),
        "competitors": {
            name: {**own, "ratios": beside[name], "told": answers[name][-1]} for name, own in found.items()
        },
    }


def _start(last: Measurement) -> dict[str, float | None]:
    above = last["peak_mb"] - last["before_mb"] if "peak_mb" in last else None
    return {"start_s": last.get("start_s"), "peak_mb_above_start": above}


def same_work(answers: Iterable[Sequence[Measurement]]) -> bool | None:
    """Return whether all who tell of their aggregated change's length agree in every round; None if no two tell."""
    norms = [[answer["update_norm"] for answer in own] for own in answers if own and "update_norm" in own[0]]
    if len(norms) < 2:
        return None
    rounds = [[own[place] for own in norms if place < len(own)] for place in range(max(map(len, norms)))]
    return all(max(told) - min(told) <= AGREE * max(told) for told in rounds)


def failures(result: Mapping[str, Any]) -> str:
    """Return in words which competitors of a benchmark's result failed, and with what; "" if none did."""
    found = [
        f"{case}, {comparison['title']}: {name}: {reason}"
        for case, told in result["cases"].items()
        for comparison in told["comparisons"]
        for name, reason in comparison["failed"].items()
    ]
    if not found:
        return ""
    head = "competitors that failed (what was measured is shown and kept; the same command tries them again):"
    return "\n".join([head, *found])


if __name__ == "__main__":
    from fedrec.__main__ import main

    sys.argv[1:1] = ["bench", "engines"]
    main()
