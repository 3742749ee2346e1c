"""The old lake by Spark, migrated, its buckets deleted; with what three engines read before and after."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engines.jars import REQUIRED, missing
from migrator.cli import main
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server

SNAPSHOTS = dict[int, Any]
ENGINES = ("Spark", "pyiceberg", "DuckDB")


@dataclass
class Answers:
    """What the engines read: table → engine → snapshot → rows, or the text of the error."""

    rows: dict[str, dict[str, SNAPSHOTS]] = field(default_factory=dict)
    lineage: dict[str, Any] = field(default_factory=dict)
    filtered: dict[str, Any] = field(default_factory=dict)
    view: Any = None


@dataclass
class World:
    """After the migration: the old buckets are gone, ``spark`` is on the new place, manifests cached."""

    spark: Any
    before: Answers
    after: Answers
    tables: dict[str, Any]
    """As ``migrator tables --json`` described the old lake, by identifier."""
    client: Any


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    why = missing()
    if why and os.environ.get(REQUIRED) != "1":
        pytest.skip(why)
    from engines import lake, spark

    folder = tmp_path_factory.mktemp("engines")
    database = folder / "catalog.db"
    with Server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environ().items():
            patch.setenv(name, value)
        for bucket in lake.BUCKETS:
            server.client().create_bucket(Bucket=bucket)
        try:
            with spark.spark_session(server, database, spark.OLD) as session:
                lake.build_lake(session, server.client(), database)
                before = _answers(session, server)
            config = folder / "lake.toml"
            config.write_text(
                f"[source]\nendpoint_url = {json.dumps(server.endpoint_url)}\n"
                f'[catalogs.iceberg]\ntype = "sql"\nuri = "sqlite:///{database}"\n'
                f'[catalogs.local]\ntype = "hadoop"\nwarehouse = "{spark.OLD[1]}"\n'
            )
            tables = json.loads(_run("tables", "--config", config, "--json"))["tables"]
            _run("plan", "--config", config, "-o", folder / "plan.db")
            _run("migrate", folder / "plan.db", "--yes")
            delete_buckets(server.client(), lake.BUCKETS)
            _run("verify", folder / "plan.db")
            with spark.spark_session(server, database, spark.NEW, manifest_cache=True) as session:
                after = _answers(session, server)
                yield World(session, before, after, {t["identifier"]: t for t in tables}, server.client())
        finally:
            spark.end_jvm()


def _run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output + result.stderr + repr(result.exception)
    return result.stdout


def _answers(session: Any, server: Server) -> Answers:
    from pyiceberg.table import StaticTable

    from engines import duck, lake, spark

    found = Answers()
    db = duck.connect(server)
    properties = {**server.properties(), "py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO"}
    for old in lake.TABLES:
        uri = spark.metadata_file(session, old.name)
        ids = spark.snapshots(session, old.name)
        opened = _attempt(lambda uri=uri: StaticTable.from_metadata(uri, properties))
        readers: dict[str, Callable[[int], Any]] = {
            "Spark": lambda i, name=old.name: spark.query(session, f"SELECT * FROM {name} VERSION AS OF {i}"),
            "pyiceberg": lambda i, table=opened: spark.as_rows(table.scan(snapshot_id=i).to_arrow().to_pylist()),
            "DuckDB": lambda i, uri=uri: duck.scan(db, uri, i),
        }
        found.rows[old.name] = {
            engine: {i: _attempt(lambda i=i, read=read: read(i)) for i in ids} for engine, read in readers.items()
        }
        if "v3" in old.feature:
            lineage = f"SELECT id, _row_id, _last_updated_sequence_number FROM {old.name}"
            found.lineage[old.name] = spark.query(session, lineage)
        if old.feature.startswith(("position deletes", "format v")):
            # Filters on a column of old paths: its bounds in the manifests are data, and must stay.
            where = "url = 's3a://bronze/iceberg-warehouse/7'"
            found.filtered[old.name] = spark.query(session, f"SELECT id FROM {old.name} WHERE {where}")
    found.view = spark.query(session, f"SELECT * FROM {lake.VIEW}")
    return found


def _attempt(read: Callable[[], Any]) -> Any:
    """What was read, or the error's kind: the engines' messages name paths, which differ afterwards."""
    try:
        return read()
    except Exception as error:
        return f"cannot: {type(error).__name__}"
