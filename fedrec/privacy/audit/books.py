"""Was everything paid for? The ledger against what was sent, and answers against what may be said."""

from collections.abc import Callable, Sequence
from functools import reduce

from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import PrivacyPlan
from fedrec.training.task import CohortUpdate


def unpaid(ledger: Ledger, plan: PrivacyPlan, cohort: Callable[[int], Sequence[int]], rounds: int) -> list[int]:
    """Return the rounds from 0 up to `rounds` that the ledger does not hold in full; none without privacy.

    Charging a round again changes nothing, so a round is paid if and only if it can be charged without a change.

    Args:
        ledger: The books, which may hold other charges, too.
        plan: The mechanism.
        cohort: Round -> who was asked; named draws, so a resumed run knows what should be in its books.
        rounds: The last round; 0 for what is released before the first.
    """

    def paid(books: Ledger, number: int) -> Ledger:
        return plan.charge(books, number, cohort(number) if number else ())

    numbers = range(rounds + 1)
    if reduce(paid, numbers, ledger) == ledger:
        return []
    return [number for number in numbers if paid(ledger, number) != ledger]


def uncharged(update: CohortUpdate, plan: PrivacyPlan) -> list[str]:
    """Return what answers tell of private data beside the parameters, in sentences; it is in no ledger.

    Under privacy a weight is 1, because a number of examples is a release, and no loss is sent. Without, all may be
    told.
    """
    if plan.placement == "none":
        return []
    told = [
        f"client {client} says its weight {weight:g}, and only 1 may be said under privacy"
        for client, weight in zip(update.clients, update.weights, strict=True)
        if weight != 1.0
    ]
    return told + [
        f"client {client} tells its training loss, which is not paid for"
        for client, loss in zip(update.clients, update.losses, strict=True)
        if loss is not None
    ]
