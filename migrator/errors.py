"""One exception tree. Each class carries the exit code that the command line ends with.

A message names the place and what is wrong with it; ``next_move`` says what to do about it.
Only ``migrator.cli`` catches :class:`MigratorError`; everything else lets it pass.
"""

from __future__ import annotations

import os
import re
import sqlite3
import traceback
from collections.abc import Sequence
from typing import Any

EXIT_OK = 0
EXIT_ERROR = 1
EXIT_USAGE = 2
EXIT_FAILED = 3
EXIT_STALE = 4
EXIT_PENDING = 5
EXIT_INTERRUPTED = 130

PLAN_AGAIN = 'Run "migrator plan" again.'
"""The next move if the lake has changed since planning."""

EXIT_CODES = {
    EXIT_OK: "everything asked for was done, and no check failed",
    EXIT_ERROR: "an error: the endpoint, the credentials, a catalog or the plan file cannot be used",
    EXIT_USAGE: "usage: a wrong option, or a mistake in lake.toml",
    EXIT_FAILED: "something failed or differs: the plan is blocked, a copy failed, `verify` or `check` found something",
    EXIT_STALE: "the plan is stale: the lake changed since planning, or the plan has another format; plan again",
    EXIT_PENDING: "`plan --detailed-exitcode` only: there are changes to make",
    EXIT_INTERRUPTED: "interrupted (Ctrl-C); run the same command again to continue",
}
"""What each exit code means; ``docs/commands.md`` and ``migrator --help`` print this table."""


