"""An audit of an experiment: the same run with canary users in it, and what the adversary made of them.

The production code runs as it is, on a prepared folder that holds the canaries; observers (see
`simulations.attacks.observers`) sit where clients' work is called for. The trained model has learnt canaries and is
thrown away.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from clients.cohort import answer_cohort
from fedrec.attacks.audit.canaries import Canaries, directions, draw_canaries
from fedrec.attacks.audit.f_dp import claimed_curve, gaussian_bound, refuted_by
from fedrec.attacks.audit.one_run import guess, lower_bound
from fedrec.attacks.audit.replay import clear, losses_of
from fedrec.attacks.audit.verdict import Access, Verdict
from fedrec.core.errors import ConfigError
from fedrec.core.progress import Progress
from fedrec.core.threads import one_thread
from fedrec.evaluation.evaluator import Evaluator
from fedrec.evaluation.result.selection import finished
from fedrec.experiment.config import Experiment
from fedrec.privacy.unpaid import unpaid
from fedrec.run.checkpoint import Checkpoint
from fedrec.run.job import Job
from fedrec.run.preparation import Prepared, prepare
from fedrec.training.context import TrainingContext
from server.base import MeanStrategy, Strategy
from server.rounds import RoundContext, run_rounds
from server.stop import StopRequest
from server.strategies.build import build_strategy, check_strategy
from simulations.attacks.canary_run import planted_run
from simulations.attacks.contributions import Audited, AuditObserver, look
from simulations.attacks.observers import FinalModelObserver, Notes, SumObserver, UpdateObserver, Vector
from simulations.engine.cohorts import CohortGrid, OneProcess

CLIPS = 10.0
"""Length of a canary's update where sums are observed, in clip norms: a clip that is missing shows."""

MOST_LENGTH = 0.99
"""The same at most, of the longest update that is accepted."""


@dataclass(frozen=True)
class Audit:
    """How to audit.

    Attributes:
        canaries: Number of canary users; the verdict says how much they can prove at most.
        access: What the adversary sees: all that the trust model shows it, or the final model alone.
        confidence: Chance that the bound holds, at least.
        false_alarm: Chance that the tests of noise together call a true claim false.
    """

    canaries: int = 100
    access: Access = "white-box"
    confidence: float = 0.95
    false_alarm: float = 1e-3


def audit(experiment: Experiment, asked: Audit, cache: Path, progress: Progress) -> Verdict:
    """Run an experiment with canaries in a folder that is removed afterwards; return what was found.

    Raises:
        ConfigError: If the experiment, its privacy claim or the number of canaries cannot work.
        FedrecError: If the data cannot be had, or a round fails.
    """
    check_strategy(experiment)
    with TemporaryDirectory(prefix="fedrec-audit-") as folder:
        prepared = prepare(experiment, Path(folder) / "prepared", cache, progress)
        return audit_prepared(experiment, prepared.folder, Path(folder) / "run", asked, progress)


def audit_prepared(experiment: Experiment, prepared: Path, place: Path, asked: Audit, progress: Progress) -> Verdict:
    """Audit an experiment whose data lie in the folder `prepared`, in a new run directory `place`.

    Raises:
        ConfigError: If what would be observed is not what the claim is about.
    """
    if experiment.privacy.shuffled and asked.access == "white-box":
        message = (
            "a white-box audit sees each client's own message, and the claim of privacy.shuffled is about messages "
            "that nobody can tell apart; add --access black-box, or audit --set privacy.shuffled=false"
        )
        raise ConfigError(message)
    source = Prepared(prepared)
    platforms = source.platforms
    catalogues = [platforms.items_of(int(platform)) for platform in platforms.of_clients(source.federation)]
    canaries = draw_canaries(asked.canaries, catalogues, experiment)
    run = planted_run(experiment, source, canaries, place)
    job, strategy = run.job, build_strategy(run.job)
    apart = canaries.clients_apart(source.federation, source.train.num_users)
    context = clear(job.training_context, canaries.rows_in(source.train, everybody=True), apart)
    observer = _observer(job, strategy, canaries, context, asked.access)
    with one_thread():
        grid = CohortGrid(len(job.prepared.federation), OneProcess(), observer)
        last = run_rounds(RoundContext(run, strategy, grid, Evaluator(job)), progress, (), StopRequest(run.path))
        scores = (
            _losses_saved(last, job, source, context)
            if isinstance(observer, FinalModelObserver)
            else observer.scores(job.expected_cohort)
        )
        seen = look(Audited(job, canaries, context, last), observer)
    spent = last.ledger.epsilon(job.plan.delta) if experiment.privacy.on else None
    guessed, confidence = guess(scores, canaries.included), asked.confidence
    return Verdict(
        claimed=float("inf") if spent is None else spent.worst.pld,
        bound=lower_bound(guessed, job.plan.delta, confidence),
        access=asked.access,
        gaussian=None if spent is None else gaussian_bound(guessed, job.plan.delta, confidence),
        curve_refuted=spent is not None and refuted_by(guessed, claimed_curve(spent.releases), confidence),
        noise=seen.noise(asked.false_alarm) if job.plan.noise_multiplier else None,
        reach=seen.reach,
        unpaid=unpaid(last.ledger, job.plan, lambda number: observer.notes.asked.get(number, []), last.round),
        others=[*seen.faults, *observer.notes.told],
        unseen=seen.unseen,
    )


def _observer(
    job: Job, strategy: Strategy, canaries: Canaries, context: TrainingContext, access: Access
) -> AuditObserver:
    """Return who listens: to sums where the server is trusted, to each update where it is not, or to none."""
    experiment, sizes = job.experiment, [value.numel() for value in context.shared_start.values()]
    if access == "black-box":
        return FinalModelObserver(answer_cohort, Notes(job.plan))
    if not (isinstance(strategy, MeanStrategy) and strategy.context.sums_are_noised):
        return UpdateObserver(answer_cohort, canaries, context, Notes(job.plan))
    clip, longest = job.plan.clip_norm, experiment.federation.max_update_norm
    observer = SumObserver(
        train=answer_cohort,
        canaries=canaries,
        directions=directions(len(canaries), sum(sizes), experiment.seed),
        length=min(CLIPS * clip, MOST_LENGTH * longest),
        strategy=strategy,
        notes=Notes(job.plan),
    )
    observer.observe_steps_()
    return observer


def _losses_saved(last: Checkpoint, job: Job, source: Prepared, context: TrainingContext) -> Vector:
    """Return by how much the final model's loss on each canary is below the base's, in nats."""
    final = finished(last, job.experiment, job.plan, Evaluator(job)).parameters
    canaries = range(source.train.num_users, context.train.num_users)
    before, after = (losses_of(context, canaries, values) for values in (context.shared_start, final))
    return before - after
