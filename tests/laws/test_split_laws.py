"""Laws of the split: groups partition the users, time is respected, and nothing held out reaches training."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fedrec.data.federation import federate
from fedrec.data.interactions import Interactions
from fedrec.data.split import Split, split_users
from fedrec.experiment.config import FederationConfig, SplitConfig
from fedrec.tasks import open_task
from fedrec.tasks.base import LAST, LAST20
from tests.handmade import dataset, experiment

ITEMS = 6
ROWS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, ITEMS - 1), st.integers(0, 9)), min_size=24, max_size=70)
SHARES = SplitConfig(validation=0.2, test=0.25, public=0.3)


def table(rows, num_users: int = 12) -> Interactions:
    user, item, time = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return Interactions.from_rows(user, item, time, np.ones(len(user), dtype=np.float32), num_users, ITEMS)


def split_of(rows: Interactions, seed: int) -> Split:
    assume(len(np.unique(rows.user)) >= 9)  # fewer, and a group of SHARES rounds to nobody
    return split_users(rows, SHARES, seed)


def training_artefacts(rows: Interactions, split: Split) -> list[np.ndarray]:
    """Return all that training is made of: rows, groups, clients, popularity, examples, batches and samples."""
    made = [split.private, split.public, split.train.user, split.train.item, split.train.time, split.train.value]
    made.append(np.bincount(split.train.item, minlength=ITEMS))
    config = FederationConfig(partition="dirichlet", clients=2)
    federation = federate(dataset(rows, genres=list("aabbcc")), split, config, seed=3)
    made += federation.users
    for example in ("sequence", "prefix"):
        task = open_task(experiment(training={"example": example}, model={"window": 3, "softmax_items": ITEMS - 1}))
        for users in (*federation.users, split.public):
            examples = task.examples(split.train, users)
            made += [task.count(split.train.lengths_of(users)), examples.owner, examples.end]
            batch = task.collate(task.draw(examples, np.arange(len(examples)), np.random.default_rng(0)))
            made += [tensor.numpy() for tensor in batch.values()]
        made.append(task.sample(np.random.default_rng(1), range(split.train.num_items)).numpy())
    return made


@given(ROWS, st.integers(0, 3))
def test_groups_partition_the_users_who_have_rows(rows, seed):
    whole = table(rows)
    split = split_of(whole, seed)
    groups = [split.private, split.public, split.validation, split.test]
    np.testing.assert_array_equal(np.sort(np.concatenate(groups)), np.unique(whole.user))


@given(ROWS, st.integers(0, 3))
def test_rows_of_training_and_held_out_users_partition_the_table(rows, seed):
    whole = table(rows)
    split = split_of(whole, seed)
    assert set(split.train.user) == {*split.private, *split.public}
    assert set(split.held_out.user) == {*split.validation, *split.test}
    for user in np.unique(whole.user):
        part = split.train if user in split.train.user else split.held_out
        np.testing.assert_array_equal(part.items_of(int(user)), whole.items_of(int(user)))


@given(ROWS, st.integers(0, 3), st.sampled_from([LAST, LAST20]))
def test_no_target_is_older_than_its_history(rows, seed, target):
    whole = table(rows)
    split = split_of(whole, seed)
    cases = split.cases(split.test, target)
    assert len(cases.users) + cases.excluded == len(split.test)
    for user, history, targets in zip(cases.users, cases.histories, cases.targets, strict=True):
        own = whole.user == user
        assert len(history) >= 1
        assert len(targets) >= 1
        np.testing.assert_array_equal(np.concatenate((history, targets)), whole.item[own])
        times = whole.time[own]
        assert times[: len(history)].max() <= times[len(history) :].min()


@settings(max_examples=60)
@given(ROWS, st.integers(0, 3), st.data())
def test_held_out_data_reach_training_in_no_form(rows, seed, data):
    """Held-out users may do anything: every array that training is made of stays the same to the bit."""
    whole = table(rows)
    split = split_of(whole, seed)
    keep = [row for row in rows if row[0] in split.train.user]
    held_out = sorted({*split.validation.tolist(), *split.test.tolist()})
    row = st.tuples(st.sampled_from(held_out), st.integers(0, ITEMS - 1), st.integers(0, 9))
    others = data.draw(st.lists(row, max_size=20))
    others += [(user, 0, 0) for user in held_out]  # everyone keeps a row, or other users would be dealt out
    changed = table(others + keep)
    again = split_users(changed, SHARES, seed)
    for before, after in zip(training_artefacts(whole, split), training_artefacts(changed, again), strict=True):
        np.testing.assert_array_equal(before, after)
        assert before.dtype == after.dtype
