"""How often a unit's data might be released where who is in a round stays with a trusted server."""

from collections.abc import Callable

from fedrec.experiment.config import Experiment, Sampling
from fedrec.privacy.accounting.banded import rate_in_group
from fedrec.privacy.accounting.prices import Draw

Exposure = tuple[int, float, Draw]
"""How many releases of a unit's data there might be, its chance to be in a sum, and how it is drawn."""


def exposure_of(experiment: Experiment, clients: int) -> Exposure | None:
    """Return how a unit's data are exposed; None where cohorts are no secret, so that they amplify nothing."""
    secret = EXPOSURES.get(experiment.federation.sampling)
    return None if secret is None or experiment.privacy.trust != "central" else secret(experiment, clients)


def _poisson(experiment: Experiment, clients: int) -> Exposure:
    del clients
    bands = experiment.privacy.bands
    return -(-experiment.rounds // bands), rate_in_group(experiment.federation.participation, bands), "poisson"


def _without_replacement(experiment: Experiment, clients: int) -> Exposure:
    # No rate is above 1, even where nobody is left to train on.
    size = experiment.federation.fixed_cohort(clients)
    return experiment.rounds, size / max(clients, size), "without-replacement"


def _balls_in_bins(experiment: Experiment, clients: int) -> Exposure:
    del clients
    epoch = experiment.federation.epoch
    return -(-experiment.rounds // epoch), 1 / epoch, "balls-in-bins"


EXPOSURES: dict[Sampling, Callable[[Experiment, int], Exposure]] = {
    "poisson": _poisson,
    "without-replacement": _without_replacement,
    "balls-in-bins": _balls_in_bins,
}
"""By `federation.sampling`; the other kind claims no amplification."""
