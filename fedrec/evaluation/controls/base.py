"""What a control is: another recommender, scored on the test users that the run's own is scored on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.core.registry import Registry
from fedrec.evaluation.evaluator import Evaluator
from fedrec.metrics.evaluation import Evaluation
from fedrec.privacy.disclosure import PRIVATE, Disclosure
from fedrec.run.job import Job


@dataclass(frozen=True, eq=False)
class Control:
    """How a control did on the test users.

    Attributes:
        test: Target -> evaluation.
        note: How it was made, in words.
        disclosure: Who may see it: a control that looks at private users without privacy is for a simulation's eyes.
        reference: Whether the canary compares local-only training with it (see `fedrec.evaluation.controls.canary`):
            it learns from all training users which items go together, by code that shares nothing with the run's
            training.
    """

    test: dict[str, Evaluation]
    note: str
    disclosure: Disclosure
    reference: bool = False


ControlMaker = Callable[[Job, Evaluator, Progress], Control]

CONTROLS: Registry[ControlMaker] = Registry("control", group="fedrec.controls")


def reference(test: dict[str, Evaluation], note: str) -> Control:
    """Return a control that was fitted on all training users in one place, for a simulation's eyes alone.

    Args:
        test: Target -> evaluation.
        note: Its settings, in words.
    """
    return Control(test, f"{note}; central, no privacy, item ids only", PRIVATE, reference=True)


def item_vectors_for(name: str, job: Job) -> NDArray[np.float32]:
    """Return the run's item vectors, `[items, width]`.

    Args:
        name: Of the control that asks.
        job: The run.

    Raises:
        ConfigError: If the run's model reads no text, for then nothing was encoded.
    """
    vectors = job.prepared.item_vectors
    if vectors is None:
        message = (
            f"the control {name} needs item vectors, and the model {job.experiment.model.name} reads no text; leave it "
            "out of evaluation.controls"
        )
        raise ConfigError(message)
    return vectors.numpy()
