"""Which sweeps may draw their number of trials: those whose best is worth the price that is claimed for it."""

from collections.abc import Iterator

from fedrec.core.errors import PrivacyError
from simulations.sweep.plan import Plan
from simulations.sweep.sharing import preparation_key


def check_drawn(plan: Plan) -> None:
    """Refuse a drawn sweep whose claim would be false.

    Raises:
        PrivacyError: With every reason, and what to do about it.
    """
    if found := list(_broken(plan)):
        message = "the best of a drawn number of trials has no true privacy claim here:\n" + "\n".join(
            f"- {reason}" for reason in found
        )
        raise PrivacyError(message)


def _broken(plan: Plan) -> Iterator[str]:
    experiments = [trial.experiment for trial in plan.trials]
    first = experiments[0]
    if not all(experiment.privacy.on for experiment in experiments):
        yield "some trials are not private, and any of them may be the best; give each an epsilon"
    if any(experiment.privacy.noise_key is not None for experiment in experiments):
        yield "privacy.noise_key is fixed, so that trials share their noise; leave it out"
    if any(experiment.privacy.population is not None for experiment in experiments):
        yield "privacy.population adds another population's noise, which protects this one less; leave it out"
    if len({experiment.privacy.unit for experiment in experiments}) > 1:
        yield "trials protect different units, and a claim has one; vary privacy.unit in sweeps of their own"
    if len({preparation_key(experiment) for experiment in experiments}) > 1:
        keys = ", ".join(sorted(key for trial in plan.trials for key in trial.point if _prepares(plan, key)))
        yield (
            f"{keys or 'what is varied'} decides who trains, who judges, or the base, so that a trial's judges may be "
            "those whose data trained another; vary what only training reads"
        )
    if any(experiment.evaluation.private.on for experiment in experiments):
        yield (
            "evaluation.private.epsilon prices what validation users say of one run, and here they evaluator a drawn "
            "number of them, which is not priced; leave it out, so that volunteers evaluator"
        )
    if not first.split.validation:
        yield "nobody judges the trials, as split.validation=0; set it above 0"


def _prepares(plan: Plan, key: str) -> bool:
    """Return whether trials that differ in a key differ in what is prepared, other keys alike."""
    by_rest: dict[str, set[str]] = {}
    for trial in plan.trials:
        rest = repr({other: value for other, value in trial.point.items() if other != key})
        by_rest.setdefault(rest, set()).add(preparation_key(trial.experiment))
    return any(len(found) > 1 for found in by_rest.values())
