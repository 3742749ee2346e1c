"""`migrator demo` leaves nothing behind, however it ends. That it ends well, CI shows by running it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from e2e.test_interrupted import interruptible

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for left-over processes in /proc")


def processes_with(text: str) -> list[str]:
    """The command lines of running processes that contain ``text``."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(line)
    return found


def start_demo(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "migrator", "demo"],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=interruptible,
    )
    deadline = time.monotonic() + 120
    while not processes_with(f"-dir={folder}") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_with(f"-dir={folder}")
    time.sleep(3)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    process = start_demo(tmp_path)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert list(tmp_path.iterdir()) == []
    assert processes_with(str(tmp_path)) == []


def test_killed(tmp_path: Path) -> None:
    """After kill -9 files may remain, but no running server."""
    process = start_demo(tmp_path)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while processes_with(f"-dir={tmp_path}") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_with(f"-dir={tmp_path}") == []
