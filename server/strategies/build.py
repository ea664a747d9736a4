"""From a strategy's name and options to a strategy: ours as it is, a Flower strategy adapted."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy as FlowerStrategy
from torch import Tensor

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.experiment.config import Experiment
from fedrec.experiment.privacy import PrivacyConfig
from fedrec.models.recommender import keeps_parts
from fedrec.privacy.checks import check
from fedrec.privacy.plan import UnitCounts, plan, trust_of
from fedrec.privacy.plugin_checks import check_model, check_rule, check_transforms
from fedrec.run.job import Job
from fedrec.training.rules.base import LocalWork
from fedrec.training.rules.round import build_rule
from fedrec.transforms.pipeline import Transforms
from server.aggregation.secret_sum import secret
from server.base import Strategy, averages
from server.context import StrategyContext
from server.strategies import STRATEGIES
from server.strategies.flower import FlowerStrategyAdapter, refuse_former_interface, seeded_global_generators


def check_strategy(experiment: Experiment) -> None:
    """Find out before any work whether strategy and transforms exist, take their options and keep the privacy claim.

    Raises:
        ConfigError: If one is unknown or does not take its options, or the strategy's client rule does not.
        PrivacyError: If the strategy, or its client rule, cannot keep the privacy claim.
    """
    kind = STRATEGIES.get(experiment.strategy.name)
    check(experiment, linear_strategy=averages(kind))
    check_transforms(experiment, kept=Transforms.of(experiment, 1).remember)
    open_plan = plan(experiment.model_copy(update={"privacy": PrivacyConfig()}), UnitCounts(1, 1, 1), 1)
    context = StrategyContext(0, 0, lambda _: [0], 1.0, 0, 1.0, open_plan)
    # On an adapter of one parameter: the run's own is known only when the data is prepared.
    _with_rule(adopt(kind, context, dict(experiment.strategy.options)), experiment, {"weight": torch.zeros(1, 1)})


def check_grid(experiment: Experiment, grid: Grid) -> None:
    """Refuse a grid that would show the server what the experiment hides from it.

    Raises:
        PrivacyError: Saying what to choose instead.
    """
    if trust_of(experiment.privacy) == "secure-aggregation":
        secret(grid)


def build_strategy(job: Job) -> Strategy:
    """Return the configured strategy.

    Raises:
        ConfigError: If it is unknown or does not take its options, or its client rule does not; or if the grid of a
            secure sum is too coarse.
        PrivacyError: If it, or its client rule, cannot keep the privacy claim.
    """
    experiment = job.experiment
    kind = STRATEGIES.get(experiment.strategy.name)
    check(experiment, linear_strategy=averages(kind))
    if job.plan.agreement is not None:
        job.plan.agreement.check(sum(value.numel() for value in job.training_context.shared_start.values()))
    context = StrategyContext(
        seed=experiment.seed,
        secret_seed=job.secret_seed,
        cohort=job.cohort,
        expected_cohort=job.expected_cohort,
        min_replies=experiment.federation.min_replies,
        max_update_norm=experiment.federation.max_update_norm,
        plan=job.plan,
        transforms=_transforms(job),
    )
    strategy = adopt(kind, context, dict(experiment.strategy.options))
    return _with_rule(strategy, experiment, job.training_context.shared_start)


def _transforms(job: Job) -> Transforms:
    """Return the transforms, tried on the adapter.

    Raises:
        ConfigError: If a trial change does not come back as a change of the adapter.
        PrivacyError: If they cannot keep the privacy claim.
    """
    transforms = Transforms.of(job.experiment, len(job.prepared.federation))
    check_transforms(job.experiment, kept=transforms.remember)
    transforms.check({name: value.numpy() for name, value in job.training_context.shared_start.items()})
    return transforms


def _with_rule(strategy: Strategy, experiment: Experiment, adapter: Mapping[str, Tensor]) -> Strategy:
    """Return the strategy, told what its clients' rule sends beside an adapter.

    Raises:
        ConfigError: If the rule is unknown or does not take the options that the strategy gives it.
        PrivacyError: If the rule cannot keep the privacy claim.
    """
    try:
        rule = build_rule(strategy.rule, strategy.client_config(), LocalWork.of(experiment))
    except ConfigError as error:
        message = f"strategy {experiment.strategy.name}: {error}; it is the strategy's `rule` and `client_config`"
        raise ConfigError(message) from error
    check_model(experiment, kept=keeps_parts(experiment))
    payload = rule.payload_like(adapter)
    check_rule(experiment, payload=bool(payload), kept=bool(rule.kept_start(adapter)))
    strategy.payload = {name: value.numpy() for name, value in payload.items()}
    return strategy


def adopt(strategy: Callable[..., FlowerStrategy], context: StrategyContext, options: dict[str, object]) -> Strategy:
    """Return the strategy built and, if it is not ours, adopted: then its constructor draws by name, too.

    Raises:
        ConfigError: If it does not take the options, or is of Flower's former interface.
        PrivacyError: If it works with another context than it was given.
    """
    name = getattr(strategy, "__name__", repr(strategy))
    ours = isinstance(strategy, type) and issubclass(strategy, Strategy)
    if isinstance(strategy, type):
        refuse_former_interface(strategy)
    try:
        with nullcontext() if ours else seeded_global_generators(context.seed, "constructor"):
            built = strategy(context, **options) if ours else strategy(**options)
    except (TypeError, ValueError) as error:
        message = f"strategy.options do not fit {name}: {error}"
        raise ConfigError(message) from error
    if isinstance(built, Strategy):
        if built.context is not context:
            message = (
                f"strategy {name} changed its context, for which the privacy plan was made; keep it as it was given"
            )
            raise PrivacyError(message)
        return built
    if not isinstance(built, FlowerStrategy):
        refuse_former_interface(type(built))
        message = f"strategy {name} is no flwr.serverapp.strategy.Strategy; name a class that is"
        raise ConfigError(message)
    return FlowerStrategyAdapter(context, built)
