"""The script that docs/performance.md names measures what it says, and fails if a program does not copy everything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).with_name("copy_objects.py")


def test_every_program_copies(tmp_path: Path) -> None:
    few = ("--objects", "30", "--large", "1", "--large-size", "1M", "--rounds", "1")
    ran = subprocess.run(
        [sys.executable, BENCH, *few, "--json", tmp_path / "figures.json"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    for name, objects in (("small", 30), ("large", 1)):
        assert figures[name]["objects"] == objects and figures[name]["failed"] == {}
        assert figures[name]["ratios"].keys() == {"copy stage", "migrate", "plan and migrate"}
        for row, peers in figures[name]["ratios"].items():
            assert peers.keys() - {"mc"} == {"s5cmd", "rclone", "juicefs", "boto3"}
            assert f"  {row} " in ran.stdout
        ours = [run for run in figures[name]["runs"] if run["row"] == "copy stage"]
        assert [run["requests"] for run in ours] == [objects]
