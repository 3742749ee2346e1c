from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parents[1] / "bench" / "metrics_objects.py"


def counted(objects: int) -> dict[str, Any]:
    done = subprocess.run([sys.executable, BENCH, str(objects)], check=True, capture_output=True, text=True)
    result: dict[str, Any] = json.loads(done.stdout)
    manifests = objects // 2 // 1000
    assert result["objects"] == objects + manifests + 2 and result["complete"]
    assert (result["data_files"], result["orphans"]) == (manifests * 999, manifests)
    return result


@pytest.mark.slow
def test_counting_ten_times_the_objects_takes_no_more_memory() -> None:
    few, many = counted(30_000), counted(300_000)
    assert many["peak_mib"] - few["peak_mib"] < 20
