"""What validation users are promised, where they are no volunteers: a claim of its own beside the training users'."""

from collections.abc import Mapping
from dataclasses import replace

from fedrec.privacy.ledger import Ledger
from fedrec.privacy.statement.statement import MEANINGLESS, Statement, words
from fedrec.privacy.validation import Form, ValidationPlan

_PUBLISHED: Mapping[Form, str] = {
    "mean": "their mean loss and NDCG@10, each user's values bounded",
    "histogram": "at which rank the last item stood, each user once in one of the bins that are public",
}

_TESTING = (
    "Test users did not volunteer either: their scores, and with them the controls, are in no ledger and stay in the "
    "private part, seen only because this is a simulation. Outside the ledgers are also the public users, who "
    "consented, and the catalogue with its text and the pretrained text encoder, which are public."
)

_NEIGHBOUR = {
    "zero-out": "has nothing of one of them, whose place stays, so that how many there are is public",
    "replace-one": "has other data of one of them, so that contributions may lie two bounds apart; how many there are "
    "is public",
}


def with_validation(said: Statement, plan: ValidationPlan, ledger: Ledger, deviation: Mapping[str, float]) -> Statement:
    """Return a statement that also says what private validation users are promised.

    Args:
        said: What training users are promised.
        plan: What is asked of validation users.
        ledger: What they paid so far.
        deviation: Of the noise on each value that is published of them.
    """
    spent = ledger.epsilon(plan.delta)
    count = sum(release.count for release in spent.releases)
    numbers = {
        "unit": "user",
        "users": plan.users,
        "form": plan.form,
        "adjacency": plan.adjacency,
        "epsilon": spent.worst.pld,
        "epsilon_rdp": spent.worst.rdp,
        "meaningful": spent.worst.pld < MEANINGLESS,
        "epsilon_target": plan.epsilon,
        "delta": plan.delta,
        "noise_multiplier": plan.noise_multiplier,
        "releases_per_unit": count,
        "releases_planned": plan.count,
        "change_bound": plan.change_bound,
        "deviation": dict(deviation),
    }
    published = (
        f"The {plan.users} validation users are no volunteers, and nobody is both among them and among those whose "
        "data train: a training user pays for the training alone, a validation user for the scores alone (parallel "
        f"composition). For validation users this is user-level differential privacy with epsilon "
        f"{words(spent.worst.pld)} at delta {plan.delta:.4g} (PLD accountant; RDP gives {words(spent.worst.rdp)} as a "
        f"check): a neighbour {_NEIGHBOUR[plan.adjacency]}. Published were {_PUBLISHED[plan.form]}, in {count} of "
        f"{plan.count} sums that were planned before the run and charged when published, with Gaussian noise of "
        f"{plan.noise_multiplier:.4g} times what one user without data changes at most. The server is trusted to "
        "compute them. Whatever picks a round, or the weight of popularity, sees these sums and no exact score."
    )
    parts = {**said.parts, "Validation users": published, "Not covered": _TESTING}
    whole = Statement(parts, {})
    return replace(whole, summary={**said.summary, "validation": numbers, "statement": whole.text, "parts": parts})
