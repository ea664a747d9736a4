"""Which combinations have no true privacy claim, and what to do about each."""

from collections.abc import Sequence
from fnmatch import fnmatch
from math import inf, isfinite

from fedrec.core.errors import ConfigError, PrivacyError
from fedrec.data.load import has_public_catalogue
from fedrec.experiment.config import Experiment
from fedrec.privacy.accounting.banded import ROUNDING
from fedrec.privacy.accounting.delta import too_large

Rule = tuple[bool, str]
"""Whether it is broken, and what is then said."""


def check(experiment: Experiment, *, linear_strategy: bool) -> None:
    """Refuse an experiment whose privacy statement would be false.

    Sequences longer than the model's window are cut to it, Adam on a clipped client and any strategy over locally
    private updates are fine: each is post-processing, or happens before the clip.

    Args:
        experiment: What is asked for; without privacy nearly everything passes.
        linear_strategy: Whether the strategy averages its updates with uniform weights.

    Raises:
        PrivacyError: With every reason and what to do about it, if there is any.
        ConfigError: If counts of items have no parameter to become, or filters nobody to stop.
    """
    adapter, privacy = experiment.adapter, experiment.privacy
    kept = any(fnmatch("item_bias.weight", pattern) for pattern in adapter.private)
    if privacy.item_counts.share and (kept or not adapter.item_bias):
        message = (
            "privacy.item_counts are added to the item bias, which is not trained or never travels; set "
            "adapter.item_bias=true and leave it out of adapter.private, or privacy.item_counts.share=0"
        )
        raise ConfigError(message)
    if privacy.filter_rounds is not None and privacy.filter_rounds > experiment.rounds:
        message = (
            f"privacy.filter_rounds={privacy.filter_rounds} is a budget that nobody can spend in "
            f"rounds={experiment.rounds}; set rounds to as many or more, or leave it out"
        )
        raise ConfigError(message)
    rules: list[Rule] = []
    if privacy.on:
        rules = [
            *_rules(experiment, linear_strategy=linear_strategy),
            *_of_the_server(experiment),
            *_of_neighbours(experiment),
            *_of_what_is_fixed(experiment),
        ]
    if privacy.on and privacy.shuffled:
        rules += _of_the_shuffler(experiment, linear_strategy=linear_strategy)
    if experiment.evaluation.private.on:
        rules += _of_validation_users(experiment)
    if privacy.budget < inf and not privacy.on:
        rules += [(True, "privacy.budget ends a run that is not private before it begins; set privacy.epsilon")]
    refuse(rules)


def refuse(rules: Sequence[Rule]) -> None:
    """Raise a `PrivacyError` with the reasons of all rules that are broken, if there are any."""
    if found := [reason for broken, reason in rules if broken]:
        message = "this combination has no true privacy claim:\n" + "\n".join(f"- {reason}" for reason in found)
        raise PrivacyError(message)


def _rules(experiment: Experiment, *, linear_strategy: bool) -> list[Rule]:
    privacy, training = experiment.privacy, experiment.training
    partition = experiment.federation.partition
    trust, whole, prefix = privacy.trust, privacy.trust != "local", training.example == "prefix"
    return [
        (
            whole and privacy.unit != "platform" and partition != "users",
            f"privacy.trust={trust} clips one client's whole update, but federation.partition={partition} lets many "
            "users share it; set federation.partition=users, privacy.trust=local, or privacy.unit=platform",
        ),
        (
            not whole and privacy.unit == "platform",
            "privacy.unit=platform clips a client's whole update, which privacy.trust=local does not do; set "
            "privacy.trust=central or secure-aggregation, or privacy.unit=user",
        ),
        (
            whole and not linear_strategy,
            f"privacy.trust={trust} adds noise to a sum, but strategy.name={experiment.strategy.name} is not an "
            "average of ours; choose an averaging strategy such as fedavg, or privacy.trust=local",
        ),
        (
            whole and privacy.unit == "example",
            f"privacy.unit=example needs per-example clipping, which privacy.trust={trust} does not do; "
            "set privacy.unit=user, or privacy.trust=local",
        ),
        (
            trust == "secure-aggregation" and experiment.federation.sampling != "fixed",
            "privacy.trust=secure-aggregation sizes noise and threshold for a cohort of a known size, and the server "
            f"sees who is in it, so that federation.sampling={experiment.federation.sampling} amplifies nothing; "
            "set federation.sampling=fixed, or privacy.trust=central",
        ),
        (
            trust == "secure-aggregation" and bool(experiment.transforms),
            f"transforms ({names_of(experiment)}) change what one client sends, and with "
            "privacy.trust=secure-aggregation clients send integers that only make sense as a sum; set transforms=[], "
            "or privacy.trust=local or central",
        ),
        (
            not whole and privacy.unit == "user" and prefix,
            "privacy.unit=user with privacy.trust=local needs one example per user, but training.example=prefix makes "
            "many; set training.example=sequence, or privacy.unit=example",
        ),
        (
            not whole and training.windows == "all",
            "training.windows=all makes many examples of one user, which privacy.trust=local clips one by one; set "
            "training.windows=one, or privacy.trust=central or secure-aggregation, which clip all of a user together",
        ),
        (
            privacy.epsilon < float("inf") and privacy.noise_multiplier is not None,
            f"privacy.epsilon={privacy.epsilon:g} and privacy.noise_multiplier={privacy.noise_multiplier} both fix "
            "the noise; keep privacy.epsilon alone to have it calibrated, or set privacy.epsilon=inf to keep the other",
        ),
    ]


