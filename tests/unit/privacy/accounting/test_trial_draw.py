"""How many trials, and which: the laws by chi-square tests under fixed keys, and the awkward means."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare, geom, logser, poisson

from fedrec.core.errors import ConfigError
from fedrec.privacy.accounting.trial_draw import NUMBERS, Draw, picks
from fedrec.privacy.accounting.tuning import LAWS

KEYS = range(4000)
ENOUGH = 1e-3
"""Chance of a true law to fail one test; the keys are fixed, so it passes for ever or not at all."""


def chances(law: str, mean: float, most: int) -> np.ndarray:
    """Return the chance of 0, 1, ..., `most` trials, by scipy, and of more."""
    if law == "logarithmic":
        # p with -p / ((1 - p) log(1 - p)) = mean: (e^x - 1) / x for x = -log(1 - p); 5 at x = 2.66...
        x = {5.0: 2.6603, 2.0: 1.2564}[mean]
        assert math.expm1(x) / x == pytest.approx(mean, rel=1e-4)
        named = logser(-math.expm1(-x))
    else:
        named = {"poisson": poisson(mean), "geometric": geom(1 / mean)}[law]
    single = named.pmf(np.arange(most + 1))
    return np.append(single, 1 - single.sum())


@pytest.mark.parametrize("law", NUMBERS)
@pytest.mark.parametrize("mean", [2.0, 5.0])
def test_numbers_follow_their_law(law: str, mean: float) -> None:
    most = 8
    seen = Counter(min(len(picks(Draw(mean, law), 3, key)), most + 1) for key in KEYS)
    expected = chances(law, mean, most) * len(KEYS)
    there = expected > 0
    found = np.array([seen[number] for number in range(most + 2)])
    assert found[~there].sum() == 0, "a law that begins with 1 never gives 0"
    assert chisquare(found[there], expected[there]).pvalue > ENOUGH


def test_settings_are_uniform_and_trials_do_not_tell_of_each_other() -> None:
    drawn = [picks(Draw(5.0, "geometric"), 3, key) for key in KEYS]
    counts = Counter(place for trial in drawn for place in trial)
    assert chisquare([counts[place] for place in range(3)]).pvalue > ENOUGH
    pairs = Counter((trial[0], trial[1]) for trial in drawn if len(trial) > 1)
    assert chisquare([pairs[one, other] for one in range(3) for other in range(3)]).pvalue > ENOUGH
    # neither does how many there are: first picks of short and of long draws
    short = Counter(trial[0] for trial in drawn if len(trial) == 1)
    assert chisquare([short[place] for place in range(3)]).pvalue > ENOUGH


def test_one_key_is_one_draw_and_another_key_another() -> None:
    assert picks(Draw(20.0), 7, 1) == picks(Draw(20.0), 7, 1)
    assert len({tuple(picks(Draw(20.0), 7, key)) for key in range(20)}) > 15


def test_a_mean_of_one_is_one_trial_but_for_poisson() -> None:
    for law in ("geometric", "logarithmic"):
        assert {len(picks(Draw(1.0, law), 2, key)) for key in range(50)} == {1}
    assert 0 in {len(picks(Draw(1.0, "poisson"), 2, key)) for key in range(50)}, "e^-1 of them draw none"


def test_every_law_with_a_price_can_be_drawn_and_no_other() -> None:
    assert set(NUMBERS) == set(LAWS)
    for mean, law in ((0.5, "poisson"), (math.inf, "poisson"), (math.nan, "geometric"), (5.0, "normal")):
        with pytest.raises(ConfigError, match="the law is one of poisson, geometric, logarithmic, the mean between 1"):
            Draw(mean, law)
