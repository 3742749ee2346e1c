from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from migrator import api
from migrator.cli.main import main
from migrator.migration import Migration
from migrator.results import RunResult
from migrator.verifying.checks import Check, Verification
from reporting.described import plan


@pytest.mark.parametrize("failed", [0, 1])
@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_verification_that_a_pass_makes_up_for_decides_the_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: list[str], failed: int
) -> None:
    """A plan that was cut over, and interrupted before its verification, is verified by its next command."""
    check = Check("every object", "objects", checked=2, failed=failed)
    done = Migration(RunResult(), [], Verification(checks=[check], cut_over=True))
    described: Any = plan()
    described["phase"] = "cut over"
    monkeypatch.setattr(api, "copy_lake", lambda *_, **__: done)
    monkeypatch.setattr(api, "show_plan", lambda *_, **__: described)
    (tmp_path / "p.db").write_bytes(b"")
    ran = CliRunner().invoke(main, ["copy", str(tmp_path / "p.db"), *form])
    assert ran.exit_code == (3 if failed else 0), ran.output