def names_of(experiment: Experiment) -> str:
    """Return the names of the experiment's transforms, as a list."""
    return ", ".join(transform.name for transform in experiment.transforms)


def _of_the_server(experiment: Experiment) -> list[Rule]:
    """Return the rules for what only a trusted server can do."""
    privacy, federation = experiment.privacy, experiment.federation
    adaptive, counts = privacy.adaptive_clip.quantile is not None, privacy.item_counts.share > 0
    filtered = privacy.filter_rounds is not None
    asked = {
        f"privacy.bands={privacy.bands}": privacy.bands > 1,
        f"privacy.adaptive_clip.quantile={privacy.adaptive_clip.quantile}": adaptive,
        f"privacy.item_counts.share={privacy.item_counts.share:g}": counts,
        f"privacy.filter_rounds={privacy.filter_rounds}": filtered,
        f"privacy.population={privacy.population}": privacy.population is not None,
    }
    alone = [
        (
            wanted and privacy.trust != "central",
            f"{key} needs a trusted server; set privacy.trust=central, or leave it out",
        )
        for key, wanted in asked.items()
    ]
    return [
        *alone,
        (
            privacy.bands * federation.participation > 1 + ROUNDING or privacy.bands > experiment.rounds,
            f"privacy.bands={privacy.bands} lets a client into every {privacy.bands}th round, which needs "
            f"federation.participation of at most {1 / privacy.bands:.3g} (it is {federation.participation:g}) and as "
            f"many rounds (there are {experiment.rounds}); set fewer bands",
        ),
        (
            privacy.bands > 1 and federation.sampling in {"without-replacement", "balls-in-bins"},
            f"privacy.bands has no proven price with federation.sampling={federation.sampling}; set it to poisson or "
            "fixed, or privacy.bands=1",
        ),
        (
            privacy.trust == "central"
            and federation.sampling == "without-replacement"
            and bool(experiment.adapter.private),
            "federation.sampling=without-replacement has no proven price where clients keep parameters between rounds, "
            f"adapter.private={list(experiment.adapter.private)}: they would tell who made room for whom; set "
            "adapter.private=[], or federation.sampling=balls-in-bins or poisson",
        ),
        (
            privacy.bands > 1 and adaptive,
            "privacy.bands cancel noise of one size, and privacy.adaptive_clip changes its size; choose one",
        ),
        (
            filtered and federation.sampling != "fixed",
            "privacy.filter_rounds prices each user's own updates, for which no amplification by "
            f"federation.sampling={federation.sampling} is proven; set it to fixed, or leave privacy.filter_rounds out",
        ),
        (
            filtered and (privacy.bands > 1 or adaptive),
            "privacy.filter_rounds has a proven price with independent noise of one size only; set privacy.bands=1 and "
            "leave privacy.adaptive_clip.quantile out, or privacy.filter_rounds",
        ),
        (
            counts and not isfinite(privacy.epsilon),
            "privacy.item_counts.share is a share of privacy.epsilon, which is not given; set it instead of "
            "privacy.noise_multiplier",
        ),
        (
            privacy.population is not None and privacy.budget < inf,
            "privacy.population protects others than this run's users, whose privacy.budget it would exceed; drop one",
        ),
    ]


def _of_neighbours(experiment: Experiment) -> list[Rule]:
    """Return the rules for neighbours that are more than one unit's data taken away."""
    privacy, federation = experiment.privacy, experiment.federation
    private = privacy.adjacency == "add-remove"
    key = "privacy.adjacency=add-remove keeps the number of units private"
    return [
        (
            private and (privacy.trust != "central" or federation.sampling != "poisson" or privacy.unit != "user"),
            f"{key}, which needs a trusted server and secret cohorts of users; set privacy.trust=central, "
            "privacy.unit=user and federation.sampling=poisson, or privacy.adjacency=zero-out",
        ),
        (
            private and (privacy.delta is None or federation.declared_cohort is None),
            f"{key}, but delta and the sum's denominator are made from it unless declared; set privacy.delta and "
            "federation.declared_cohort",
        ),
        (
            private and (privacy.bands > 1 or privacy.population is not None),
            f"{key}, which turns by number (privacy.bands) and noise for another population (privacy.population) "
            "depend on; leave both out",
        ),
        (
            private and federation.min_replies > 1,
            f"{key}, and a run that fails for lack of replies tells it; set federation.min_replies to 0 or 1",
        ),
        (
            privacy.adjacency == "replace-one"
            and privacy.trust == "central"
            and federation.sampling in {"without-replacement", "balls-in-bins"},
            f"federation.sampling={federation.sampling} has no proven price with privacy.adjacency=replace-one; set "
            "federation.sampling=poisson or fixed, or privacy.adjacency=zero-out",
        ),
        (
            privacy.adjacency == "replace-one"
            and privacy.unit == "example"
            and experiment.training.example == "prefix",
            "privacy.adjacency=replace-one replaces one example, and one interaction sits in many, whose replacement "
            "is not priced; set privacy.adjacency=zero-out, or privacy.unit=user",
        ),
    ]


