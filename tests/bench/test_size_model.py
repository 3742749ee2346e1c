"""The model of very large migrations multiplies what was measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from bench import size_model

COSTS = {
    "objects": 1000,
    "seconds": 0.02,
    "open_seconds": 0.002,
    "journal_objects_per_second": 50_000,
    "plan_bytes_per_object": 1 << 10,
    "journal_bytes_per_object": 1 << 10,
}


def test_what_limits_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "costs.json").write_text(json.dumps(COSTS))
    command = ["size_model.py", "--costs", str(tmp_path / "costs.json"), "--copies"]
    for copies, limit in (("1000", "17 min, the servers"), ("100000", "20 s, the journal")):
        monkeypatch.setattr(sys, "argv", [*command, copies])
        size_model.main()
        shown = {row.split(" | ")[0].strip("| "): row for row in capsys.readouterr().out.splitlines()}
        assert limit in shown["copying"].split(" | ")[1]
        assert shown["planning"].split(" | ")[1:3] == ["20 s", "3 min"]
        assert shown["LIST requests"].split(" | ")[1] == "5,000"
        assert shown["plan and journal"].endswith("| 1,907.3 GiB |")
