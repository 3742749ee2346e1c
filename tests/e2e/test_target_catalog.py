"""The tables of a lake move into another catalog: they are registered in it, and the old catalog is only read."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from catalogs.contract import glue_place
from catalogs.servers.java import FIXTURE, RestFixture, require
from migrator.api import migrate_lake
from migrator.catalogs.glue_entries import GlueEntries
from migrator.catalogs.rest.entries import RestEntries
from migrator.catalogs.sql_entries import SqlEntries
from migrator.cli import main
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server

BUCKET, TARGET = "bronze", "data-lake"
BUCKETS = (BUCKET,)
TABLES = ("sales.orders", "sales.clicks", "ops.jobs")
ROWS = {name: [10 * number, 10 * number + 1] for number, name in enumerate(TABLES)}
SCHEMA = Schema(NestedField(1, "id", LongType(), required=False))


class Crash(Exception):
    """The process ends here."""


@dataclass
class Move:
    """A lake whose tables are in ``old`` and move to ``new``."""

    s3: Server
    old: Catalog
    new: Catalog
    folder: Path
    kind: str

    def run(self, *arguments: object, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
        return result

    def plan(self, name: str = "plan.db", exit_code: int = 0) -> Path:
        self.run("plan", "--config", self.folder / "lake.toml", "-o", self.folder / name, exit_code=exit_code)
        return self.folder / name

    def described(self, plan: Path) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("show", plan, "--json").stdout)
        return found

    def findings(self, plan: Path, code: str) -> list[dict[str, Any]]:
        return [finding for finding in self.described(plan)["findings"] if finding["code"] == code]

    def migrated(self) -> Path:
        plan = self.plan()
        self.run("migrate", plan, "--yes")
        return plan

    def delete_old_bucket(self) -> None:
        delete_buckets(self.s3.client(), {BUCKET})

    def registered(self) -> dict[str, str]:
        """The entries of the target catalog: name → pointer."""
        names = [".".join(name) for space in self.new.list_namespaces() for name in self.new.list_tables(space)]
        return {name: self.new.load_table(name).metadata_location for name in names if name in TABLES}


def rows(catalog: Catalog, name: str) -> list[int]:
    return sorted(catalog.load_table(name).scan().to_arrow()["id"].to_pylist())


def pointers(catalog: Catalog) -> dict[str, str]:
    return {name: catalog.load_table(name).metadata_location for name in TABLES}


SQL, SAME, GLUE, REST = "SQL", "SQL in the same database", "Glue", "REST"


@pytest.fixture(params=[SQL, SAME, GLUE, pytest.param(REST, marks=pytest.mark.slow)])
def move(request: pytest.FixtureRequest, s3: Server, tmp_path: Path) -> Iterator[Move]:
    yield from made_move(request, request.param, s3, tmp_path)


@pytest.fixture
def sql_move(request: pytest.FixtureRequest, s3: Server, tmp_path: Path) -> Iterator[Move]:
    yield from made_move(request, SQL, s3, tmp_path)


def made_move(request: pytest.FixtureRequest, kind: str, s3: Server, folder: Path) -> Iterator[Move]:
    uri = f"sqlite:///{folder}/old.sqlite"
    old = SqlCatalog("lake", uri=uri, warehouse=f"s3://{BUCKET}/wh", **s3.properties())
    old.create_namespace("sales", {"location": f"s3://{BUCKET}/wh/sales", "owner": "ann"})
    old.create_namespace("ops")
    for name in TABLES:
        table = old.create_table(name, SCHEMA)
        for row in ROWS[name]:
            table.append(pa.table({"id": [row]}))
    given, new = {"type": "sql", "uri": uri, "name": "other"}, old
    if kind == SQL:
        given = {"type": "sql", "uri": f"sqlite:///{folder}/new.sqlite"}
        new = SqlCatalog("lake", uri=given["uri"], warehouse=f"s3://{TARGET}/wh", **s3.properties())
    elif kind == SAME:
        new = SqlCatalog("other", uri=uri, warehouse=f"s3://{TARGET}/wh", **s3.properties())
    elif kind == GLUE:
        place = glue_place(kind, request.getfixturevalue("aws"), s3)
        given, new = place.properties, place.theirs
        for space in new.list_namespaces():  # of the test before
            for name in new.list_tables(space):
                new.drop_table(name)
            new.drop_namespace(space)
    if kind != REST:
        yield configured(Move(s3, old, new, folder, kind), given)
        return
    require(FIXTURE)
    s3.client().create_bucket(Bucket="rest")
    with (
        tempfile.TemporaryDirectory() as place_of_rest,
        RestFixture(s3, "s3://rest/wh", Path(place_of_rest) / "rest.db") as fixture,
    ):
        given = {"type": "rest", "uri": fixture.uri, "try-namespace": "migrator_try", "allow-drop": "true"}
        yield configured(Move(s3, old, RestCatalog("lake", **fixture.properties()), folder, kind), given)


def configured(move: Move, target: dict[str, str]) -> Move:
    lines = ["[source]", f'endpoint_url = "{move.s3.endpoint_url}"', "[layout]", f'"s3://{BUCKET}/" = "{BUCKET}/"']
    lines += ["[catalogs.lake]", 'type = "sql"', f'uri = "sqlite:///{move.folder}/old.sqlite"']
    lines += ["[catalogs.lake.target]", *(f'"{key}" = {json.dumps(value)}' for key, value in target.items())]
    (move.folder / "lake.toml").write_text("\n".join(lines) + "\n")
    return move


def test_the_tables_live_in_the_target_catalog(move: Move) -> None:
    before = pointers(move.old)
    plan = move.plan()
    assert move.registered() == {}
    (place,) = move.described(plan)["target_catalogs"].values()
    assert place in move.run("show", plan).stdout and place in move.run("status", plan).stdout
    move.run("migrate", plan, "--yes")
    assert pointers(move.old) == before and set(move.registered()) == set(TABLES)
    assert {name: rows(move.new, name) for name in TABLES} == ROWS
    found = move.new.load_namespace_properties("sales")
    assert found["location"] == f"s3://{TARGET}/{BUCKET}/wh/sales" and found["owner"] == "ann"

    again = move.plan("again.db")
    assert {table["state"] for table in move.described(again)["tables"]} == {"migrated"}
    assert not move.described(again)["changes_pending"] and not move.described(again)["blocked"]
    assert "Nothing to do" in move.run("migrate", again, "--yes").stdout

    move.delete_old_bucket()
    move.run("verify", again)
    for name in TABLES:
        move.new.load_table(name).append(pa.table({"id": [99]}))
        assert rows(move.new, name) == [*ROWS[name], 99]
    move.run("verify", again)
    assert "cutover-begun" in move.run("log", plan).stdout


def test_a_rollback_leaves_no_entry_and_the_plan_can_be_carried_out_again(move: Move) -> None:
    before = pointers(move.old)
    plan = move.migrated()
    move.run("rollback", plan, "--yes")
    assert move.registered() == {} and pointers(move.old) == before
    assert {name: rows(move.old, name) for name in TABLES} == ROWS
    move.run("migrate", plan, "--yes")
    assert {name: rows(move.new, name) for name in move.registered()} == ROWS


def test_commits_in_the_target_catalog_are_never_lost_silently(move: Move) -> None:
    plan, name = move.migrated(), TABLES[0]
    move.new.load_table(name).append(pa.table({"id": [99]}))
    now = move.registered()
    refused = move.run("rollback", plan, "--yes", exit_code=3).stderr
    assert name in refused and "--discard-newer" in refused
    assert "only read" in move.run("rollback", plan, "--yes", "--bring-back", exit_code=3).stderr
    assert move.registered() == now
    move.run("rollback", plan, "--yes", "--discard-newer")
    assert move.registered() == {} and rows(move.old, name) == ROWS[name]


def test_killed_before_and_after_each_registration(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = move.plan()
    entries: Any = {GLUE: GlueEntries, REST: RestEntries}.get(move.kind, SqlEntries)
    real, calls = entries.add, []

    def dying(self: Any, tables: Any, namespaces: Any) -> None:
        if len(calls) % 2 or len(calls) >= 4:
            real(self, tables, namespaces)
        calls.append(tables)
        if len(calls) <= 4:
            raise Crash

    monkeypatch.setattr(entries, "add", dying)
    for _ in range(4):
        with pytest.raises(Crash):
            migrate_lake(plan)
        assert {name: rows(move.old, name) for name in TABLES} == ROWS
        assert {name: rows(move.new, name) for name in move.registered()}.items() <= ROWS.items()
    move.run("migrate", plan, "--yes")
    assert {name: rows(move.new, name) for name in move.registered()} == ROWS
    move.run("verify", plan)


def test_an_entry_of_somebody_elses_blocks_and_is_not_changed(move: Move) -> None:
    plan = move.plan()
    move.new.create_namespace("ops")
    theirs = move.new.create_table("ops.jobs", SCHEMA, location=f"s3://{BUCKET}/elsewhere/jobs")
    refused = move.run("migrate", plan, "--yes", exit_code=4).stderr
    assert theirs.metadata_location in refused and move.registered() == {"ops.jobs": theirs.metadata_location}
    blocked = move.plan("blocked.db", exit_code=3)
    (finding,) = move.findings(blocked, "entry-at-target")
    assert finding["severity"] == "block" and theirs.metadata_location in finding["message"]
    assert move.old.load_table("ops.jobs").metadata_location in finding["message"]
    assert move.registered() == {"ops.jobs": theirs.metadata_location}


def test_a_write_to_the_old_table_after_the_move_blocks(sql_move: Move) -> None:
    move = sql_move
    move.migrated()
    move.old.load_table("sales.clicks").append(pa.table({"id": [77]}))
    plan = move.plan("later.db", exit_code=3)
    (finding,) = move.findings(plan, "old-entry-changed")
    assert finding["place"] == "lake.sales.clicks"


@pytest.mark.parametrize("remove", [False, True])
def test_retire_leaves_the_old_entries_or_removes_them(move: Move, remove: bool) -> None:
    plan = move.migrated()
    option = ["--remove-old-entries"] if remove else []
    before = pointers(move.old)
    shown = move.run("retire", plan, "--cooling", "0", *option).stdout
    assert ("would be removed" if remove else "would stay, and name missing files") in shown
    assert pointers(move.old) == before
    confirm = ["--yes", "--confirm", TARGET, "--cooling", "0"]
    done = json.loads(move.run("retire", plan, *confirm, *option, "--json").stdout)
    assert len(done["old_entries"]) == len(TABLES) and done["remove_old_entries"] is remove
    assert len(done["old_namespaces"]) == 1
    assert len([name for space in ("sales", "ops") for name in move.old.list_tables(space)]) == (0 if remove else 3)
    assert not move.s3.client().list_objects_v2(Bucket=BUCKET).get("KeyCount")
    assert {name: rows(move.new, name) for name in TABLES} == ROWS
    move.run("verify", plan)
    move.run("retire", plan, *confirm, *option)


def test_retire_refuses_while_an_old_entry_has_changed_since(sql_move: Move) -> None:
    move = sql_move
    plan = move.migrated()
    move.old.load_table("sales.clicks").append(pa.table({"id": [77]}))
    said = move.run("retire", plan, "--cooling", "0", exit_code=3).stderr
    assert "lake.sales.clicks points to" in said


def test_a_live_lake_is_copied_and_cut_over(sql_move: Move) -> None:
    move = sql_move
    plan = move.plan()
    move.run("copy", plan)
    move.old.load_table("sales.clicks").append(pa.table({"id": [77]}))
    move.run("copy", plan)
    move.run("cutover", plan, "--yes", "--quiet-for", "0.2")
    assert rows(move.new, "sales.clicks") == [*ROWS["sales.clicks"], 77]


def test_hadoop_has_no_entries(sql_move: Move) -> None:
    config = sql_move.folder / "lake.toml"
    config.write_text(
        config.read_text().partition("[catalogs.lake.target]")[0]
        + f'[catalogs.lake.target]\ntype = "hadoop"\nwarehouse = "s3://{TARGET}/wh"\n'
    )
    said = sql_move.run("plan", "--config", config, "-o", sql_move.folder / "p.db", exit_code=2).stderr
    assert "has no entries" in said


def test_the_same_catalog_is_no_target(sql_move: Move) -> None:
    config = sql_move.folder / "lake.toml"
    config.write_text(config.read_text().replace("new.sqlite", "old.sqlite"))
    said = sql_move.run("plan", "--config", config, "-o", sql_move.folder / "p.db", exit_code=2).stderr
    assert "is the same catalog" in said
