from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "check_objects.py"


def check_of(objects: int) -> dict[str, int]:
    done = subprocess.run([sys.executable, BENCH, str(objects)], check=True, capture_output=True, text=True)
    result: dict[str, int] = json.loads(done.stdout)
    assert result["in_folders"] + result["stray_folders"] == objects
    return result


@pytest.mark.slow
def test_checking_ten_times_the_objects_takes_no_more_memory() -> None:
    few, many = check_of(30_000), check_of(300_000)
    assert many["peak_mib"] - few["peak_mib"] < 20
