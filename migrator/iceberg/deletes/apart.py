"""Read delete files in a child process, since reading a damaged file can crash the process.

Arrow's readers are C++: a damaged file can make them crash, run for ever, or use all memory. So ORC and Parquet files
of deletes are read in a child process with a limit of memory and of time. If the child dies, the file is unreadable,
and the next file gets a new child.
"""

from __future__ import annotations

import atexit
import importlib
import pickle
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from migrator.concurrency.processes import cores, pipe, start_child
from migrator.errors import MigratorError, Unreadable
from migrator.iceberg import bounds

SECONDS = 120.0
"""The time limit for one file, in seconds; a file gets one second more for each of its megabytes."""

_idle: list[subprocess.Popen[bytes]] = []
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
            child = start_child(f"from {__name__} import serve; serve()", quiet=True)
        seconds = SECONDS + len(data) / (1 << 20)
        late = threading.Event()
        watch = threading.Timer(seconds, _stop, (child, late))
        watch.daemon = True
        watch.start()
        try:
            pickle.dump((module, function, data, place, arguments), pipe(child.stdin))
            pipe(child.stdin).flush()
            error, result = pickle.load(pipe(child.stdout))
        except (EOFError, OSError, pickle.UnpicklingError) as fault:
            child.kill()
            code = _close(child)
            reason = f"reading it took more than {seconds:.0f} s" if late.is_set() else _death(code)
            raise Unreadable(place, reason) from fault
        except BaseException:  # Ctrl-C before the answer was read: the child cannot be used again
            child.kill()
            _close(child)
            raise
        finally:
            watch.cancel()
        with _lock:
            _idle.append(child)
    if error is not None:
        raise error
    return result


def _stop(child: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    child.kill()


def _death(code: int) -> str:
    how = f"with signal {-code}" if code < 0 else f"with exit code {code}"
    return f"it is so damaged that its reader died {how}"


def _close(child: subprocess.Popen[bytes]) -> int:
    with suppress(OSError):
        pipe(child.stdin).close()
    code = child.wait()
    pipe(child.stdout).close()
    return code


@atexit.register
def _close_all() -> None:
    while _idle:
        child = _idle.pop()
        child.kill()
        _close(child)


# -- the child -------------------------------------------------------------------------------------------


def serve() -> None:
    """The main loop of the child: answer the parent's calls until the pipe is closed."""
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # printed text must not get between the answers
    base = 0
    while True:
        try:
            module, function, data, place, arguments = pickle.load(source)
        except EOFError:
            return
        answer: tuple[MigratorError | None, Any]
        try:
            job = getattr(importlib.import_module(module), function)
            base = base or _used()  # with Arrow loaded
            _limit(base + max(bounds.READER_BYTES, bounds.READER_RATIO * len(data)))
            answer = (None, job(data, *arguments, place))
        except MigratorError as error:
            answer = (error, None)
        except MemoryError:
            answer = (Unreadable(place, "reading it needs more memory than such a file may"), None)
        except Exception as fault:
            answer = (Unreadable(place, f"its reader failed: {type(fault).__name__}: {fault}"), None)
        pickle.dump(answer, sink)
        sink.flush()


def _used() -> int:
    """The address space in use, in bytes; 0 where that is not known."""
    with suppress(OSError, ValueError):
        import resource

        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0


def _limit(size: int) -> None:
    """Let this process have no more than ``size`` bytes of address space, where the system knows such limits."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (size if most == resource.RLIM_INFINITY else min(size, most), most))
