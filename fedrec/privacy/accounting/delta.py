"""Which delta means anything: always below 1 / n, and by default at most a hundredth of it."""

import math

from fedrec.core.errors import PrivacyError

UNDECLARED = 100
"""Units that a delta is judged by where nobody says how many there are: few data sets have fewer."""


def default_delta(units: int) -> float:
    """Return min(n^-1.1, 0.01 / n) for n units, at least 1.

    A mechanism that publishes one of n units whole, drawn at random, has delta 1 / n, and the chance that somebody is
    hit by a failure that bad is up to n delta: a hundredth of 1 / n keeps it at 0.01. n^-1.1, which others use, takes
    over where it is smaller still: above 10^20 units.
    """
    return min(math.pow(units, -1.1), 0.01 / units)


def too_large(delta: float, units: float) -> str:
    """Return why a delta promises nothing to so many units; empty if it does.

    Args:
        delta: Chance of failure.
        units: How many there are, or fewer where the number is not known yet; fewer than 1 count as 1.
    """
    if delta < 1 / max(units, 1):
        return ""
    return f"delta {delta:g} is not below 1/n for n={units:g} units, which would allow publishing one whole"


def delta_for(given: float | None, units: int, key: str = "privacy.delta") -> float:
    """Return the given delta or the default.

    Args:
        given: What the experiment says; None for the default.
        units: How many there are to protect.
        key: Where the experiment says it.

    Raises:
        PrivacyError: If it is not below 1 / n, or there is nobody.
    """
    delta = given if given is not None else default_delta(max(units, 1))
    if reason := too_large(delta, units) or ("there are n=0 units to protect" if not units else ""):
        message = f"{reason}; set a smaller {key}, or take more units"
        raise PrivacyError(message)
    return delta
