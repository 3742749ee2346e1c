from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

import pytest

from migrator.config import Prices
from migrator.errors import PlanDamaged
from migrator.planfile.file import PlanFile
from migrator.planfile.measured import MEASURED, NEVER_MEASURED, PRICES, Measured, prices_of

FOUND = Measured(copies=100.5, reads=300.0, at_once=48, honours_conditions=True, plan_bytes=4096)


def test_what_was_measured_comes_back() -> None:
    assert Measured.of_header({MEASURED: FOUND.to_json()}) == FOUND
    newer = json.dumps({**asdict(FOUND), "of a later version": 1})
    assert Measured.of_header({MEASURED: newer}) == FOUND


def test_a_plan_of_an_earlier_version_was_not_measured() -> None:
    assert Measured.of_header({}) == Measured(why_not=NEVER_MEASURED)
    assert prices_of({}) is None and prices_of({PRICES: "null"}) is None


def test_prices_come_back() -> None:
    prices = Prices("EUR", per_1000_writes=0.5)
    assert prices_of({PRICES: json.dumps(asdict(prices))}) == prices


@pytest.mark.parametrize("key", [MEASURED, PRICES])
def test_it_is_sealed(tmp_path: Path, key: str) -> None:
    path = tmp_path / "p.db"
    with PlanFile.create(path) as plan:
        assert plan.size() >= path.stat().st_size > 0
        plan.seal({"target_bucket": "b", "layout": "{}", MEASURED: FOUND.to_json(), PRICES: "null"})
    with PlanFile.open(path, read_only=True) as plan:
        assert plan.size() == path.stat().st_size
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE header SET value = '{}' WHERE key = ?", (key,))
    with pytest.raises(PlanDamaged, match="was edited"):
        PlanFile.open(path)
