"""A made-up population of any size (see `fedrec.data.sources.population`): for tests of scale only."""

from pathlib import Path

from fedrec.core.errors import ConfigError
from fedrec.data.clean import clean
from fedrec.data.interactions import Dataset
from fedrec.data.sources.base import DATASETS, Source
from fedrec.data.sources.population import synthetic_population
from fedrec.experiment.config import DataConfig

NAME = "synthetic"


def load_synthetic(path: Path, config: DataConfig) -> Dataset:
    """Read the real data set, clean it as configured, and draw the population.

    Raises:
        ConfigError: If it is to be based on itself, or on a data set that is not known.
        DataError: As the real data set's loader does, or if cleaning leaves nothing of it.
    """
    source = _based_on(config)
    real = source.load(path, config.model_copy(update={"name": source.name}))
    wanted = config.synthetic
    return synthetic_population(clean(real, config.min_value, config.min_interactions), wanted.users, wanted.seed)


def _based_on(config: DataConfig) -> Source:
    if config.synthetic.based_on == NAME:
        message = f"data.synthetic.based_on = {NAME!r}: a made-up population needs a real data set to be drawn from"
        raise ConfigError(message)
    return DATASETS.get(config.synthetic.based_on)


DATASETS.register(NAME)(
    Source(
        NAME,
        "made-up users in any number, drawn from a real data set (data.synthetic); for scale tests only",
        "synthetic: for scale tests only, never for quality claims; the terms of the real data apply to its rows",
        (),
        load_synthetic,
        _based_on,
        lambda config: _based_on(config).public_catalogue(config),
    )
)
