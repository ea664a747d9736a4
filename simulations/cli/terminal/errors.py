"""How a command ends: exit codes, one message on standard error, one JSON object on standard output.

0 done, 2 the user's mistake, 1 anything else that failed, 130 interrupted. A command returns its result as a
dict; the group prints it if `--json` was given, after keeping everything else off standard output.
"""

import errno
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any

import click
from typer.core import TyperGroup

from fedrec.core.errors import FedrecError

NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
UNUSABLE_PLACE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST}
INTERRUPTED = 130


class Failure(Exception):  # noqa: N818 - the end of a command, not the cause
    """A command that did not succeed: exit code, kind of error and message, and what it found all the same."""

    def __init__(self, exit_code: int, kind: str, message: str, result: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.kind = kind
        self.result = result or {}


class Commands(TyperGroup):
    """The top group: every command, however it is called, ends here."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **settings: Any) -> Any:
        """Run a command and exit."""
        arguments = list(sys.argv[1:] if args is None else args)
        as_json = "--json" in arguments and "--help" not in arguments
        settings["standalone_mode"] = False
        try:
            with _clean_stdout() if as_json else nullcontext(), _named_failures():
                result = _unless_exited(super().main(arguments, **settings))
        except Failure as failure:
            click.echo(f"{click.style('Error:', fg='red')} {failure}", err=True)
            if as_json:
                _print({**failure.result, "error": {"kind": failure.kind, "message": str(failure)}})
            sys.exit(failure.exit_code)
        if as_json and isinstance(result, dict):
            _print(result)
        sys.exit(0)


def _unless_exited(result: Any) -> Any:
    """Return a command's result; click reports an interrupt from the keyboard as its exit code instead."""
    if result == INTERRUPTED:
        raise Failure(INTERRUPTED, "Interrupted", "interrupted")
    return result


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Give an operating system's error that names no file the place that was being written."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextmanager
def _named_failures() -> Iterator[None]:
    """Turn whatever goes wrong into a `Failure`; show the traceback of what nobody expected."""
    try:
        yield
    except Failure:
        raise
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        raise Failure(error.exit_code, "UsageError", _usage(error)) from error
    except FedrecError as error:
        raise Failure(error.exit_code, type(error).__name__, str(error)) from error
    except OSError as error:
        if error.errno in NO_SPACE | UNUSABLE_PLACE:
            code = 1 if error.errno in NO_SPACE else 2
            message = (
                f"{error.filename or 'a file'}: {os.strerror(error.errno)}; choose another place or make room there"
            )
            raise Failure(code, "OSError", message) from error
        raise _fault(error) from error
    except Exception as error:
        raise _fault(error) from error


def _fault(error: Exception) -> Failure:
    traceback.print_exception(error)
    message = f"this is a fault of fedrec, not yours ({type(error).__name__}: {error}); please report it with the above"
    return Failure(1, type(error).__name__, message)


def _usage(error: click.ClickException) -> str:
    """Return the message of a wrong command line in one line, with where to read more."""
    message = " ".join(error.format_message().split())
    context = getattr(error, "ctx", None)
    return f"{message} See {context.command_path} --help" if context else message


@contextmanager
def _clean_stdout() -> Iterator[None]:
    """Send what anybody prints, libraries written in C and child processes included, to standard error."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _print(result: dict[str, Any]) -> None:
    from fedrec.experiment.config import canonical_json

    click.echo(canonical_json(result))