def _of_what_is_fixed(experiment: Experiment) -> list[Rule]:
    """Return the rules for numbers and files that no data may decide."""
    privacy = experiment.privacy
    norms = {
        "privacy.clip_norm": privacy.clip_norm,
        "evaluation.private.change_bound": experiment.evaluation.private.change_bound,
    }
    if privacy.item_counts.share:
        norms["privacy.item_counts.clip_norm"] = privacy.item_counts.clip_norm
    units = _fewest_units(experiment)
    large = "" if privacy.delta is None else too_large(privacy.delta, units)
    return [
        *(
            (not isfinite(norm), f"{key}={norm} bounds nothing, so that no noise hides a unit; set a finite norm")
            for key, norm in norms.items()
        ),
        (bool(large), f"privacy.{large}, and there are at least that many; set a smaller privacy.delta"),
        *(
            (
                not has_public_catalogue(data),
                f"{section}.name={data.name} has no public list of items, so the catalogue, which is published, would "
                f"be made of everybody's interactions; give a table's items in {section}.table.items_path, or let the "
                "source say that its list is public (Source.public_catalogue)",
            )
            for section, data in experiment.data_sections.items()
        ),
    ]


def _fewest_units(experiment: Experiment) -> float:
    """Return how many units there are for sure, before any data is read: each client holds one at least."""
    privacy, federation = experiment.privacy, experiment.federation
    known = [privacy.population or 0.0]
    if federation.partition in {"shards", "dirichlet"} and privacy.unit != "example":
        known.append(federation.clients * len(experiment.data_sections))
    if privacy.adjacency == "add-remove" and federation.declared_cohort is not None:
        known.append(federation.declared_cohort / federation.participation)
    return max(known)


def _of_validation_users(experiment: Experiment) -> list[Rule]:
    """Return the rules for validation users who are no volunteers."""
    privacy, key = experiment.privacy, "evaluation.private.epsilon promises validation users privacy"
    return [
        (
            not privacy.on,
            f"{key}, in a run that promises training users none; set privacy.epsilon, or leave it out",
        ),
        (
            privacy.on and privacy.trust != "central",
            f"{key} by noise that a trusted server adds, and privacy.trust={privacy.trust} trusts none; set "
            "privacy.trust=central, or leave it out",
        ),
        (
            privacy.adjacency == "add-remove",
            f"{key} by sums over their public number, which privacy.adjacency=add-remove keeps private; set "
            "privacy.adjacency=zero-out, or leave it out",
        ),
        (
            experiment.split.validation == 0,
            f"{key}, and split.validation=0 leaves none; set it above 0, or leave it out",
        ),
    ]


def _of_the_shuffler(experiment: Experiment, *, linear_strategy: bool) -> list[Rule]:
    """Return the rules for messages that hide each other: alike but for the data, from everybody, once a round."""
    privacy, federation, training = experiment.privacy, experiment.federation, experiment.training
    return [
        (
            privacy.trust != "local",
            f"privacy.shuffled hides who sent which message, and with privacy.trust={privacy.trust} messages are not "
            "private by themselves; set privacy.trust=local, or leave it out",
        ),
        (
            privacy.unit != "user" or federation.partition != "users",
            f"privacy.shuffled hides one user's message among others', but privacy.unit={privacy.unit} and "
            f"federation.partition={federation.partition}; set privacy.unit=user and federation.partition=users",
        ),
        (
            federation.participation < 1 or federation.sampling != "fixed",
            "privacy.shuffled needs every client in every round; set federation.participation=1 and "
            "federation.sampling=fixed",
        ),
        (
            bool(experiment.transforms),
            "privacy.shuffled hides who sent which message among messages that are all made alike, but transforms "
            f"({names_of(experiment)}) draw for each client by its number; set transforms=[], or "
            "privacy.shuffled=false",
        ),
        (
            federation.min_replies < 2,
            f"privacy.shuffled hides a message among at least federation.min_replies={federation.min_replies}, which "
            "is nothing to hide in; set it to nearly the number of clients",
        ),
        (
            training.steps > 1 or training.sampling_rate < 1,
            f"privacy.shuffled is priced for messages of one full step, not training.steps={training.steps} at "
            f"training.sampling_rate={training.sampling_rate:g}; set both to 1",
        ),
        (
            bool(experiment.adapter.private),
            "privacy.shuffled composes rounds of clients that keep nothing but their data, and adapter.private keeps "
            "parameters; set adapter.private=[]",
        ),
        (
            not linear_strategy,
            f"privacy.shuffled hides who sent which message, but strategy.name={experiment.strategy.name} is told; "
            "choose an averaging strategy such as fedavg, which only adds them up",
        ),
    ]
