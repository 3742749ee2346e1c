"""A few random sequences of all events around a migration. ``any_order`` runs more of them."""

from __future__ import annotations

import pytest

from e2e.any_order import any_order, run


@pytest.mark.timeout(600)
def test_any_order() -> None:
    with any_order() as machine:
        run(machine, sequences=5, steps=12)
        print(machine.figures)
        assert {"ok", "killed"} <= machine.figures.ended.keys()
