"""What picking a round through noise loses: exact losses of finished runs, and noise of several epsilons drawn anew.

Give it the folder of a sweep whose trials had `evaluation.private` and `evaluation.select=best`:
`python -m simulations.benchmarks.private_validation SWEEP`. A trial's exact losses stand in its private part, and the
noise on them is what `fedrec.privacy.validation` plans: a simulator's look, which releases nothing.
"""

import sys
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedrec.core.seeding import rng_for
from fedrec.evaluation.evaluator import scale_of
from fedrec.evaluation.validation.private import NDCG, deviations
from fedrec.experiment.config import Experiment
from fedrec.privacy.validation import validation_plan
from fedrec.run.directory import RunDirectory

EPSILONS = (1.0, 2.0, 8.0)
CHANGE_BOUNDS = (1.0, 0.5)
"""In nats; no bound below what users' losses really change by may stand here, because means are taken as uncut."""
DRAWS = 10_000


def promising(experiment: Experiment, epsilon: float, change_bound: float) -> Experiment:
    """Return the experiment with another promise to its validation users."""
    changes = {"epsilon": epsilon, "change_bound": change_bound}
    private = experiment.evaluation.private.model_copy(update=changes)
    evaluation = experiment.evaluation.model_copy(update={"private": private})
    return experiment.model_copy(update={"evaluation": evaluation})


def picked(losses: NDArray[np.float64], deviation: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the round of the lowest noisy loss, the base's being without noise, in each of `DRAWS` draws.

    Args:
        losses: Exact mean loss of each round from 0, `[rounds + 1]`.
        deviation: Of the noise on a round's difference from the base.
        rng: Of the noise.
    """
    noise = rng.normal(0.0, deviation, (DRAWS, len(losses)))
    noise[:, 0] = 0.0
    return np.asarray(np.argmin(losses + noise, axis=1))


def main(sweep: Path) -> None:
    """Print a row an epsilon and bound, averaged over the sweep's trials."""
    runs = [RunDirectory(path) for path in sorted((sweep / "trials").iterdir())]
    courses = [np.array([line["exact"]["loss"] for line in run.rounds()]) for run in runs]
    base, best, last = np.mean([[course[0], course.min(), course[-1]] for course in courses], axis=0)
    print(f"{len(runs)} runs; exact validation loss: base {base:.4f}, best round {best:.4f}, last round {last:.4f}")
    print("| epsilon | change_bound | noise on a loss's change | on NDCG@10 | picked, above the best | base kept |")
    print("|---|---|---|---|---|---|")
    for epsilon, bound in product(EPSILONS, CHANGE_BOUNDS):
        lost, kept, noise = [], [], dict[str, float]()
        for run, course in zip(runs, courses, strict=True):
            job = run.job
            plan = validation_plan(promising(run.experiment, epsilon, bound), job.validation.users)
            noise = deviations(plan, scale_of(job))
            rounds = picked(course, noise["loss_change"], rng_for(run.experiment.seed, "picking", f"{epsilon} {bound}"))
            lost.append(np.mean(course[rounds] - course.min()))
            kept.append(np.mean(rounds == 0))
        row = f"{noise['loss_change']:.3f} | {noise[NDCG]:.3f} | +{np.mean(lost):.4f} | {np.mean(kept):.1%}"
        print(f"| {epsilon:g} | {bound:g} | {row} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
