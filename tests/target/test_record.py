"""Records of the plans that were carried out at a target: which plan supersedes which, and damaged records."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from migrator.errors import MigrationFailed, NotFound
from migrator.layout import Layout
from migrator.target.record import (
    COPYING,
    RECORDS,
    PlanRecord,
    both_move,
    read_records,
    superseded_by,
    write_record,
)

BRONZE: dict[str, str | bool] = {"s3://bronze/": "bronze/"}


def record(plan_id: str, layout: dict[str, str | bool] = BRONZE, tables: Any = ()) -> PlanRecord:
    at = "2026-01-01T00:00:00+00:00"
    return PlanRecord(plan_id, "lake.db", "host", "0.1", at, at, at, COPYING, layout, list(tables))


def plan(plan_id: str, layout: dict[str, str | bool] = BRONZE, only: str = "[]", moves: Any = ()) -> Any:
    return SimpleNamespace(
        header=lambda: {"plan_id": plan_id, "only": only},
        layout=Layout.from_mapping("data-lake", layout),
        path=Path("lake.db"),
        tables=lambda: [SimpleNamespace(identifier=name, moves=True) for name in moves],
    )


class Objects:
    """The part of a store that records need."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = {}

    def put(self, bucket: str, key: str, content: Any) -> None:
        self.data[key] = content.data

    def get(self, bucket: str, key: str) -> Any:
        return SimpleNamespace(data=self.data[key])

    def list(self, bucket: str, prefix: str) -> Any:
        if bucket == "missing":
            raise NotFound("no such bucket")
        return [SimpleNamespace(key=key) for key in self.data if key.startswith(prefix)]


def test_records_come_back_the_oldest_plan_first() -> None:
    store: Any = Objects()
    for plan_id in ("2", "1"):
        write_record(store, "data-lake", record(plan_id))
    assert read_records(store, "data-lake") == [record("1"), record("2")]
    assert read_records(store, "missing") == []


@pytest.mark.parametrize(
    ("layout", "superseded"),
    [
        (BRONZE, True),
        ({"s3://bronze/orders/": "orders/"}, True),  # reads a part of the same prefix
        ({"s3://silver/": "bronze/silver/"}, True),  # writes to a part of the same prefix
        ({"s3://bronze-archive/": "bronze-archive/"}, False),
        ({"s3://silver/": "silver/"}, False),
        ({"s3://silver/": "silver/", "s3://bronze/": False}, False),  # leaves what this plan moves
        ({"s3://bronze/orders/": "orders/", "s3://bronze/": False}, True),
        ({"s3://bronze/": "b/", "s3://bronze/orders/": False}, True),
    ],
)
def test_a_newer_plan_supersedes_only_plans_for_the_same_prefixes(layout: Any, superseded: bool) -> None:
    newer = record("2", layout)
    assert superseded_by([record("0"), record("1"), newer], plan("1")) == (newer if superseded else None)
    assert superseded_by([newer], plan("2")) is None


@pytest.mark.parametrize(
    ("only", "moves", "newer", "superseded"),
    [
        ('["gold.*"]', ["c.gold.t"], ["c.silver.t"], False),
        ('["gold.*"]', ["c.gold.t"], [], False),
        ('["gold.*"]', ["c.gold.t"], ["c.silver.t", "c.gold.t"], True),
        ('["gold.*"]', ["c.gold.t"], None, True),  # of a version that did not say so
        ("[]", ["c.gold.t"], ["c.silver.t"], True),  # no wave: other objects than those of tables belong to it, too
    ],
)
def test_a_newer_wave_supersedes_only_waves_with_the_same_tables(
    only: str, moves: list[str], newer: list[str] | None, superseded: bool
) -> None:
    other = replace(record("2"), moves=newer)
    assert superseded_by([other], plan("1", only=only, moves=moves)) == (other if superseded else None)


PARTS: dict[str, str | bool] = {"s3://bronze/": "bronze/", "s3://bronze/iceberg/": "warehouse/", "s3://gold/": "gold/"}


def test_plans_for_different_rules_of_one_layout_go_in_any_order() -> None:
    parts = [{old: new if old == mine else False for old, new in PARTS.items()} for mine in PARTS]
    for one in parts:
        for other in parts:
            newer = record("2", other)
            assert superseded_by([newer], plan("1", one)) == (newer if one == other else None)
            place = both_move(plan("1", one), plan("2", other))
            assert place == (next(old for old, new in one.items() if new) if one == other else "")
        assert superseded_by([record("2", PARTS)], plan("1", one))
        assert superseded_by([record("2", one)], plan("1", PARTS))


def test_waves_go_in_any_order_if_they_have_different_tables() -> None:
    one, other = plan("1", only='["a"]', moves=["c.a"]), plan("2", only='["b"]', moves=["c.b"])
    assert both_move(one, other) == "" and both_move(one, one) == "c.a"
    assert both_move(one, plan("3", moves=["c.b"])) == "s3://bronze/"


def test_the_newest_of_several_is_named() -> None:
    assert superseded_by([record("3"), record("4"), record("2")], plan("1")) == record("4")


@pytest.mark.parametrize(
    "change",
    [
        {"plan_id": 7},
        {"moves": [7]},
        {"moves": 7},
        {"layout": {"bronze": 3}},
        {"tables": [{"name": "x"}]},
        {"tables": None},
    ],
)
def test_a_damaged_record_is_an_error_that_names_it(change: dict[str, Any]) -> None:
    store: Any = Objects()
    store.data[f"{RECORDS}1.json"] = json.dumps(asdict(record("1")) | change).encode()
    with pytest.raises(MigrationFailed, match=r"s3://data-lake/\.migrator/plans/1\.json cannot be read"):
        read_records(store, "data-lake")


def test_a_record_is_shown_with_its_first_tables() -> None:
    tables = [{"table": f"cat.db.t{n}"} for n in range(7)]
    assert str(record("1", tables=tables)).endswith(
        "tables: cat.db.t0, cat.db.t1, cat.db.t2, cat.db.t3, cat.db.t4 and 2 more)"
    )
    assert str(record("1")) == "lake.db (made 2026-01-01T00:00:00+00:00, copying on 2026-01-01T00:00:00+00:00)"
