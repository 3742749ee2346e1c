"""The script pause.py runs, and prints what a cutover takes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).with_name("pause.py")


def test_it_prints_how_long_writers_wait() -> None:
    few = ("--tables", "2", "--commits", "1", "--written", "1", "--quiet-for", "0.1", "--milliseconds", "1")
    ran = subprocess.run([sys.executable, BENCH, *few], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    lake, waited, *stages = ran.stdout.splitlines()
    assert lake == "2 tables, 1 snapshots each, 1 written to after the copy"
    assert re.fullmatch(r"writers had to wait \d+\.\d s, at least 0\.1 s of that for the end of writes", waited)
    assert {"listing the target", "verifying tables"} <= {stage.split(" s  ")[1] for stage in stages}
