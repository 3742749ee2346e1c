"""Read delete files in a child process, because reading a damaged file can crash the process.

Arrow's readers are C++: a damaged file can make them crash, run for ever, or use all memory. So ORC and Parquet files
of deletes are read in a child process with a limit of memory and of time. If the child dies, the file is unreadable,
and the next file gets a new child.
"""

from __future__ import annotations

import atexit
import importlib
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from migrator.concurrency.processes import Channel, Child, Disconnected, answer_requests, as_migrator_error, cores
from migrator.errors import MigratorError, Unreadable
from migrator.iceberg import bounds

SECONDS = 120.0
"""The time limit for one file, in seconds; a file gets one second more for each of its megabytes."""

_idle: list[Child] = []
_lock = threading.Lock()
_turns = threading.BoundedSemaphore(max(2, cores()))


def call(module: str, function: str, data: bytes, place: str, *arguments: Any) -> Any:
    """Call ``function(data, *arguments, place)`` of a module in a child process, and return its result.

    Arguments and result must be picklable. Raises what the function raises, and Unreadable if the child dies.
    """
    with _turns:
        with _lock:
            child = _idle.pop() if _idle else None
        if child is None:
            child = Child(serve_reader, quiet=True)
        seconds = SECONDS + len(data) / (1 << 20)
        late = threading.Event()
        watch = threading.Timer(seconds, _stop, (child, late))
        watch.daemon = True
        watch.start()
        failure: MigratorError | None = None
        result = None
        try:
            result = child.call((module, function, data, place, arguments))
        except MigratorError as error:
            failure = error
        except Disconnected as error:
            child.kill()
            code = child.close()
            reason = f"reading it took more than {seconds:.0f} s" if late.is_set() else _death(code)
            raise Unreadable(place, reason) from error
        except BaseException:  # Ctrl-C before the answer was read: the call has killed the child
            child.kill()
            child.close()
            raise
        finally:
            watch.cancel()
        with _lock:
            _idle.append(child)
    if failure is not None:
        raise failure
    return result


def _stop(child: Child, late: threading.Event) -> None:
    late.set()
    child.kill()


def _death(code: int) -> str:
    how = f"with signal {-code}" if code < 0 else f"with exit code {code}"
    return f"it is so damaged that its reader died {how}"


@atexit.register
def _close_all() -> None:
    while _idle:
        child = _idle.pop()
        child.kill()
        child.close()


# -- the child -------------------------------------------------------------------------------------------


def serve_reader(parent: Channel) -> None:
    """The work of a child: read the files that the parent sends."""
    base = 0

    def read(request: tuple[str, str, bytes, str, tuple[Any, ...]]) -> Any:
        nonlocal base
        module, function, data, place, arguments = request
        job = getattr(importlib.import_module(module), function)
        base = base or _used()  # with Arrow loaded
        _limit(base + max(bounds.READER_BYTES, bounds.READER_RATIO * len(data)))
        return job(data, *arguments, place)

    answer_requests(parent, read, _failure)


def _failure(request: tuple[str, str, bytes, str, tuple[Any, ...]], error: Exception) -> MigratorError:
    """The answer if reading raised ``error``."""
    place = request[3]
    if isinstance(error, MigratorError):
        return as_migrator_error(error)
    if isinstance(error, MemoryError):
        return Unreadable(place, "reading it needs more memory than such a file may")
    return Unreadable(place, f"its reader failed: {type(error).__name__}: {error}")


def _used() -> int:
    """The address space in use, in bytes; 0 where that is not known."""
    with suppress(OSError, ValueError):
        import resource

        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


def _limit(size: int) -> None:
    """Limit the address space of this process to ``size`` bytes, if the system supports it."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size if most == resource.RLIM_INFINITY else min(size, most), most))
