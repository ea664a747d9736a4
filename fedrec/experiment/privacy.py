"""The section `[privacy]`: what is promised to whom."""

import math
from typing import Annotated, Literal

from pydantic import Field

from fedrec.experiment.section import Positive, Section, Share

Adjacency = Literal["zero-out", "add-remove", "replace-one"]
"""What a neighbour has of one unit: nothing, the number of units being public; nothing, and that number is private;
or other data of the same unit."""


class SecureAggregationConfig(Section):
    """How a sum is opened and no summand (`privacy.trust = "secure-aggregation"`)."""

    dropouts: Annotated[float, Field(ge=0, lt=0.5)] = 0.2
    """Share of a cohort that may drop out: with more the round is lost. More tolerance takes more noise."""
    colluding: Annotated[int, Field(ge=0)] = 1
    """Most clients of a cohort that tell others what they know: their shares of the noise are not counted."""
    noise: Literal["gaussian", "skellam"] = "gaussian"
    """Each client's share of the noise: a Gaussian on a fine grid that a sum never wraps around, or Skellam noise on a
    coarse one after a public rotation, which needs few bits (10 to 20) and is priced by its own theorem."""
    bits: Annotated[int, Field(ge=8, le=64)] = 32
    """Sums are taken modulo 2^bits, on the finest grid with room for a cohort."""
    masked_rounds: Annotated[int, Field(ge=0)] = 1
    """First rounds whose masks a simulation really computes: seconds for a cohort of 66 clients, minutes for 660. Later
    ones add the same integers without masks, to the same bits."""


class AdaptiveClipConfig(Section):
    """A clip norm that follows the updates' lengths (`privacy.trust = "central"`; Andrew et al. 2021)."""

    quantile: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the updates that should be no longer than the clip norm, which then starts at `privacy.clip_norm`; the
    clip norm stays fixed if not given."""
    lr: Annotated[float, Field(gt=0)] = 0.2
    """The clip norm is multiplied by exp(-lr * (share - quantile)) a round."""
    noise: Annotated[float, Field(gt=0)] = 0.05
    """Noise on the share of updates that were short enough: a release, which the updates' own noise pays for."""


class ItemCountsConfig(Section):
    """How many users have each item: one noisy release before the first round (`privacy.trust = "central"`).

    Its logarithm is added to the item bias of the finished adapter, with the weight that validation users like best.
    """

    share: Share = 0.0
    """Share of `privacy.epsilon` that it alone would spend; 0 asks for no counts. Without privacy any share asks for
    the counts as they are."""
    clip_norm: Annotated[float, Field(gt=0)] = 8.0
    """L2 bound of one user's vector of ones and zeros: a user with n items is shortened if n > clip_norm^2."""


class PrivacyConfig(Section):
    """What is promised to whom."""

    epsilon: Annotated[float, Field(gt=0)] = math.inf
    """Target epsilon of the whole run; inf trains without privacy."""
    delta: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Target delta, below 1 / n of the n units, or of `population` where that is larger: a mechanism that publishes one
    unit whole has delta 1 / n. By default min(n^-1.1, 0.01 / n), which is at most a hundredth of that."""
    adjacency: Adjacency = "zero-out"
    """What a neighbour has of one unit: nothing, while units, clients and their number are public (`zero-out`);
    nothing, and the number of units stays private, too (`add-remove`: central trust, Poisson cohorts, a delta and a
    `federation.declared_cohort`); or other data (`replace-one`, which takes about twice the noise)."""
    unit: Literal["user", "example", "platform"] = "user"
    """What one neighbour adds or removes: a user, a training example, or all that one client holds."""
    trust: Literal["local", "secure-aggregation", "central"] = "local"
    """Who adds the noise: each client for itself (nobody is trusted), the clients together, of whom the server learns
    the sum alone (it is trusted to follow the protocol), or the server (it is trusted)."""
    clip_norm: Annotated[float, Field(gt=0)] = 1.0
    """L2 bound of one unit's contribution."""
    noise_multiplier: Annotated[float, Field(gt=0)] | None = None
    """Noise in units of `clip_norm`; calibrated from `epsilon` if not given."""
    noise_key: Annotated[int, Field(ge=0)] | None = None
    """Fixes all secret draws (noise, Poisson cohorts and batches), so that the run can be repeated to the same bits.
    Reproducible, and protects nobody: whoever reads the experiment can take the noise off. A fresh key of the
    operating system for every run if not given."""
    budget: Annotated[float, Field(gt=0)] = math.inf
    """The run ends before the round that would bring its ledger's epsilon above this."""
    bands: Positive = 1
    """Rounds over which the server's noise is correlated, so that it cancels in the sum of all rounds (banded matrix
    factorisation); clients then take part in every `bands`-th round only. 1 is independent noise."""
    filter_rounds: Positive | None = None
    """Per-user filters (`privacy.trust = "central"`): noise for so many rounds at the clip norm, while `rounds` may be
    more. Each user pays for the length of its own clipped updates, and adds nothing once it has spent what so many
    updates as long as the clip norm cost. Without it, noise is for all rounds that a user is in."""
    population: Positive | None = None
    """Extrapolation: the server's noise is that of a population of so many users, and protects this one less. Always
    labelled, and never a claim about this run's users."""
    shuffled: bool = False
    """With local trust: a trusted shuffler passes on each round's messages, at least `federation.min_replies` of them
    or none, so that nobody learns who sent which; what that is worth is taken off the noise."""
    adaptive_clip: AdaptiveClipConfig = AdaptiveClipConfig()
    item_counts: ItemCountsConfig = ItemCountsConfig()
    secure_aggregation: SecureAggregationConfig = SecureAggregationConfig()

    @property
    def on(self) -> bool:
        """Whether anything is clipped and noised."""
        return math.isfinite(self.epsilon) or self.noise_multiplier is not None
