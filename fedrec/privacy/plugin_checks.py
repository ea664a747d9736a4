"""Which client rules, models and transforms have no true privacy claim, and what to do about each.

What they are is known when they are built; what an experiment says is checked by `fedrec.privacy.checks`.
"""

from fedrec.experiment.config import Experiment
from fedrec.privacy.checks import Rule, names_of, refuse


def check_rule(experiment: Experiment, *, payload: bool, kept: bool) -> None:
    """Refuse a client rule whose payload nobody pays for, or whose memory a price does not allow.

    Args:
        experiment: What is computed.
        payload: Whether the rule sends anything beside a client's change.
        kept: Whether clients keep anything of it between rounds.

    Raises:
        PrivacyError: With every reason and what to do about it, if there is any.
    """
    privacy = experiment.privacy
    name = f"strategy.name={experiment.strategy.name}"
    rules: list[Rule] = [
        (
            payload and privacy.trust != "local",
            f"privacy.trust={privacy.trust} hides clients' changes by noise on their sum, but the client rule of "
            f"{name} sends more beside them, without noise, which nobody pays for; set privacy.trust=local, where all "
            "that clients send is made from noised sums, or choose another strategy",
        ),
        (
            kept and privacy.shuffled,
            "privacy.shuffled composes rounds of clients that keep nothing but their data, and the client rule of "
            f"{name} keeps more; choose another strategy",
        ),
    ]
    if kept:
        rules.append(_of_memory(experiment, f"the client rule of {name} does", "choose another strategy"))
    refuse(rules if privacy.on else [])


def check_model(experiment: Experiment, *, kept: bool) -> None:
    """Refuse a model whose parts stay with clients where a price allows them no memory.

    Args:
        experiment: What is computed.
        kept: Whether any part does; what `adapter.private` keeps back is `check`'s.

    Raises:
        PrivacyError: With every reason and what to do about it, if there is any.
    """
    name = f"model.name={experiment.model.name}"
    rules = [
        _of_memory(experiment, f"parts of {name} do", "choose another model"),
        (
            experiment.privacy.shuffled,
            f"privacy.shuffled composes rounds of clients that keep nothing but their data, and with {name} they keep "
            "parts of the model; choose another one",
        ),
    ]
    refuse(rules if experiment.privacy.on and kept else [])


def check_transforms(experiment: Experiment, *, kept: bool) -> None:
    """Refuse transforms whose memory a price does not allow; see `fedrec.transforms.pipeline` for why all others are.

    Args:
        experiment: What is computed.
        kept: Whether clients keep anything of them between rounds.

    Raises:
        PrivacyError: Saying what to do about it.
    """
    remembering = _of_memory(experiment, f"transforms ({names_of(experiment)}) do", "choose others")
    refuse([remembering] if experiment.privacy.on and kept else [])


def _of_memory(experiment: Experiment, who: str, instead: str) -> Rule:
    """Return the rule for clients that keep something between rounds, as `who` does."""
    sampling = experiment.federation.sampling
    return (
        experiment.privacy.trust == "central" and sampling == "without-replacement",
        f"federation.sampling={sampling} has no proven price where clients keep something between rounds, as {who}: it "
        f"would tell who made room for whom; set federation.sampling=balls-in-bins or poisson, or {instead}",
    )