class MigratorError(Exception):
    """Base of all errors that a user may see. ``str()`` is one message, the next move included."""

    exit_code = EXIT_ERROR
    says_where = False
    """True if the message itself says where the tables are: then nothing is added to it about the cutover."""

    def __init__(self, message: str, *, next_move: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.next_move = next_move

    def __str__(self) -> str:
        return f"{self.message} {self.next_move}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors are pickled in worker processes and unpickled in the parent."""
        return _rebuilt, (type(self), self.__dict__)


def _rebuilt(kind: type[MigratorError], state: dict[str, Any]) -> MigratorError:
    error = kind.__new__(kind, state["message"])
    error.__dict__.update(state)
    return error


class ConfigError(MigratorError):
    """lake.toml, an option or a pyiceberg configuration has an invalid value."""

    exit_code = EXIT_USAGE


class StoreError(MigratorError):
    """The S3 server refused a request, or could not be reached. The message is one line, whatever a key holds."""

    def __init__(self, message: str, *, next_move: str = "") -> None:
        super().__init__(one_line(message), next_move=one_line(next_move))


class Unreachable(StoreError):
    """The S3 server did not answer."""


class NotFound(StoreError):
    """The bucket or object does not exist."""


class AccessDenied(StoreError):
    """The credentials are missing or wrong, or lack a permission."""


class SourceChanged(StoreError):
    """The object is no longer the one that was listed: its ETag differs, or it was deleted."""

    exit_code = EXIT_STALE


class Occupied(StoreError):
    """Another object is at the key of a new object, and must not be overwritten."""

    exit_code = EXIT_FAILED


class CatalogError(MigratorError):
    """A catalog cannot be read or re-pointed. The message is one line, whatever a name holds."""

    def __init__(self, message: str, *, next_move: str = "") -> None:
        super().__init__(one_line(message), next_move=next_move)


class CannotRepoint(CatalogError):
    """There is no known way to change these pointers in the catalog. Nothing was changed."""


def listed_twice(what: object) -> MigratorError:
    """The error for a listing that has a key twice. ``what``: its place, or the error of the database that takes no key
    twice."""
    return MigratorError(
        one_line(f"The server listed a key twice: {what}."),
        next_move="Run the same command again. If this comes again, the server lists wrongly: that must be repaired "
        "first, and until then nothing is changed.",
    )


class Unreadable(MigratorError):
    """A file does not follow its format: it is truncated, damaged, or of an unknown kind."""

    exit_code = EXIT_FAILED

    def __init__(self, place: str, reason: str, *, next_move: str = "") -> None:
        super().__init__(one_line(f"{place} cannot be read: {reason}."), next_move=next_move)
        self.place = place
        self.reason = reason


class UnmappedPath(MigratorError):
    """A path that must be rewritten lies under no rule of the layout."""

    exit_code = EXIT_FAILED

    def __init__(self, place: str, path: str) -> None:
        super().__init__(
            f"{one_line(place)} refers to {path!r}, which no layout rule covers.",
            next_move="Add a rule for it to [layout] and plan again.",
        )
        self.place = place
        self.path = path


class PlanDamaged(MigratorError):
    """The plan file is not a plan, is incomplete, or was edited by hand."""


class PlanStale(MigratorError):
    """The plan no longer fits the lake, or has another format than this version of migrator reads."""

    exit_code = EXIT_STALE


class PlanUnusable(MigratorError):
    """The plan file cannot be written, or was deleted: a full disk, a missing permission, a deleted file."""


class PlanBusy(MigratorError):
    """Another process is carrying out the same plan."""


class PlanBlocked(MigratorError):
    """The plan has findings that must be solved before anything may be moved."""

    exit_code = EXIT_FAILED


class CutoverIncomplete(MigratorError):
    """Some tables are cut over, and others could not be. The same command finishes it, or a new plan if the lake moved
    on meanwhile."""

    exit_code = EXIT_FAILED


class RollbackRefused(MigratorError):
    """Going back would lose what was committed at the target since the cutover. Nothing was changed."""

    exit_code = EXIT_FAILED


class MigrationFailed(MigratorError):
    """A step failed, or the target is not as planned. Nothing was cut over after it."""

    exit_code = EXIT_FAILED


class RetireRefused(MigratorError):
    """The old buckets must not be deleted now. Nothing was deleted."""

    exit_code = EXIT_FAILED


# -- what is shown of an error -----------------------------------------------------------------------------

DEBUG = "MIGRATOR_DEBUG"
"""The variable that shows the traceback of an internal error."""

# In abfs://container@account/ the part before the @ is not a user.
_USERINFO = re.compile(r"\b(?!(?:abfs|wasb)s?://[^/\s@:'\"]*@)([a-z][a-z0-9+.-]*://)[^/\s@'\"]*@", re.IGNORECASE)
_SIGNED = re.compile(
    r"((?<![/\w.-])(?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature|password|passwd|pwd|token|secret)=)"
    r"[^&\s'\"]+",
    re.IGNORECASE,
)


def redacted(text: str) -> str:
    """``text`` without the user and password of its URLs, and without passwords and signatures in their queries."""
    if "@" in text:
        text = _USERINFO.sub(r"\1***@", text)
    return _SIGNED.sub(r"\1***", text) if "=" in text else text


def one_line(text: str) -> str:
    """``text`` with its line breaks as escapes: a key may contain some, and must not look like a separate line."""
    return text.replace("\n", "\\n").replace("\r", "\\r")


def first_lines(lines: Sequence[object], most: int = 10, *, count: int | None = None) -> str:
    """The first ``most`` lines of a message, indented, and the number of the others. ``count``: how many there are, if
    ``lines`` does not contain all of them."""
    rest = max(len(lines), count or 0) - len(lines[:most])
    return "\n".join(
        [*(f"  {one_line(str(line))}" for line in lines[:most]), *([f"  … and {rest:,} more"] if rest else [])]
    )


def first_names(names: Sequence[str], most: int, separator: str = ", ") -> str:
    """The first ``most`` names in one line, and the number of the others: ``a, b and 3 more``."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return separator.join(map(one_line, names[:most])) + more


def then_again(error: MigratorError, what: str) -> str:
    """The next move of an error after which the same command continues; adds nothing if the error already says so.
    ``what``: what the command does then, as a sentence."""
    if "same command again" in error.next_move or (isinstance(error, MigrationFailed) and error.next_move):
        return error.next_move
    return f"{error.next_move} Then run the same command again: {what}.".lstrip()


def outside_error(error: BaseException) -> str:
    """A message for an error of the machine (the disk, the memory, a file); "" for any other error."""
    if isinstance(error, MemoryError):
        return "There is not enough memory. Nothing is lost: run the same command again where there is more."
    if isinstance(error, sqlite3.OperationalError):
        return (
            f"A local database cannot be used: {error}. Check the free space, also in the folder for temporary files."
        )
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename is not None else ""
        return one_line(f"{place}{error.strerror or error}.")
    return ""


def internal_error(error: BaseException) -> str:
    """A line for an unexpected exception; with $MIGRATOR_DEBUG also its traceback."""
    said = redacted(" ".join(str(error).split()))[:500]
    line = f"Internal error: {type(error).__name__}: {said}. This is a fault of migrator: please report it."
    if os.environ.get(DEBUG):
        line += "\n" + redacted("".join(traceback.format_exception(error)))
    return line
