"""Made-up users resemble the real ones in what scale tests need, are the same each time, and never pass as real."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, spearmanr

from fedrec.core.errors import ConfigError
from fedrec.data.load import load_dataset
from fedrec.data.sources.population import BLOCK, OWN_SHARE, synthetic_population
from fedrec.experiment.config import DataConfig
from tests.handmade import dataset, interactions

USERS = 2 * BLOCK + 500


def histories(population):
    rows = population.interactions
    return [rows.items_of(user).tolist() for user in range(rows.num_users)]


def lengths(population):
    return np.diff(population.interactions.bounds)


@pytest.fixture(scope="module")
def made(ml100k):
    return synthetic_population(ml100k, USERS, seed=0)


def test_there_are_as_many_users_as_were_asked_for_and_the_real_catalogue(made, ml100k):
    assert made.interactions.num_users == len(made.users) == len(set(made.users.ids)) == USERS
    assert made.catalogue is ml100k.catalogue
    assert made.interactions.num_items == len(ml100k.catalogue)


def test_lengths_are_distributed_as_the_real_ones(made, ml100k):
    # two samples of 943 and 4,596 of one distribution differ by more than 1.63 sqrt(1/943 + 1/4596) = 0.058 once in 100
    assert ks_2samp(lengths(made), lengths(ml100k)).statistic < 0.058
    assert set(lengths(made)) <= set(lengths(ml100k))


def test_items_are_as_popular_as_they_really_are(made, ml100k):
    real, drawn = (np.bincount(data.interactions.item, minlength=1682) for data in (ml100k, made))
    assert spearmanr(real, drawn).statistic > 0.99
    # the most popular hundred of 1,682 films have 30 % of the real rows
    head = np.argsort(real)[-100:]
    assert drawn[head].sum() / drawn.sum() == pytest.approx(real[head].sum() / real.sum(), abs=0.05)


def test_a_made_up_user_resembles_a_real_one_of_the_same_length(made, ml100k):
    real = [set(history) for history in histories(ml100k)]
    nearest = [
        max(len(other.intersection(history)) for other in real if len(other) == len(history)) / len(history)
        for history in histories(made)[:300]
    ]
    assert min(nearest) >= 0.2
    assert np.mean(nearest) >= OWN_SHARE


def test_no_item_comes_twice_and_times_ascend(made):
    rows = made.interactions
    assert len(np.unique(rows.user * rows.num_items + rows.item)) == len(rows)
    steps = np.diff(rows.time)
    assert (np.delete(steps, rows.bounds[1:-1] - 1) >= 0).all()
    assert set(rows.value) <= {1.0, 2.0, 3.0, 4.0, 5.0}


def test_the_seed_decides_and_a_smaller_population_is_the_beginning(made, ml100k):
    for users in (1, BLOCK, BLOCK + 1):
        assert histories(synthetic_population(ml100k, users, seed=0)) == histories(made)[:users]
    again, other = (synthetic_population(ml100k, 50, seed).interactions for seed in (0, 1))
    for name in ("item", "time", "value"):
        np.testing.assert_array_equal(getattr(again, name), getattr(made.interactions, name)[: len(again)])
    assert again.item.tolist() != other.item.tolist()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sets(st.integers(0, 6), min_size=1), min_size=1, max_size=4), st.integers(1, 30))
def test_any_real_data_gives_whole_histories(sequences, users):
    """A user who has touched every item has every item again, in some order."""
    real = dataset(interactions([sorted(items) for items in sequences]))
    made = synthetic_population(real, users, seed=3)
    touched = set().union(*sequences)
    for history in histories(made):
        assert len(set(history)) == len(history)
        assert len(history) in map(len, sequences)
        assert set(history) <= touched


def test_the_source_says_everywhere_that_it_is_synthetic(cache):
    made = load_dataset(DataConfig.model_validate({"name": "synthetic", "synthetic": {"users": 40}}), cache)
    assert made.name == "synthetic-40-from-movielens-100k"
    assert made.terms.startswith("synthetic: for scale tests only, never for quality claims")
    assert {user.partition("-")[0] for user in made.users.ids} == {"synthetic"}
    assert "recbole" in made.source or "grouplens" in made.source
    assert made.cleaning == {}


def test_a_population_is_drawn_from_cleaned_rows_of_ones_own_table(tmp_path):
    path = tmp_path / "sales.csv"
    path.write_text("user,item,stars\na,x,5\na,y,5\na,y,4\na,z,1\nb,x,5\n")
    config = {
        "name": "synthetic",
        "path": path,
        "min_value": 4,
        "table": {"value": "stars"},
        "synthetic": {"users": 7, "based_on": "table"},
    }
    made = load_dataset(DataConfig.model_validate(config), tmp_path)
    # b has one row left, fewer than min_interactions; a has x and y
    assert [sorted(history) for history in histories(made)] == [[0, 1]] * 7
    assert made.name == "synthetic-7-from-sales"


@pytest.mark.parametrize(
    ("based_on", "message"), [("synthetic", "needs a real data set"), ("movielens-10k", "did you mean")]
)
def test_a_population_needs_a_real_data_set(tmp_path, based_on, message):
    config = DataConfig.model_validate({"name": "synthetic", "synthetic": {"based_on": based_on}})
    with pytest.raises(ConfigError, match=message):
        load_dataset(config, tmp_path)
