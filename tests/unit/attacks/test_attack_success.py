"""What no attack can beat, and how success is written, read, listed and drawn."""

import json
import math

import pytest

from fedrec.attacks.ceiling import auc_ceiling, tpr_ceiling
from fedrec.attacks.success import OperatingPoint, Success, exact
from fedrec.core.errors import ConfigError
from fedrec.evaluation.statistics.significance import Interval
from fedrec.experiment.config import Experiment, canonical_json
from fedrec.experiment.privacy import PrivacyConfig
from fedrec.reporting.attacks.page import measures_of, render_attacks, table
from simulations.attacks.curve import at_epsilon, read_epsilons

FOUND = Success(
    attack="recovery",
    experiment="tiny <b>",
    fingerprint="abc",
    toml="seed = 0",
    adversary="The server & nobody else.",
    points=[
        OperatingPoint(1.0, 0.5, 1e-5, {"auc": {"popularity": exact(0.8), "round_result": Interval(0.55, 0.5, 0.6)}}),
        OperatingPoint(math.inf, math.inf, 0.0, {"auc": {"update": Interval(0.9, 0.8, 1.0), "popularity": exact(0.8)}}),
    ],
)


def test_the_ceiling_of_the_true_positive_rate_by_hand():
    assert tpr_ceiling(0.01, 0.0, 0.0) == pytest.approx(0.01)  # nothing can be told
    assert tpr_ceiling(0.01, 1.0, 1e-3) == pytest.approx(math.e * 0.01 + 1e-3)
    # e^8 * 0.01 is far above 1, and from the other side: 1 - e^-8 * (1 - 0.01)
    assert tpr_ceiling(0.01, 8.0, 0.0) == pytest.approx(1 - math.exp(-8) * 0.99)
    assert tpr_ceiling(0.01, math.inf, 0.0) == tpr_ceiling(0.01, 1e4, 0.0) == 1.0
    assert tpr_ceiling(1.0, 0.5, 0.1) == 1.0


def test_the_ceiling_of_the_area_is_that_under_the_rates():
    assert auc_ceiling(0.0, 0.0) == 0.5
    assert auc_ceiling(math.inf, 0.0) == 1.0
    assert auc_ceiling(1e4, 0.0) == pytest.approx(1.0)
    for epsilon, delta in ((0.5, 0.0), (1.0, 0.1), (4.0, 1e-3)):
        steps = 20_000
        area = sum(tpr_ceiling((step + 0.5) / steps, epsilon, delta) for step in range(steps)) / steps
        assert auc_ceiling(epsilon, delta) == pytest.approx(area, abs=1e-6)


def test_success_is_read_as_it_was_written():
    read = Success.from_json(json.loads(canonical_json(FOUND.to_json())))
    assert canonical_json(read.to_json()) == canonical_json(FOUND.to_json())
    assert read.points[1].epsilon == math.inf
    assert math.isnan(read.points[0].measures["auc"]["popularity"].low)


def test_a_line_that_is_not_seen_at_every_epsilon_is_a_dash_there():
    head, rows = table(FOUND, "auc")
    assert head == ["epsilon", "spent", "delta", "round result", "update", "popularity"]
    assert rows == [
        ["1.000", "0.500", "1e-05", "0.550 [0.500, 0.600]", "—", "0.800"],
        ["∞", "∞", "0", "—", "0.900 [0.800, 1.000]", "0.800"],
    ]
    assert measures_of(FOUND) == ["auc"]


def test_the_page_shows_every_attack_and_escapes_what_it_is_told():
    page = render_attacks([FOUND, Success("membership", "tiny", "abc", "", "Somebody.", [])])
    assert "Which items has this user?" in page
    assert "Was this user trained on?" in page
    assert "tiny &lt;b&gt;" in page
    assert "0.550 [0.500, 0.600]" in page
    assert "://" not in page.split("<script>")[0]


@pytest.mark.parametrize("text", ["0", "1,-2", "nan", "", "1,,2", "one"])
def test_an_epsilon_that_is_no_number_above_0_is_refused(text):
    with pytest.raises(ConfigError, match="numbers above 0"):
        read_epsilons(text)


def test_epsilons_are_taken_once_and_in_order():
    assert read_epsilons("inf, 8,1,8.0") == [1.0, 8.0, math.inf]


def test_noise_that_is_given_leaves_no_epsilon_to_vary():
    with pytest.raises(ConfigError, match="fixes the noise"):
        at_epsilon(Experiment(privacy=PrivacyConfig(noise_multiplier=1.0)), 8.0)
