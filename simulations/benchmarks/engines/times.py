"""The arithmetic of the engines' benchmark: whose turn it is, medians, ratios."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

LIMIT = "limit"
"""The best of the competitors whose name starts with `CENTRAL`: what the same examples cost without any federation."""

CENTRAL = "central-"


def turns(repeats: Mapping[str, int]) -> Iterator[tuple[int, str]]:
    """Yield (repetition, competitor), the competitors in turn; who has done all of its repetitions is passed over.

    Args:
        repeats: Repetitions of each competitor, which go from 1.
    """
    for repetition in range(1, max(repeats.values(), default=0) + 1):
        yield from ((repetition, competitor) for competitor, own in repeats.items() if repetition <= own)


def measures(seconds: Sequence[float], clients: int) -> dict[str, Any]:
    """Return a competitor's times and what they come to.

    Args:
        seconds: Of each repetition, at least one.
        clients: Clients, or sequences, of one.
    """
    middle = median(seconds)
    return {
        "seconds": list(seconds),
        "median_s": middle,
        "clients_per_s": clients / middle,
        "ms_per_client": 1000 * middle / clients,
    }


def ratios(medians: Mapping[str, float], against: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return competitor -> reference -> how many times as fast as the reference the competitor is.

    Args:
        medians: Seconds of each competitor.
        against: References: competitors, or `LIMIT`; one that did not run is left out, and nobody is put beside itself.
    """
    known = {**medians, **({LIMIT: medians[best]} if (best := limit_of(medians)) else {})}
    return {
        competitor: {name: known[name] / own for name in against if name in known and name != competitor}
        for competitor, own in medians.items()
    }


def limit_of(medians: Mapping[str, float]) -> str | None:
    """Return the fastest way of central training; None if there is none."""
    central = [name for name in medians if name.startswith(CENTRAL)]
    return min(central, key=lambda name: medians[name]) if central else None
