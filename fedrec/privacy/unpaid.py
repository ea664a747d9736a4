"""Was everything paid for? The ledger against what was sent."""

from collections.abc import Callable, Sequence
from functools import reduce

from fedrec.privacy.ledger import Ledger
from fedrec.privacy.plan import PrivacyPlan


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
