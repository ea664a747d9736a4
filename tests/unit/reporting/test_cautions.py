"""When a run's numbers say less than they seem to, and what is then said."""

import numpy as np
import pytest

from fedrec.data.split import Cases
from fedrec.evaluation.statistics.significance import least_p_value, margin, paired_test
from fedrec.privacy.disclosure import PRIVATE, PUBLIC
from fedrec.reporting.cautions import cautions, few_users, same_targets, small_catalogue, without_times

WORDS = {"last": "the last item", "last20": "the last 20 %"}


def cases(*targets: list[int], name: str = "last") -> Cases:
    """One user for each list of targets; what they were ranked from does not matter."""
    users = np.arange(len(targets))
    return Cases(name, users, [np.array([0])] * len(targets), [np.array(one) for one in targets], 0, WORDS[name])


def test_hoeffdings_margin_by_hand() -> None:
    # sqrt(ln(2 / 0.05) / (2 * 8)) = sqrt(3.689 / 16) = 0.480
    assert margin(8) == pytest.approx(0.480, abs=5e-4)
    assert margin(32) == pytest.approx(margin(8) / 2)
    assert margin(1) == 1.0  # 1.36 is more than any metric


@pytest.mark.parametrize("users", [1, 2, 5, 6, 12])
def test_the_least_p_value_is_what_the_test_gives_when_all_users_agree(users: int) -> None:
    gains = np.linspace(0.1, 0.5, users)
    assert paired_test(gains, np.zeros(users)) == pytest.approx(least_p_value(users))


def test_few_test_users_are_told_what_they_cannot_show() -> None:
    two = few_users(2)
    # sqrt(3.689 / 4) = 0.96; of two users that agree 2 / 2^2 = 0.5
    assert two.startswith("Only 2 test users could be ranked. A mean over so few may be off by up to 0.96")
    assert "No paired test of so few can give p below 0.5." in two
    assert "p below 0.062." in few_users(5)  # 2 / 2^5
    assert "p below" not in few_users(6)  # 2 / 2^6 = 0.031
    assert few_users(1).startswith("Only 1 test user could be ranked.")
    assert "0.25" in few_users(29)
    assert few_users(30) == few_users(0) == ""


@pytest.mark.parametrize(
    ("items", "cutoffs", "expected"),
    [
        (12, (5, 10, 20), "lists of 10 and 20 hold at least 83 % and 100 % of it"),  # 10 / 12, and more than all
        (20, (5, 10), "lists of 10 hold at least 50 % of it"),
        (10, (10,), "lists of 10 hold at least 100 % of it"),
        (21, (5, 10), ""),
    ],
)
def test_lists_that_hold_half_of_the_catalogue_are_no_test(items: int, cutoffs: tuple[int, ...], expected: str) -> None:
    found = small_catalogue(items, cutoffs)
    assert expected in found
    assert bool(found) == bool(expected)


def test_targets_that_are_the_same_for_everybody_are_one_measurement() -> None:
    same = {"last": cases([3], [4]), "last20": cases([3], [4], name="last20")}
    assert same_targets(same).startswith('For every test user "the last item" and "the last 20 %" are the same items')
    assert same_targets({"last": cases([3], [4]), "last20": cases([3], [1, 4])}) == ""
    assert same_targets({"last20": cases([3])}) == same_targets({}) == ""
    assert same_targets({"last": cases(), "last20": cases()}) == ""


def test_without_times_it_says_what_is_left_out_unless_it_was_asked_for() -> None:
    alone = without_times("file", {"last20": WORDS["last20"]})
    assert alone.startswith('The data have no times, so "the last 20 %" means the last in the file')
    assert "For the last item that would say least, so it is left out; evaluation.targets can ask for it." in alone
    both = without_times("file", WORDS)
    assert 'so "the last item" and "the last 20 %" mean the last' in both
    assert "left out" not in both
    assert without_times("file", {}).startswith("The data have no times, so what is judged means the last in the file")
    assert without_times("time", WORDS) == ""


def test_a_sound_run_is_warned_of_nothing() -> None:
    many = [[number] for number in range(30)]
    targets = {"last": cases(*many), "last20": cases(*([one, one + 1] for (one,) in many))}
    assert cautions("time", 1682, (5, 10, 20), targets, users_are_public=True, volunteers=True) == []


def test_what_depends_on_a_private_number_of_users_is_private() -> None:
    for public, expected in ((True, [PUBLIC, PUBLIC]), (False, [PRIVATE, PUBLIC])):
        found = cautions("time", 20, (10,), {"last20": cases([1], [2])}, users_are_public=public, volunteers=True)
        assert [caution.disclosure for caution in found] == expected


def test_what_test_users_data_decide_is_private_where_they_are_no_volunteers() -> None:
    same = {"last": cases([1], [2]), "last20": cases([1], [2])}
    found = cautions("time", 20, (10,), same, users_are_public=True, volunteers=False)
    # few users and equal targets follow from histories, the size of the catalogue does not
    assert [caution.disclosure for caution in found] == [PRIVATE, PUBLIC, PRIVATE]
