"""The mechanism that tells of private validation users: planned sums with Gaussian noise of the run's own key.

The noise of a sum is named by its question and by the adapter that it is about. So a resumed run tells the same bits;
an adapter that is asked about again tells nothing new; and no two adapters have noise in common, which a difference
would take off.
"""

from fedrec.core.errors import PrivacyError
from fedrec.core.seeding import rng_for
from fedrec.evaluation.validation.contributions import Contributions, Values
from fedrec.privacy.validation import Question, ValidationPlan


class NoisySums:
    """Answers what was planned, and nothing else.

    Args:
        plan: Of private validation users.
        secret_seed: Of the run's secret draws.
    """

    def __init__(self, plan: ValidationPlan, secret_seed: int) -> None:
        self._plan, self._secret_seed = plan, secret_seed
        self._answered: dict[tuple[int, Question], str] = {}

    def mean(self, number: int, question: Question, about: str, contributions: Contributions) -> Values:
        """Return the sum over all validation users with noise, divided by their public number, `[numbers]`.

        Args:
            number: Of the round that pays, or the plan's `result`.
            question: What is asked.
            about: The adapter, by its hash.
            contributions: Of the users who have data.

        Raises:
            PrivacyError: If this was not planned, or was answered about another adapter: no one has paid for it.
        """
        planned = 0 <= number < len(self._plan.asked) and question in self._plan.asked[number]
        answered = self._answered.setdefault((number, question), about) if planned else ""
        if answered != about:
            why = "was answered already, about another adapter" if planned else "is not in the plan"
            message = (
                f"the validation users' {question} under number {number} {why}, so no privacy budget is left for it; "
                "ask what fedrec.privacy.validation plans, once"
            )
            raise PrivacyError(message)
        rng = rng_for(self._secret_seed, "validation scores", question, about)
        return contributions.noisy_sum(self._plan.noise_multiplier, rng) / self._plan.users
