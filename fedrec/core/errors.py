"""What can go wrong, sorted by whose turn it is to act.

A `UserError` is the user's mistake: the command line prints its message alone and exits with 2.
Every other `FedrecError` is a fault met while working (exit 1), but for `Interrupted` (exit 130). Messages say
what was found, what is allowed and what to do.
"""

from pathlib import Path
from shlex import quote


class FedrecError(Exception):
    """A failure that fedrec can name."""

    exit_code = 1


class UserError(FedrecError):
    """Something the user wrote or chose cannot work."""

    exit_code = 2


class ConfigError(UserError):
    """An experiment or option is wrong."""


class DataError(UserError):
    """A data file is missing, broken or not what its loader expects."""


class RunError(UserError):
    """A run directory cannot be used as asked."""


class PrivacyError(ConfigError):
    """The combination asked for would make the privacy statement false."""


class AcquireError(FedrecError):
    """A download failed or did not match its hash."""


class FederationError(FedrecError):
    """A round could not be completed with enough valid replies."""


class CanaryError(FedrecError):
    """A result is too good to be true: look for the leak."""


class Interrupted(FedrecError):  # noqa: N818 - no error: the user asked for it
    """The user stopped a run, which was saved.

    Args:
        run_path: Directory of the run.
    """

    exit_code = 130

    def __init__(self, run_path: Path) -> None:
        super().__init__(
            f"interrupted; every finished round is saved, continue with: fedrec resume {quote(str(run_path))}"
        )
        self.run_path = run_path
