from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "plan_objects.py"


def plan_of(objects: int) -> dict[str, int]:
    done = subprocess.run([sys.executable, BENCH, str(objects)], check=True, capture_output=True, text=True)
    result: dict[str, int] = json.loads(done.stdout)
    assert result["objects"] == objects and result["to_copy"] == objects * 9 // 10
    assert result["verified"] == objects
    return result


@pytest.mark.slow
def test_planning_and_verifying_ten_times_the_objects_takes_no_more_memory() -> None:
    few, many = plan_of(30_000), plan_of(300_000)
    assert many["peak_mib"] - few["peak_mib"] < 20
    assert many["verify_peak_mib"] - few["verify_peak_mib"] < 20
