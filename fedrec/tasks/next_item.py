"""Next-item recommendation: which item comes next, judged by ranking the catalogue for users who never trained.

The loss of an example is the cross-entropy of the next item, averaged over the example's positions. Above
`model.softmax_items` items the softmax runs over the target and a shared uniform sample, whose logits are raised by
log(items / sample) so that the sampled partition sum estimates the full one (Bengio & Senecal 2003).
"""

import math
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from fedrec.data.split import Cases, Cut, any_items
from fedrec.metrics.evaluation import Evaluation, Judged, Scorer
from fedrec.metrics.ranking import RANKED, evaluate
from fedrec.models.recommender import Recommender
from fedrec.tasks.base import LAST, LAST20, TASKS, Batch, Headline
from fedrec.tasks.sequences import SequenceTask
from fedrec.tasks.windows import IGNORED


@TASKS.register("next_item")
class NextItem(SequenceTask):
    """Predict the next item after every position, or after one (`training.example`)."""

    targets: ClassVar[tuple[Cut, ...]] = (LAST, LAST20)
    headline: ClassVar[Headline] = Headline("last20", f"ndcg@{RANKED}")
    shown: ClassVar[tuple[str, ...]] = ("ndcg@10", "hit_rate@10", "recall@20", "mrr@10")
    controls: ClassVar[tuple[str, ...]] = (
        "random",
        "popularity",
        "ease",
        "ease_recency",
        "linear_next_item",
        "linear_sum",
        "base",
        "local_only",
        "central",
    )
    ranks: ClassVar[bool] = True

    def scored(self, positions: int, items: int) -> int:
        """Return the items, or of a large catalogue each position's target and the sample."""
        limit = self.experiment.model.softmax_items
        return items if items <= limit else positions + limit

    def sample(self, rng: np.random.Generator, items: range) -> Tensor | None:
        """Return the sample of a sampled softmax; None for a catalogue small enough to be scored whole."""
        limit = self.experiment.model.softmax_items
        if len(items) <= limit:
            return None
        return torch.from_numpy(items.start + any_items(rng, len(items), limit))

    def losses(
        self, model: Recommender, batch: Batch, sample: Tensor | None, items: range | None = None
    ) -> Float[Tensor, " batch"]:
        """Return each example's mean loss over its targets, of which it has at least one, in nats."""
        items, target = items or range(model.num_items), batch["target"]
        known = target != IGNORED
        wanted = target.clamp(min=items.start)
        if sample is None:
            # Over the last axis, where scores lie side by side: `cross_entropy` wants them transposed, a copy.
            places = (wanted - items.start).unsqueeze(-1)
            losses = -model(batch, items=items).log_softmax(dim=-1).gather(-1, places).squeeze(-1)
        else:
            losses = _sampled(model, batch, wanted, sample, len(items))
        weight = known.to(losses.dtype)
        means: Tensor = (losses * weight).sum(dim=1) / weight.sum(dim=1)
        return means

    def evaluate(self, scorer: Scorer, cases: Cases, judged: Judged) -> Evaluation:
        """Rank the whole catalogue, less the history, for every case (see `fedrec.metrics.ranking`)."""
        return evaluate(
            scorer,
            cases,
            judged.num_items,
            judged.cutoffs,
            counts=judged.counts,
            item_vectors=judged.item_vectors,
            kinds=judged.kinds,
        )


def _sampled(model: Recommender, batch: Batch, wanted: Tensor, sample: Tensor, num_items: int) -> Tensor:
    length = wanted.shape[1]
    scores: Tensor = model(batch, wanted, sample)
    positive = scores[:, :, :length].diagonal(dim1=1, dim2=2)
    correction = math.log(num_items / len(sample))
    same = sample[None, None, :] == wanted[:, :, None]
    rest = (scores[:, :, length:] + correction).masked_fill(same, -math.inf)
    everything = torch.cat((positive[:, :, None], rest), dim=2)
    return everything.logsumexp(dim=2) - positive
