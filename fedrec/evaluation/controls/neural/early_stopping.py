"""How a neural control is made: settings and epochs are picked by validation users; test users are scored once."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from fedrec.core.progress import Progress
from fedrec.core.threads import one_thread
from fedrec.evaluation.controls.base import Control, reference
from fedrec.evaluation.controls.by_platform import Alone, alone, together
from fedrec.evaluation.controls.neural.learner import Learner, require_small
from fedrec.evaluation.controls.tuning import Grid, in_words, tuned
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Scorer
from fedrec.run.job import Job


@dataclass(frozen=True)
class Recipe:
    """How one neural control is made.

    Attributes:
        name: Of the control.
        make: Rows of a platform, seed and name of its draws -> what learns from them; settings by keyword.
        grid: Settings that validation users pick.
        epochs: Most passes over the rows.
        patience: Epochs without a better score of the validation users before training stops.
        fixed_epochs: Passes where no validation user may be looked at.
        note: What else decides it, in words.
    """

    name: str
    make: Callable[..., Learner]
    grid: Grid
    epochs: int
    patience: int
    fixed_epochs: int
    note: str


@dataclass(frozen=True, eq=False)
class Trained:
    """What training ended with.

    Attributes:
        scorer: Of all platforms.
        epoch: The one that it is of.
    """

    scorer: Scorer
    epoch: int


def trained_control(recipe: Recipe, job: Job, evaluator: Evaluator, progress: Progress) -> Control:
    """Return a neural control, each platform's model learning from its rows alone, all for the same epochs.

    Raises:
        ConfigError: If a catalogue is too large.
    """
    platforms = alone(job.prepared)
    for rows in platforms.rows:
        require_small(recipe.name, rows.num_items)
    tried: dict[frozenset[tuple[str, float]], Trained] = {}

    def trained(settings: Mapping[str, float]) -> Trained:
        key = frozenset(settings.items())
        if key not in tried:
            learners = [
                recipe.make(rows, job.experiment.seed, recipe.name, platform, **settings)
                for platform, rows in enumerate(platforms.rows)
            ]
            tried[key] = stopped_early_(learners, platforms, recipe, evaluator, progress)
        return tried[key]

    with one_thread():
        settings = tuned(evaluator, recipe.name, recipe.grid, lambda **one: trained(one).scorer)
        best = trained(settings)
        test = evaluator.test(best.scorer)
    told = "by validation users" if evaluator.can_tune else "fixed"
    return reference(test, f"{in_words(evaluator, settings, recipe.grid)}, epoch {best.epoch} ({told}), {recipe.note}")


def stopped_early_(
    learners: Sequence[Learner], platforms: Alone, recipe: Recipe, evaluator: Evaluator, progress: Progress
) -> Trained:
    """Train until validation users like it no better, and leave what they liked best; the first of equals.

    Where nobody may be asked, all is trained for `fixed_epochs`.
    """
    guided, label = evaluator.can_tune, f"control {recipe.name}"
    most = recipe.epochs if guided else recipe.fixed_epochs
    scorer = together(platforms, [learner.scores for learner in learners])
    gain, best = -math.inf, most
    weights: list[dict[str, Tensor]] = []
    progress(label, 0, most)
    for epoch in range(1, most + 1):
        for learner in learners:
            learner.learn_(epoch)
        found = evaluator.validation_gain(scorer) if guided else math.nan
        progress(label, epoch, most, f"validation {found:.3f}" if guided else "")
        if found > gain:
            gain, best, weights = found, epoch, [copy.deepcopy(learner.state_dict()) for learner in learners]
        elif epoch - best >= recipe.patience:
            progress(label, most, most, f"stopped at epoch {epoch}")
            break
    if guided:
        for learner, own in zip(learners, weights, strict=True):
            learner.load_state_dict(own)
    return Trained(scorer, best)
