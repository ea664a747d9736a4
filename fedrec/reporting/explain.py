"""What a run may claim so far, finished or not: the privacy statement over the ledger that it saved last."""

from dataclasses import dataclass
from typing import Any

from fedrec.core.errors import RunError
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.statement.statement import in_other_words, words
from fedrec.reporting.claim import claim
from fedrec.run.directory import LEDGER, VALIDATION_LEDGER, RunDirectory
from fedrec.run.preparation import is_prepared, require_intact


@dataclass(frozen=True)
class Explanation:
    """The statement's `parts` by what they are about, with what only a reader needs; `facts` for programs."""

    parts: dict[str, str]
    facts: dict[str, Any]


def explain(run: RunDirectory) -> Explanation:
    """Return the run's statement over its newest checkpoint, or over `ledger.json` if it is finished.

    A round that was sent and not saved is in neither. Resuming repeats it with the same noise and charges it then; what
    it would bring the claim to is said beside it.

    Raises:
        RunError: If nothing is prepared yet, or the ledger cannot be read.
    """
    if not is_prepared(run.private / "prepared"):
        message = f"{run.path} has no prepared data, so no client was asked yet; `fedrec resume {run.path}` goes on"
        raise RunError(message)
    require_intact(run.private / "prepared")
    plan, rounds = run.job.plan, run.experiment.rounds
    finished, validation = run.is_finished, run.job.validation
    saved, ledger, told = _saved(run, finished=finished)
    for books, releases in ((ledger, plan.releases), (told, validation.releases)):
        if strange := [release for release in books.charges if release not in releases]:
            message = (
                f"the ledger of {run.path} charges what this run never releases ({strange[0]}): it was edited, or "
                "belongs to another run; restore it"
            )
            raise RunError(message)
    said = claim(run.job, ledger, told)
    parts, facts = dict(said.parts), dict(said.summary)
    if plan.trust != "none":
        parts["In other words"] = in_other_words(plan.unit, facts["epsilon"], plan.claimed_delta)
        if not finished and saved is not None and saved < rounds:
            sent = plan.charge(ledger, saved + 1, _asked(run, saved + 1))
            facts["epsilon_if_sent"] = sent.epsilon(plan.delta, plan.clients).worst.pld
            parts["Not saved yet"] = (
                f"Round {saved + 1} may have been sent already, and is not counted above: with it, epsilon is "
                f"{words(facts['epsilon_if_sent'])} for the units of the most exposed client."
            )
            if validation.private:
                next_told = validation.charge(told, saved + 1).epsilon(validation.delta).worst.pld
                facts["epsilon_of_validation_if_told"] = next_told
                parts["Not saved yet"] += f" For validation users it is {words(next_told)} then."
    facts |= {"run": str(run.path), "finished": finished, "round": saved or 0, "rounds": rounds}
    return Explanation(parts, facts)


def _saved(run: RunDirectory, *, finished: bool) -> tuple[int | None, Ledger, Ledger]:
    """Return the last round that counts, None before the first checkpoint, and what training and validation users paid.

    Raises:
        RunError: If a ledger is missing or cannot be read.
    """
    if finished:
        rounds = run.summary()["rounds_run"]
        told = _read(run, VALIDATION_LEDGER) if run.job.validation.private else Ledger()
        return rounds, _read(run, LEDGER), told
    checkpoint = run.latest_checkpoint()
    if checkpoint is None:
        return None, Ledger(), Ledger()
    return checkpoint.round, checkpoint.ledger, checkpoint.validation_ledger


def _read(run: RunDirectory, file: str) -> Ledger:
    return Ledger.from_json((run.public / file).read_text(encoding="utf-8"))


def _asked(run: RunDirectory, number: int) -> list[int]:
    """Return who may have been asked in a round: another package's strategy draws its own cohort, so everyone."""
    if ":" in run.experiment.strategy.name:
        return list(range(run.job.plan.clients))
    return run.job.cohort(number)
