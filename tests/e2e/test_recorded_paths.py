"""A lake that was copied from HDFS: its catalog and its tables name hdfs://, its objects lie in a bucket."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io.fsspec import FsspecFileIO, FsspecInputFile, FsspecOutputFile
from pyiceberg.table import StaticTable

from migrator.cli import main
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server
from migrator.verifying.pyiceberg_io import S3FileIO

OLD, COPY = "hdfs://nn:8020/wh", "s3://copy/backup/wh"
ROWS = pa.table({"n": range(30)})


class CopiedIO(FsspecFileIO):
    """Writes and reads paths of OLD at COPY, as if they had been copied from there."""

    def new_input(self, location: str) -> FsspecInputFile:
        return super().new_input(location.replace(OLD, COPY))

    def new_output(self, location: str) -> FsspecOutputFile:
        return super().new_output(location.replace(OLD, COPY))


class Lake:
    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder, self.client = server, folder, server.client()
        self.database = folder / "catalog.db"
        self.client.create_bucket(Bucket="copy")
        properties = {**server.properties(), "py-io-impl": f"{__name__}.CopiedIO"}
        with closing(SqlCatalog("lake", uri=f"sqlite:///{self.database}", **properties)) as catalog:
            catalog.create_namespace("db", {"location": f"{OLD}/db"})
            for name in ("a", "b"):
                table = catalog.create_table(f"db.{name}", ROWS.schema, location=f"{OLD}/db/{name}")
                table.append(ROWS)
                table.append(ROWS)
                table.delete("n < 3")

    def pointers(self) -> dict[str, str]:
        with closing(sqlite3.connect(self.database)) as db:
            return dict(db.execute("SELECT table_name, metadata_location FROM iceberg_tables"))

    def plan(self, name: str, layout: dict[str, str], exit_code: int) -> dict[str, Any]:
        rules = "\n".join(f"{json.dumps(old)} = {json.dumps(new)}" for old, new in layout.items())
        config = self.folder / "lake.toml"
        catalog = f'[catalogs.lake]\ntype = "sql"\nuri = "sqlite:///{self.database}"\n'
        config.write_text(f'[target]\nbucket = "data-lake"\n[layout]\n{rules}\n{catalog}')
        arguments = ["plan", "--config", str(config), "-o", str(self.folder / name), "--json"]
        found: dict[str, Any] = json.loads(self.run(*arguments, exit_code=exit_code).stdout)
        return found

    def run(self, *arguments: str, exit_code: int = 0) -> Result:
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == exit_code, result.output + result.stderr + repr(result.exception)
        return result


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    with Server() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        yield Lake(server, tmp_path)


def test_a_lake_that_was_copied_from_hdfs_moves_with_its_pointers(lake: Lake) -> None:
    before = lake.pointers()
    assert all(pointer.startswith(f"{OLD}/db/") for pointer in before.values())
    layout = {"s3://copy/": "lake/"}
    plan = lake.plan("first.db", layout, exit_code=0)
    outside = [f for f in plan["findings"] if f["code"] == "outside-table"]
    assert {f["place"] for f in outside} == {"lake.db.a", "lake.db.b"}
    assert all(f'"{OLD}/db/' in f["next_move"] or f'"{OLD}' in f["next_move"] for f in outside)
    plan = lake.plan("plan.db", {**layout, f"{OLD}/": "lake/backup/wh/"}, exit_code=0)
    assert [t["old_metadata"] for t in plan["tables"]] == [before["a"], before["b"]]
    assert plan["pointers"]["total"] == 3
    path = str(lake.folder / "plan.db")
    lake.run("migrate", path, "--yes")
    after = lake.pointers()
    assert all(pointer.startswith("s3://data-lake/lake/backup/wh/db/") for pointer in after.values())
    verified = json.loads(lake.run("verify", path, "--deep", "--json").stdout)
    checks = {check["name"]: check for check in verified["checks"]}
    rows = checks["every row of every snapshot is the same"]
    assert rows["checked"] > 0 and not rows["not_compared"], rows
    delete_buckets(lake.client, ["copy"])
    for pointer in after.values():
        table = StaticTable.from_metadata(pointer, lake.server.properties())
        assert table.scan().to_arrow().num_rows == 54
    again = lake.run("verify", path, "--json")
    assert json.loads(again.stdout)["ok"]


def test_a_path_that_no_rule_explains_is_never_read_from_this_machine(tmp_path: Path) -> None:
    """A path file:/… in a table may be a file of this machine, which must not be read."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    with pytest.raises(FileNotFoundError):
        S3FileIO({}, lambda path: None).new_input(f"file:{secret}")
