"""Decides why something could not be read: because of the file, or because of a temporary error.

Tables are read through pyiceberg, s3fs and pyarrow, which raise many kinds of exceptions. Only a missing or malformed
file is a fault of the table. If a server is busy, refuses or does not answer, the read is retried; if that does not
help, the caller must stop and not report a result.
"""

from __future__ import annotations

import errno
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from migrator.errors import AccessDenied, MigratorError, NotFound, SourceChanged, StoreError, Unreachable
from migrator.progress.counts import RETRIES

Result = TypeVar("Result")

TRANSIENT, MISSING, UNSUPPORTED, DAMAGED = "transient", "missing", "unsupported", "damaged"
"""Kinds of trouble: an error of the server; no such object; the reader lacks a feature; the bytes are malformed."""

DELAYS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds between the attempts of a read, about half a minute together. s3fs has retried by itself before."""

CHANGED = "changed in the old bucket since planning"

_NETWORK = ("botocore", "aiobotocore", "aiohttp", "urllib3", "http", "ssl", "socket", "asyncio", "fsspec")
"""Packages whose exceptions are about the connection or the server's answer, never about a table's bytes."""
_ABOUT_THE_FILE = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)
_UNSUPPORTED = re.compile(r"unsupported|not (yet )?(be )?(support|implement)|does not (yet )?support", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a read failed. ``reason`` is short and names no file, so that equal ones can be counted."""

    kind: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Read(Generic[Result]):
    """A result, or trouble."""

    result: Result | None
    trouble: Trouble | None
    error: Exception | None = None


class Reader:
    """Retries transient errors with backoff.

    Safe to share between threads. After all attempts of a read have failed, the next reads get one attempt each until
    one succeeds, so that a server that does not answer does not delay each of a thousand tables.
    """

    def __init__(self, delays: tuple[float, ...] | None = None) -> None:
        self._delays = DELAYS if delays is None else delays
        self._patient = True

    def read(self, read: Callable[[], Result], stopped: threading.Event | None = None) -> Read[Result]:
        """The result of ``read``, or why there is none. Once ``stopped`` is set, nothing is retried any more."""
        stopped = stopped or threading.Event()
        for delay in (*(self._delays if self._patient else ()), None):
            try:
                result = read()
            except Exception as error:
                trouble = trouble_of(error)
                if trouble.kind != TRANSIENT:
                    return Read(None, trouble, error)
                last = error
                if stopped.is_set():
                    break
                if delay is not None:
                    RETRIES.add()
                    stopped.wait(delay * random.uniform(0.8, 1.2))
            else:
                self._patient = True
                return Read(result, None)
        self._patient = False
        return Read(None, trouble, last)


def is_transient(error: BaseException) -> bool:
    """True if the error says nothing about the file: throttling, a server's fault, refused access, a broken or
    missing connection. False for a definite fault: there is no such object, or its bytes are malformed."""
    for each in _chain(error):
        if isinstance(each, MigratorError):  # our store has classified the error already
            return _transient(each)
        if _transient(each):
            return True
    return False


def trouble_of(error: BaseException) -> Trouble:
    """The trouble for an exception of pyiceberg, s3fs, pyarrow or our own store."""
    message = f"{type(error).__name__}: {error}" if not isinstance(error, MigratorError) else str(error)
    message = " ".join(message.split())
    if is_transient(error):
        denied = any(_denied(each) for each in _chain(error))
        return Trouble(TRANSIENT, "access was denied" if denied else "the server did not answer properly", message)
    if any(_missing(each) for each in _chain(error)):
        return Trouble(MISSING, "a file is missing", message)
    if any(isinstance(each, NotImplementedError) for each in _chain(error)) or _UNSUPPORTED.search(message):
        return Trouble(UNSUPPORTED, f"pyiceberg cannot read it: {_shortened(error)}", message)
    return Trouble(DAMAGED, f"it cannot be read ({type(error).__name__})", message)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that caused it."""
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)


def _transient(error: BaseException) -> bool:
    if isinstance(error, MigratorError):
        return isinstance(error, (Unreachable, AccessDenied)) or type(error) is StoreError
    if (status := _status(error)) is not None:
        return status not in (404, 416)  # 416: the file is shorter than the table records
    if isinstance(error, (PermissionError, ConnectionError, TimeoutError, MemoryError)):
        return True
    if any(base.__module__.split(".")[0] in _NETWORK for base in type(error).__mro__):
        return not isinstance(error, FileNotFoundError)
    # pyarrow raises an OSError without a number for malformed files; s3fs gives its own a number.
    return isinstance(error, OSError) and error.errno is not None and error.errno not in _ABOUT_THE_FILE


def _missing(error: BaseException) -> bool:
    return isinstance(error, (FileNotFoundError, NotFound)) or _status(error) == 404


def _denied(error: BaseException) -> bool:
    return isinstance(error, (PermissionError, AccessDenied)) or _status(error) in (401, 403)


def _status(error: BaseException) -> int | None:
    """The HTTP status of botocore's ClientError; None for any other error."""
    answer: Any = getattr(error, "response", None)
    if not isinstance(answer, dict):
        return None
    code = str(answer.get("Error", {}).get("Code", ""))
    if code in ("NoSuchKey", "NoSuchBucket", "NoSuchVersion"):
        return 404
    status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return int(status) if status is not None else int(code) if code.isdigit() else 500


def _shortened(error: BaseException) -> str:
    """The first words of an error, without parts that differ from file to file."""
    first = str(error).strip().partition("\n")[0] or type(error).__name__
    return re.sub(r":? *\S+://\S*", "", first)[:100].rstrip(" :.,")


def refusal(error: Exception) -> str:
    """Why an object in an old bucket could not be compared, in words that can be counted."""
    if any(_missing(each) for each in _chain(error)):
        return "no longer in the old bucket"
    if isinstance(error, SourceChanged):
        return CHANGED
    if isinstance(error, AccessDenied):
        return "access to the old bucket was denied; run it again"
    return "the old server did not answer properly; run it again"
