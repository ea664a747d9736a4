"""What clients' answers say that nobody paid for."""

from fedrec.privacy.plan import PrivacyPlan
from fedrec.training.task import CohortUpdate


def uncharged(update: CohortUpdate, plan: PrivacyPlan) -> list[str]:
    """Return what answers tell of private data beside the parameters, in sentences; it is in no ledger.

    Under privacy a weight is 1, because a number of examples is a release, and no loss is sent. Without, all may be
    told.
    """
    if plan.trust == "none":
        return []
    whole = plan.trust != "local"  # there nothing is noised before it is sent
    told = [
        f"client {client} sends {', '.join(sorted(update.extras))} beside its change, which is not paid for"
        for client in update.clients
        if whole and update.extras
    ]
    told += [
        f"client {client} says its weight {weight:g}, and only 1 may be said under privacy"
        for client, weight in zip(update.clients, update.weights, strict=True)
        if weight != 1.0
    ]
    return told + [
        f"client {client} tells its training loss, which is not paid for"
        for client, loss in zip(update.clients, update.losses, strict=True)
        if loss is not None
    ]
