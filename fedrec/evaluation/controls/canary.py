"""The canary: a result that no honest experiment can give stops the run.

Models that never shared anything (`local_only`) are compared with the *references*: controls that learn from all
training users which items go together, by code that shares nothing with the run's training. If they beat the strongest
reference, held-out data has leaked. The run's own model trained centrally is no reference: a leak in the task or in its
training would lift it, too, and hide itself.

The strongest of several is a higher bar than any one of them, so several need no correction for multiple tests: whoever
beats the strongest beats each, and an honest run does that no more often than it beats any one of them by chance (an
intersection-union test, Berger 1982). What is lost is little: the strongest is picked on the same users, which lifts it
by about a standard error, and a leak lifts local training far above all of them.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from fedrec.core.errors import CanaryError
from fedrec.evaluation.controls.base import Control
from fedrec.evaluation.statistics.significance import FEW_USERS, SIGNIFICANT, FloatArray, paired_test
from fedrec.tasks.base import Headline

LOCAL_ONLY = "local_only"


def check_canary(controls: Mapping[str, Control], headline: Headline) -> str:
    """Stop if models that never shared anything beat the strongest reference: only a leak can do that.

    Compared are means over test users of the headline's metric on its target. For the next item alone the comparison
    would say less: references that ignore order may honestly be beaten there.

    Args:
        controls: All of the run's, by name.
        headline: What is compared, and which way is better.

    Returns:
        A warning in words where a lead may be chance (see `may_be_chance`); "" where there is no lead, or nothing to
        compare.

    Raises:
        CanaryError: If local-only training is ahead, or a mean is nan.
    """
    references = {
        name: control.test[headline.target]
        for name, control in controls.items()
        if control.reference and headline.target in control.test
    }
    if LOCAL_ONLY not in controls or not references:
        return ""
    local, metric = controls[LOCAL_ONLY].test[headline.target], headline.metric
    gains = {name: headline.gain(found.means[metric]) for name, found in references.items()}
    if headline.gain(local.means[metric]) <= np.max([*gains.values()]):  # which a nan is not
        return ""
    strongest = max(gains, key=gains.__getitem__)
    found = (
        f"local-only training reaches {metric} = {local.means[metric]:.3f} on {headline.target}, and {strongest}, the "
        f"strongest of {len(references)} controls fitted on all training users, only "
        f"{references[strongest].means[metric]:.3f}"
    )
    if may_be_chance(local.per_user[metric], [one.per_user[metric] for one in references.values()]):
        return (
            f"L{found[1:]}. With more test users that would end the run as a leak of held-out data; of "
            f"{len(local.users)} it may be chance."
        )
    message = (
        f"{found}. A client that never hears of others cannot know that much, so the answer has probably "
        "leaked into training. The usual leak: negatives drawn from items in neither train, validation nor test, "
        "which leaves the held-out items as the only ones never pushed down (it lifts HR@10 to 1.00 with "
        "federation off). Draw negatives from training interactions alone, then run again"
    )
    raise CanaryError(message)


def may_be_chance(local_only: FloatArray, references: Iterable[FloatArray]) -> bool:
    """Return whether a lead says nothing: fewer than `FEW_USERS` test users, and a paired test finds no difference.

    A lead over all references is beyond chance only if it is over each of them, so that one without a difference is
    enough.

    Args:
        local_only: One value per test user.
        references: One value per user of each, for the same users in the same order.
    """
    return len(local_only) < FEW_USERS and any(paired_test(local_only, one) >= SIGNIFICANT for one in references)
