"""Which trials a sweep runs where their number is drawn in secret, so that only the best has to be paid for.

The draws are those of `fedrec.privacy.accounting.tuning`, which prices them: how many, by a named law, and for each
trial a setting picked uniformly, with replacement. All follow from one secret key by name, so that a sweep that was
interrupted goes on with the same trials.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fedrec.core.errors import ConfigError
from fedrec.core.seeding import rng_for
from fedrec.privacy.accounting.tuning import surprise_of_logarithmic

DEFAULT_LAW = "logarithmic"
"""The cheapest of the laws."""

MOST_TRIALS = 10_000.0
"""Largest mean: beyond it nobody waits for the end."""


@dataclass(frozen=True)
class Draw:
    """How many trials are expected, at least 1, and by which law their number is drawn: one of `NUMBERS`.

    Raises:
        ConfigError: If the mean or the law is out of range.
    """

    mean: float
    law: str = DEFAULT_LAW

    def __post_init__(self) -> None:
        if self.law not in NUMBERS or not 1 <= self.mean <= MOST_TRIALS:
            message = (
                f"the number of trials cannot be drawn by the {self.law} law with mean {self.mean:g}; the law is one "
                f"of {', '.join(NUMBERS)}, the mean between 1 and {MOST_TRIALS:g}"
            )
            raise ConfigError(message)


def picks(draw: Draw, settings: int, key: int) -> list[int]:
    """Return the setting of each trial, by its place in the grid; none where a Poisson number is 0.

    Args:
        draw: How many.
        settings: In the grid, at least 1.
        key: Secret: whoever has it knows how many trials there were.
    """
    number = NUMBERS[draw.law](rng_for(key, "number of trials"), draw.mean)
    found: list[int] = rng_for(key, "settings of trials").integers(settings, size=number).tolist()
    return found


def _poisson(rng: np.random.Generator, mean: float) -> int:
    return int(rng.poisson(mean))


def _geometric(rng: np.random.Generator, mean: float) -> int:
    return int(rng.geometric(1 / mean))


def _logarithmic(rng: np.random.Generator, mean: float) -> int:
    return int(rng.logseries(-np.expm1(-surprise_of_logarithmic(mean))))


NUMBERS: Mapping[str, Callable[[np.random.Generator, float], int]] = MappingProxyType(
    {"poisson": _poisson, "geometric": _geometric, "logarithmic": _logarithmic}
)
"""By law: a generator and the mean -> a number of trials. The names are those of `tuning.LAWS`."""
