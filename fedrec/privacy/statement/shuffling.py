"""What may be claimed where a trusted shuffler mixes locally private messages: the part of the statement about it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fedrec.privacy.accounting.prices import Release, epsilon
from fedrec.privacy.plan import PrivacyPlan

HIDING = (
    "Every user is in every round. That nobody knows which message is whose amplifies privacy (Feldman, McMillan and "
    "Talwar 2021, theorems 3.2 and 3.8; unless a neighbour has other data, with clones of an empty input); where that "
    "proves less than each message's own noise does, the latter counts."
)


def numbers_of(plan: PrivacyPlan, releases: Iterable[Release]) -> dict[str, Any]:
    """Return what `summary.json` says of a shuffler: what it mixes, and epsilon against whoever it tells all."""
    alone = epsilon([replace(release, mixed=0) for release in releases], plan.delta)
    return {"shuffled": {"messages": plan.mixed, "epsilon_without_shuffler": alone.pld}}


def mixing(plan: PrivacyPlan, alone: str) -> str:
    """Return who is trusted with what; `alone` is the epsilon that is left where the shuffler cannot be trusted."""
    return (
        f"Each client, a user each, clips its gradient to L2 norm {plan.clip_norm:g} and adds Gaussian noise of "
        f"{plan.noise_multiplier:.4g} times that (DP-SGD). A shuffler is trusted to pass on the messages of a round in "
        f"random order, at least {plan.mixed:,} of them or none, with nothing that tells who sent which, and to side "
        "with nobody; whether a client answers must not depend on its data. This simulation takes the shuffler for "
        "granted: its server only adds the messages up. The claim holds against the server, the other clients and "
        f"whoever sees the models. Against the shuffler itself, which sees whose message is whose, epsilon is {alone}."
    )
