"""What a strategy is told of the run, and what it tells of a round."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fedrec.core.errors import ConfigError
from fedrec.privacy.accounting.filters import Filter
from fedrec.privacy.plan import PrivacyPlan
from fedrec.transforms.pipeline import Transforms
from server.aggregation.replies import Rejection
from server.message_size import Sent


@dataclass(frozen=True)
class StrategyContext:
    """What every strategy is told of the run.

    Attributes:
        seed: Seed of the named draws that may be known.
        secret_seed: Seed of the noise (see `fedrec.privacy.noise_key`).
        cohort: Round -> clients to ask, ascending.
        expected_cohort: Expected number of clients a round: the fixed denominator under central privacy.
        min_replies: Fewer usable replies fail the run; where sums are noised, no reply at all does.
        max_update_norm: Longer updates are rejected; where sums are noised, they are clipped.
        plan: Who clips and noises.
        transforms: What clients' changes come through.
    """

    seed: int
    secret_seed: int
    cohort: Callable[[int], Sequence[int]]
    expected_cohort: float
    min_replies: int
    max_update_norm: float
    plan: PrivacyPlan
    transforms: Transforms = field(default_factory=Transforms)

    @property
    def sums_are_noised(self) -> bool:
        """Whether a clipped and noised sum is all that may be known of a round's changes."""
        return self.plan.trust in {"secure-aggregation", "central"}


@dataclass(frozen=True)
class RoundReport:
    """What happened in the last round, for metrics, ledger and statement."""

    cohort: Sequence[int] = ()
    accepted: int = 0
    rejections: Sequence[Rejection] = field(default_factory=list)
    update_norm: float = 0.0
    sent: Sent = field(default_factory=Sent)
    filter: Filter | None = None


def between(
    option: str, value: float, *, least: float = -math.inf, above: float = -math.inf, below: float = math.inf
) -> float:
    """Return a strategy's option if it is a number in its range: at least `least`, above `above`, below `below`.

    Raises:
        ConfigError: If it is not.
    """
    if isinstance(value, bool | str) or not (value >= least and above < value < below):
        bounds = [
            (math.isfinite(least), f"at least {least:g}"),
            (math.isfinite(above), f"above {above:g}"),
            (math.isfinite(below), f"below {below:g}"),
        ]
        allowed = " and ".join(words for holds, words in bounds if holds) or "finite"
        message = f"strategy.options.{option} = {value!r}: should be a number {allowed}"
        raise ConfigError(message)
    return float(value)
