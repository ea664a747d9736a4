"""Whatever an experiment holds, what is written of it is read back as the same."""

import math
import string
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from fedrec.experiment.config import (
    AdapterConfig,
    DataConfig,
    EvaluationConfig,
    Experiment,
    StrategyConfig,
    TableConfig,
    TextConfig,
)
from fedrec.experiment.file import differing_keys, dump_experiment, load_experiment
from fedrec.experiment.privacy import PrivacyConfig

texts = st.text(st.characters(codec="utf-8"), max_size=20)
paths = st.text(string.ascii_letters + " .'\"é", min_size=1, max_size=8).map(lambda name: Path("/data") / name)
positive = st.floats(min_value=1e-12, max_value=1e12)
epsilons = positive | st.just(math.inf)
options = st.dictionaries(texts, st.booleans() | st.integers() | st.floats(allow_nan=False) | texts, max_size=4)

data = st.builds(
    DataConfig,
    name=texts.filter(lambda name: name != "table"),
    path=st.none() | paths,
    min_value=st.none() | st.floats(allow_nan=False),
    table=st.builds(TableConfig, text=st.lists(texts, max_size=3).map(tuple), items_path=st.none() | paths),
)
names = st.text(string.ascii_lowercase + string.digits + "-", min_size=1, max_size=8)
sources = st.builds(lambda one: {"data": one}, data) | st.builds(
    lambda several: {"platforms": several}, st.dictionaries(names, data, min_size=1, max_size=3)
)
experiments = st.builds(
    lambda data, **rest: Experiment(**data, **rest),
    data=sources,
    seed=st.integers(min_value=0),
    rounds=st.integers(min_value=1),
    text=st.builds(TextConfig, encoder=texts, layers=st.none() | st.integers(1, 12)),
    adapter=st.builds(AdapterConfig, targets=st.lists(texts, max_size=3).map(tuple)),
    strategy=st.builds(StrategyConfig, options=options),
    privacy=st.builds(PrivacyConfig, epsilon=epsilons, noise_multiplier=st.none() | positive),
    evaluation=st.builds(EvaluationConfig, cutoffs=st.lists(st.integers(1, 100), min_size=1, max_size=4).map(tuple)),
)


@given(experiments)
@settings(deadline=None)
def test_a_dump_loads_to_the_same_fingerprint(experiment: Experiment) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "experiment.toml"
        path.write_text(dump_experiment(experiment), encoding="utf-8")
        loaded = load_experiment(path, [])
    assert loaded == experiment
    assert loaded.fingerprint == experiment.fingerprint


@given(experiments, experiments)
@settings(deadline=None)
def test_two_experiments_differ_in_some_key_exactly_if_their_fingerprints_do(a: Experiment, b: Experiment) -> None:
    assert bool(differing_keys(a, b)) == (a.fingerprint != b.fingerprint)
    assert differing_keys(a, a) == []
