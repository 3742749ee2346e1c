"""Seconds, CPU time and peak memory of commands and of whole process trees, for the benches. Linux only."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.25
"""Seconds between two measurements of the memory."""


@dataclass(frozen=True)
class Run:
    """What one command took. ``cpu_seconds`` and ``mib`` are those of all its processes."""

    seconds: float
    cpu_seconds: float
    mib: float
    code: int
    stdout: str
    stderr: str


def run(command: Sequence[str | Path], environ: Mapping[str, str]) -> Run:
    """Run a command to its end and measure it."""
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        roots: list[int] = []
        with watched(lambda: roots, memory=pss) as found:
            process = subprocess.Popen(
                command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
            )
            roots.append(process.pid)
            try:
                # Not RUSAGE_CHILDREN, which also includes other child processes.
                _, status, usage = os.wait4(process.pid, 0)
            except BaseException:
                process.kill()
                process.wait()
                raise
        process.returncode = os.waitstatus_to_exitcode(status)
        stdout.seek(0)
        stderr.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return Run(found["seconds"], cpu, found["mib"], process.returncode, stdout.read(), stderr.read())


def rss(pid: int) -> int:
    """The resident memory of a process in KiB. Memory that processes share counts for each of them."""
    return _kib(Path(f"/proc/{pid}/status"), "VmRSS:")


def pss(pid: int) -> int:
    """The same, but memory that processes share is divided among them. The resident memory if the kernel does not
    report it."""
    return _kib(Path(f"/proc/{pid}/smaps_rollup"), "Pss:") or rss(pid)


@contextmanager
def watched(root: Callable[[], list[int]], memory: Callable[[int], int] = rss) -> Iterator[dict[str, float]]:
    """Seconds, and the peak memory (MiB) of the processes that ``root`` returns and of all their descendants."""
    found, stop = {"mib": 0.0}, threading.Event()

    def watch() -> None:
        while not stop.wait(INTERVAL):
            found["mib"] = max(found["mib"], sum(map(memory, tree(root()))) / 1024)

    thread = threading.Thread(target=watch)
    thread.start()
    begun = time.monotonic()
    try:
        yield found
    finally:
        found["seconds"] = time.monotonic() - begun
        stop.set()
        thread.join()


def tree(roots: list[int]) -> list[int]:
    """The processes and all their descendants."""
    children = [
        int(pid)
        for root in roots
        for task in Path(f"/proc/{root}/task").glob("*/children")
        for pid in read(task).split()
    ]
    return roots + (tree(children) if children else [])


def cpu_seconds(pid: int) -> float:
    """The CPU time that a running process has taken so far."""
    fields = read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def read(path: Path) -> str:
    """A file of /proc, empty if its process is gone."""
    try:
        return path.read_text()
    except OSError:
        return ""


def _kib(path: Path, name: str) -> int:
    return next((int(line.split()[1]) for line in read(path).splitlines() if line.startswith(name)), 0)
