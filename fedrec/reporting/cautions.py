"""What a reader of a run's numbers must know first: where they say less than they seem to.

Each function returns a sentence or more, "" where there is nothing to say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from fedrec.data.split import Cases
from fedrec.evaluation.statistics.significance import FEW_USERS, SIGNIFICANT, least_p_value, margin
from fedrec.privacy.disclosure import PRIVATE, PUBLIC, Disclosure
from fedrec.reporting.wording import count_text, listed
from fedrec.tasks.base import LAST


@dataclass(frozen=True)
class Caution:
    """A warning in words, and who may see it."""

    text: str
    disclosure: Disclosure


def cautions(  # noqa: PLR0913 - what is warned of, and who may see it
    order: str,
    items: int,
    cutoffs: Sequence[int],
    cases: Mapping[str, Cases],
    *,
    users_are_public: bool,
    volunteers: bool,
    of_task: str = "",
) -> list[Caution]:
    """Return all there is to warn of, the gravest first.

    Args:
        order: What a user's rows are ordered by (see `Dataset.order`).
        items: Size of the catalogue.
        cutoffs: Those that were evaluated.
        cases: Target -> the test users' cases; empty without test users.
        users_are_public: Whether the number of users is; where it is not, nothing that depends on it may be published.
        of_task: What the task's own numbers say less than they seem to.
        volunteers: Whether test users are; where they are not, nothing that depends on their data may be published.
    """
    users = max((len(of.users) for of in cases.values()), default=0)
    found = [
        Caution(of_task, PUBLIC),
        Caution(without_times(order, {target: of.words for target, of in cases.items()}), PUBLIC),
        Caution(few_users(users), PUBLIC if users_are_public and volunteers else PRIVATE),
        Caution(small_catalogue(items, cutoffs), PUBLIC),
        Caution(same_targets(cases), PUBLIC if volunteers else PRIVATE),
    ]
    return [caution for caution in found if caution.text]


def without_times(order: str, targets: Mapping[str, str]) -> str:
    """Warn that nothing later was predicted."""
    if order == "time":
        return ""
    named = listed([f'"{words}"' for words in targets.values()]) or "what is judged"
    left_out = (
        ""
        if LAST.name in targets
        else f" For {LAST.words} that would say least, so it is left out; evaluation.targets can ask for it."
    )
    verb = "mean" if len(targets) > 1 else "means"
    return (
        f"The data have no times, so {named} {verb} the last in the file: unless its rows stand in order of time, "
        f"nothing is predicted.{left_out} Name their column in data.table.time, if they have one."
    )


def few_users(users: int) -> str:
    """Warn that so few test users cannot show a difference, and which."""
    if not 0 < users < FEW_USERS:
        return ""
    least = least_p_value(users)
    untestable = f" No paired test of so few can give p below {least:.2g}." if least >= SIGNIFICANT else ""
    return (
        f"Only {count_text(users, 'test user')} could be ranked. A mean over so few may be off by up to "
        f"{margin(users):.2f} (95 %, for any metric from 0 to 1), so a smaller difference may be chance.{untestable} "
        "More data or a larger split.test tells more."
    )


def small_catalogue(items: int, cutoffs: Sequence[int]) -> str:
    """Warn of lists that hold half of the catalogue or more, whatever is recommended."""
    long = [cutoff for cutoff in cutoffs if 2 * cutoff >= items]
    if not long:
        return ""
    shares = [f"{min(100.0, 100 * cutoff / items):.0f} %" for cutoff in long]
    return (
        f"The catalogue has {count_text(items, 'item')}, so lists of {listed([str(cutoff) for cutoff in long])} hold "
        f"at least {listed(shares)} of it, whatever is recommended: scores at such cut-offs tell little. Smaller "
        "evaluation.cutoffs tell more."
    )


def same_targets(cases: Mapping[str, Cases]) -> str:
    """Warn of targets that are the same items for every test user."""
    same = [(one, other) for one, other in combinations(cases, 2) if _same(cases[one], cases[other])]
    return " ".join(
        f'For every test user "{cases[one].words}" and "{cases[other].words}" are the same items, for no history is '
        "long enough to tell them apart: their scores are one measurement."
        for one, other in same
    )


def _same(one: Cases, other: Cases) -> bool:
    pairs = zip(one.targets, other.targets, strict=True)
    return len(one.targets) > 0 and all(np.array_equal(left, right) for left, right in pairs)
