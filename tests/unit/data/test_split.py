"""Who is held out, on tables small enough to write down."""

import numpy as np
import pytest

from fedrec.core.errors import ConfigError
from fedrec.data.split import Split, any_items, split_users
from fedrec.experiment.config import Experiment, SplitConfig
from fedrec.tasks import open_task
from fedrec.tasks.base import LAST, LAST20
from tests.handmade import interactions

TEN = interactions([[user % 7, (user + 1) % 7] for user in range(10)])


def test_shares_are_of_all_users_and_public_is_of_the_training_users():
    # 10 users: 0.3 * 10 = 3 test, 0.2 * 10 = 2 validation, 5 left to train, of whom round(0.4 * 5) = 2 are public
    split = split_users(TEN, SplitConfig(test=0.3, validation=0.2, public=0.4), seed=0)
    sizes = [len(group) for group in (split.test, split.validation, split.private, split.public)]
    assert sizes == [3, 2, 3, 2]


def test_movielens_is_split_as_the_benchmark_says(ml100k):
    split = split_users(ml100k.interactions, SplitConfig(), seed=0)
    assert (len(split.private), len(split.validation), len(split.test)) == (660, 94, 189)


def test_seed_decides_who_is_held_out():
    same, again, other = (split_users(TEN, SplitConfig(), seed=seed).test for seed in (0, 0, 1))
    np.testing.assert_array_equal(same, again)
    assert not np.array_equal(same, other)


def test_a_user_without_rows_is_in_no_group():
    split = split_users(interactions([[0, 1], [], [2, 3], [4, 5]]), SplitConfig(validation=0, test=0.4), seed=0)
    dealt = np.concatenate((split.private, split.public, split.validation, split.test))
    assert sorted(dealt.tolist()) == [0, 2, 3]


def test_no_validation_users_if_none_are_wanted():
    split = split_users(TEN, SplitConfig(validation=0.0), seed=0)
    assert len(split.validation) == 0
    assert len(split.cases(split.validation, LAST).users) == 0


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"validation": 0.5, "test": 0.5}, "leave nobody to train"),
        ({"validation": 0.01, "test": 0.2}, "no validation users"),
        ({"validation": 0.1, "test": 0.01}, "no test users"),
        ({"validation": 0.1, "test": 0.2, "public": 0.01}, "no public users"),
        ({"validation": 0.0, "test": 0.0, "public": 0.99}, "no private users"),
    ],
)
def test_an_empty_group_is_an_error_that_names_it(shares, said):
    with pytest.raises(ConfigError, match=said):
        split_users(TEN, SplitConfig(**shares), seed=0)


def test_last20_takes_a_fifth_and_at_least_one():
    sequences = [list(range(7)) * 2, [0, 1, 2], [5], [3, 4]]  # 14 -> round(2.8) = 3; 3 -> 1; 1 -> excluded; 2 -> 1
    split = split_users(interactions([*sequences, [6, 6]]), SplitConfig(validation=0.0, test=0.8), seed=0)
    everyone = np.arange(5)
    held = interactions([*sequences, [6, 6]])
    cases = type(split)(split.train, split.private, split.public, split.validation, everyone, held).cases(
        everyone, LAST20
    )
    assert cases.users.tolist() == [0, 1, 3, 4]
    assert cases.excluded == 1
    assert [targets.tolist() for targets in cases.targets] == [[4, 5, 6], [2], [4], [6]]
    assert [history.tolist() for history in cases.histories] == [[*range(7), 0, 1, 2, 3], [0, 1], [3], [6]]


def test_a_period_is_cut_like_the_whole_and_what_came_before_it_is_history():
    # times 0 to 5, 6 to 8 and 9; from 2 on and before 8 these are rows 2 to 5 of user 0, two rows of user 1, none of 2
    held = interactions([[0, 1, 2, 3, 4, 5], [6, 0, 1], [2]])
    nobody = np.array([], dtype=np.int64)
    split = Split(held, nobody, nobody, nobody, np.arange(3), held)
    found = split.cases(np.arange(3), LAST, (2, 8))
    assert found.users.tolist() == [0, 1]
    assert found.excluded == 1
    assert [history.tolist() for history in found.histories] == [[0, 1, 2, 3, 4], [6]]
    assert [target.tolist() for target in found.targets] == [[5], [0]]
    assert [len(values) for values in found.history_values] == [5, 1]
    later = split.cases(np.arange(3), LAST, (4, 100))
    assert [history.tolist() for history in later.histories] == [[0, 1, 2, 3, 4], [6, 0]]
    assert split.cases(np.arange(3), LAST, (100, 200)).users.tolist() == []
    assert split.cases(nobody, LAST, (0, 8)).users.tolist() == []


def test_the_latest_of_private_users_are_kept_from_training_and_two_always_train():
    # of 10 rows round(0.25 * 10) = 2, of 3 rows one, of 2 rows none; test and public users keep all of theirs
    rows = interactions([[*range(7), 0, 1, 2], [0, 1, 2], [3, 4], [5, 6, 0, 1]] * 3)
    shares = {"validation": 0.0, "test": 0.25, "public": 0.2}
    plain, split = (split_users(rows, SplitConfig(**shares, later=later), seed=0) for later in (0.0, 0.25))
    kept = {10: 2, 4: 1, 3: 1, 2: 0}
    for user in range(rows.num_users):
        own, later = rows.items_of(user).tolist(), split.held_out.items_of(user).tolist()
        if user in split.private:
            assert len(later) == kept[len(own)]
            assert [*split.train.items_of(user), *later] == own
        else:
            for table in ("train", "held_out"):
                np.testing.assert_array_equal(
                    getattr(split, table).items_of(user), getattr(plain, table).items_of(user)
                )
    asked = split.later_cases(split.private)
    assert all(len(rows.items_of(user)) > 2 for user in asked.users)
    assert asked.excluded == len(split.private) - len(asked.users)
    assert [len(history) + len(wanted) for history, wanted in zip(asked.histories, asked.targets, strict=True)] == (
        rows.lengths_of(asked.users).tolist()
    )


def test_negatives_cover_the_catalogue():
    drawn = any_items(np.random.default_rng(0), 7, 200)
    assert set(drawn.tolist()) == set(range(7))


def test_without_times_the_last_item_is_ranked_only_if_it_is_asked_for():
    def asked(targets, order):
        found = open_task(Experiment.model_validate({"evaluation": {"targets": targets}})).asked_targets(order)
        return [cut.name for cut in found]

    assert asked(None, "time") == ["last", "last20"]
    assert asked(None, "file") == ["last20"]
    assert asked(["last20", "last", "last"], "file") == ["last", "last20"]
    assert asked(["last20"], "time") == ["last20"]
    with pytest.raises(ConfigError, match="unknown 'lst20'; did you mean 'last20'"):
        asked(["lst20"], "time")
    with pytest.raises(ConfigError, match="should have 'last20' among them"):
        asked(["last"], "time")
