"""The old lake that Spark writes. It is migrated, and its buckets are deleted; three engines read it before and
after."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engines.jars import require
from migrator.cli import main
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server
from migrator.store import is_own

Snapshots = dict[int | None, Any]
"""Snapshot → its rows, or the text of the error. None is the current one, read without naming it."""


@dataclass
class Answers:
    """What the engines read."""

    rows: dict[str, dict[str, Snapshots]] = field(default_factory=dict)
    """Table → engine → snapshots."""
    lineage: dict[str, Any] = field(default_factory=dict)
    filtered: dict[str, Any] = field(default_factory=dict)
    view: Any = None


@dataclass
class World:
    """After the migration: the old buckets are gone, ``spark`` uses the target, and caches manifests."""

    spark: Any
    before: Answers
    after: Answers
    tables: dict[str, Any]
    """As ``migrator tables --json`` described the old lake, by identifier."""
    sizes: dict[str, int]
    """Every object of the target → its size, after the migration."""
    client: Any
    named: dict[str, dict[str, int | None]] = field(default_factory=dict)
    """See ``test_engines.named_files``, which is called only once for each table."""

    def sql(self, text: str) -> Any:
        return self.spark.sql(text).collect()

    def get(self, uri: str) -> bytes:
        bucket, _, key = uri.partition("://")[2].partition("/")
        data: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        return data


@pytest.fixture(scope="module")  # it ends before another file begins a Spark in this process
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    require()
    from engines import lake, spark

    folder = tmp_path_factory.mktemp("engines")
    database = folder / "catalog.db"
    with Server() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environ().items():
            patch.setenv(name, value)
        client = server.client()
        for bucket in lake.BUCKETS:
            client.create_bucket(Bucket=bucket)
        try:
            with spark.spark_session(server, database, spark.OLD, few_rows=True) as session:
                lake.build_lake(session, client, database)
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
            delete_buckets(client, lake.BUCKETS)
            _run("verify", folder / "plan.db")
            with spark.spark_session(server, database, spark.NEW, manifest_cache=True, few_rows=True) as session:
                after = _answers(session, server)
                by_name = {table["identifier"]: table for table in tables}
                yield World(session, before, after, by_name, _sizes(client), client)
        finally:
            spark.end_jvm()


def _run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output + result.stderr + repr(result.exception)
    return result.stdout


def _sizes(client: Any) -> dict[str, int]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="data-lake")
    entries = (entry for page in pages for entry in page["Contents"] if not is_own(entry["Key"]))
    return {f"data-lake/{entry['Key']}": entry["Size"] for entry in entries}


def _answers(session: Any, server: Server) -> Answers:
    from pyiceberg.table import StaticTable

    from engines import duck, lake, spark

    found, db, client = Answers(), duck.connect(server), server.client()
    properties = {**server.properties(), "py-io-impl": "pyiceberg.io.fsspec.FsspecFileIO"}

    def by_spark(name: str, snapshot: int | None) -> Any:
        version = "" if snapshot is None else f" VERSION AS OF {snapshot}"
        return spark.query(session, f"SELECT * FROM {name}{version}")

    def by_pyiceberg(uri: str, snapshot: int | None) -> Any:
        table = StaticTable.from_metadata(uri, properties)
        return spark.as_rows(table.scan(snapshot_id=snapshot).to_arrow().to_pylist())

    for old in lake.TABLES:
        uri = spark.metadata_file(session, old.name)
        document = lake.metadata_json(client, uri)
        ids = [snapshot["snapshot-id"] for snapshot in document["snapshots"]]
        wanted = [None, *(i for i in ids if i != document["current-snapshot-id"])]
        readers: dict[str, Callable[[int | None], Any]] = {
            "Spark": lambda i, name=old.name: by_spark(name, i),
            "pyiceberg": lambda i, uri=uri: by_pyiceberg(uri, i),
            "DuckDB": lambda i, uri=uri: duck.scan(db, uri, i),
        }
        found.rows[old.name] = {
            engine: {i: _attempt(lambda i=i, read=read: read(i)) for i in wanted} for engine, read in readers.items()
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
    """What was read, or the text of the error. The text is without paths, which differ after a migration, and without
    quoted parts: of two files that DuckDB cannot read, it names the one that a thread reads first.
    """
    try:
        return read()
    except Exception as error:
        said = re.sub(r"s3a?://[^ ]*|'[^']*'", "…", str(error).partition("\n")[0])
        return f"{type(error).__name__}: {said}"
