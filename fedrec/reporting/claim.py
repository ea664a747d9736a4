"""What a run may claim to everybody: to those whose data trained it, and to private validation users."""

from fedrec.evaluation.evaluator import scale_of
from fedrec.evaluation.validation.private import deviations
from fedrec.privacy.ledger import Ledger
from fedrec.privacy.statement.statement import Statement, statement
from fedrec.privacy.statement.validation import with_validation
from fedrec.run.job import Job


def claim(job: Job, ledger: Ledger, validation_ledger: Ledger) -> Statement:
    """Return the statement over both ledgers; that of the validation users is empty where they are volunteers."""
    said, validation = statement(job.plan, ledger), job.validation
    if not validation.private:
        return said
    return with_validation(said, validation, validation_ledger, deviations(validation, scale_of(job)))
