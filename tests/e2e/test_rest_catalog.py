"""A lake whose tables are in a REST catalog is migrated, and works through its server without the old buckets."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.schema import Schema
from pyiceberg.types import LongType, NestedField

from catalogs.contract import NoReader
from catalogs.servers.java import FIXTURE, NESSIE, JavaServer, Nessie, RestFixture, require
from migrator.api import migrate_lake, rollback_lake
from migrator.catalogs import open_catalog
from migrator.catalogs.rest.client import RestClient
from migrator.cli import main
from migrator.config import load
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server

BUCKETS = ("bronze", "gold")
TABLES = ("sales.orders", "sales.eu.customers", "gold.daily")
SECRET = "t0p-secret-of-the-catalog"


class Crash(Exception):
    """The process ends here."""


def build(server: JavaServer, folder: Path, **properties: str) -> RestCatalog:
    """Three tables with their rows, and a lake.toml."""
    catalog = RestCatalog("lake", **server.properties())
    catalog.create_namespace("sales", {"location": "s3://bronze/wh/sales"})
    catalog.create_namespace("sales.eu")
    catalog.create_namespace("gold", {"location": "s3://gold/tables"})
    schema = Schema(NestedField(1, "id", LongType(), required=False))
    for number, name in enumerate(TABLES):
        table = catalog.create_table(name, schema)
        for i in range(2):
            table.append(pa.table({"id": [10 * number + i]}))
    given = {"type": "rest", "uri": server.uri, "token": SECRET, **properties}
    lines = ["[source]", f'endpoint_url = "{server.s3.endpoint_url}"', "[layout]"]
    lines += [f'"s3://{bucket}/" = "{bucket}/"' for bucket in BUCKETS]
    lines += ["[catalogs.lake]", *(f"{key} = {json.dumps(value)}" for key, value in given.items())]
    (folder / "lake.toml").write_text("\n".join(lines) + "\n")
    return catalog


def run(*arguments: object, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
    assert SECRET not in result.output + result.stderr
    return result


def check_lives_on(catalog: RestCatalog, s3: Server, plan: Path, folder: Path) -> None:
    delete_buckets(s3.client(), BUCKETS)
    run("verify", plan)
    assert sorted(catalog.list_tables("sales"))[0] == ("sales", "orders")
    for number, name in enumerate(TABLES):
        table = catalog.load_table(name)
        assert table.metadata_location.startswith("s3://data-lake/")
        table.append(pa.table({"id": [99]}))
        rows = catalog.load_table(name).scan().to_arrow()["id"].to_pylist()
        assert sorted(rows) == [10 * number, 10 * number + 1, 99]
    assert catalog.load_namespace_properties("gold")["location"] == "s3://data-lake/gold/tables"
    with closing(open_catalog("lake", load(folder / "lake.toml").catalogs["lake"], NoReader())) as ours:
        assert {f"{t.namespace}.{t.name}" for t in ours.tables()} == set(TABLES)
    for file in folder.glob("plan.db*"):
        assert SECRET.encode() not in file.read_bytes()


def check_the_way_back(catalog: RestCatalog, plan: Path, pointers: dict[str, str]) -> None:
    """A rollback restores the old pointers and rows; then the same plan is carried out again."""
    run("rollback", plan, "--yes")
    check_is_back(catalog, pointers)
    run("migrate", plan, "--yes")


def check_is_back(catalog: RestCatalog, pointers: dict[str, str]) -> None:
    for number, name in enumerate(TABLES):
        table = catalog.load_table(name)
        assert table.metadata_location == pointers[name]
        assert sorted(table.scan().to_arrow()["id"].to_pylist()) == [10 * number, 10 * number + 1]
    assert catalog.load_namespace_properties("gold")["location"] == "s3://gold/tables"


def pointers_of(catalog: RestCatalog) -> dict[str, str]:
    return {name: catalog.load_table(name).metadata_location for name in TABLES}


@pytest.mark.parametrize("way", ["rename", "backend", "drop"])
def test_a_lake_behind_a_rest_server(way: str, s3: Server, tmp_path: Path) -> None:
    require(FIXTURE)
    database, plan = tmp_path / "rest.db", tmp_path / "plan.db"
    with RestFixture(s3, "s3://bronze/wh", database) as server:
        tried = {"try-namespace": "migrator_try", "repoint-by": way}
        properties: dict[str, str] = {
            "rename": tried,
            "backend": {"backend": f"sqlite:///{database}"},
            "drop": {**tried, "allow-drop": "true"},
        }[way]
        catalog = build(server, tmp_path, **properties)
        pointers = pointers_of(catalog)
        run("plan", "--config", tmp_path / "lake.toml", "-o", plan)
        run("migrate", plan, "--yes")
        check_the_way_back(catalog, plan, pointers)
        check_lives_on(catalog, s3, plan, tmp_path)


def test_a_lake_in_nessie(s3: Server, tmp_path: Path) -> None:
    require(NESSIE)
    plan = tmp_path / "plan.db"
    with Nessie(s3, "s3://bronze/wh/") as server:
        catalog = build(server, tmp_path)
        pointers = pointers_of(catalog)
        run("plan", "--config", tmp_path / "lake.toml", "-o", plan)
        run("migrate", plan, "--yes")
        check_the_way_back(catalog, plan, pointers)
        check_lives_on(catalog, s3, plan, tmp_path)


@pytest.mark.parametrize("way", ["rename", "drop"])
def test_a_cutover_that_crashes_in_the_gap_is_finished(
    way: str, s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In each gap in turn a table has no entry with its name, and the next command continues."""
    require(FIXTURE)
    plan = tmp_path / "plan.db"
    with RestFixture(s3, "s3://bronze/wh", tmp_path / "rest.db") as server:
        tried = {"try-namespace": "migrator_try", "repoint-by": way, "allow-drop": "true"}
        catalog = build(server, tmp_path, **tried)
        pointers = pointers_of(catalog)
        run("plan", "--config", tmp_path / "lake.toml", "-o", plan)

        def crash_in_each_gap(command: Callable[[Path], object]) -> None:
            for _ in TABLES:
                with monkeypatch.context() as patch:
                    patch.setattr(RestClient, "request", crash_in_the_gap(RestClient.request))
                    with pytest.raises(Crash):
                        command(plan)
                listed = [name for ns in ("sales", "sales.eu", "gold") for name in catalog.list_tables(ns)]
                assert {".".join(name) for name in listed} != set(TABLES)

        crash_in_each_gap(migrate_lake)
        run("migrate", plan, "--yes")
        crash_in_each_gap(rollback_lake)
        run("rollback", plan, "--yes")
        check_is_back(catalog, pointers)
        run("migrate", plan, "--yes")
        check_lives_on(catalog, s3, plan, tmp_path)


def crash_in_the_gap(send: Any) -> Any:
    """A request that ends the process right after the first rename or drop of a table of the lake."""
    gone = []

    def request(self: RestClient, method: str, path: str, *arguments: Any, **named: Any) -> Any:
        if gone:
            raise Crash
        answer = send(self, method, path, *arguments, **named)
        said = f"{path}{arguments}"
        if (
            "migrator_try" not in said
            and answer.ok
            and ((path == "tables/rename" and "__migrator_new'}, 'dest" not in said) or method == "DELETE")
        ):
            gone.append(path)
        return answer

    return request


def test_a_server_of_which_nothing_is_known_blocks_the_plan(s3: Server, tmp_path: Path) -> None:
    require(FIXTURE)
    with RestFixture(s3, "s3://bronze/wh", tmp_path / "rest.db") as server:
        build(server, tmp_path)
        run("plan", "--config", tmp_path / "lake.toml", "-o", tmp_path / "plan.db", exit_code=3)
        said = json.loads(run("show", tmp_path / "plan.db", "--json").stdout)
    (finding,) = [f for f in said["findings"] if f["code"] == "catalog-cannot-repoint"]
    assert finding["severity"] == "block" and "try-namespace" in finding["next_move"]
