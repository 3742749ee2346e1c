"""The lake that Spark and Iceberg write, with all features of Iceberg: both engines make the same target."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engines.jars import missing, require
from migrator.demo.lake import delete_buckets
from migrator.demo.server import Server
from workers.application import ROOT, toml
from workers.lakes import everything

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or "-"), pytest.mark.timeout(1200)]


def migrator(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "migrator", *arguments], cwd=folder, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rows_of(client: Any, database: Path, server: Server) -> dict[str, int]:
    """Pointer → how many rows pyiceberg reads there. Only Spark can read deletion vectors and similar features."""
    import sqlite3

    from pyiceberg.table import StaticTable

    with sqlite3.connect(database) as db:
        found = db.execute("SELECT table_name, metadata_location FROM iceberg_tables").fetchall()
    assert all("data-lake" in uri for _, uri in found)
    readable = [(name, uri) for name, uri in found if name in ("v1", "v2_copy_on_write")]
    tables = {name: StaticTable.from_metadata(uri, server.properties()) for name, uri in readable}
    return {name: len(table.scan().to_arrow()) for name, table in tables.items()}


def test_the_same_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require()
    from engines import lake, spark

    database, config = tmp_path / "catalog.db", tmp_path / "lake.toml"
    with Server() as server:
        for name, value in {**server.environ(), "PYTHONPATH": str(ROOT)}.items():
            monkeypatch.setenv(name, value)
        client = server.client()
        for bucket in lake.BUCKETS:
            client.create_bucket(Bucket=bucket)
        try:
            with spark.spark_session(server, database, spark.OLD, few_rows=True) as session:
                lake.build_lake(session, client, database)
        finally:
            spark.end_jvm()
        shutil.copy(database, tmp_path / "pristine")
        config.write_text(
            f"[source]\nendpoint_url = {json.dumps(server.endpoint_url)}\n"
            f'[catalogs.iceberg]\ntype = "sql"\nuri = "sqlite:///{database}"\n'
            f'[catalogs.local]\ntype = "hadoop"\nwarehouse = "{spark.OLD[1]}"\n{toml()}'
        )
        migrator(tmp_path, "plan", "--config", "lake.toml", "-o", "local.db")
        migrator(tmp_path, "migrate", "local.db", "--yes")
        expected = everything(client)
        delete_buckets(client, ["data-lake"])
        shutil.copy(tmp_path / "pristine", database)

        migrator(tmp_path, "plan", "--config", "lake.toml", "-o", "spark.db")
        done = json.loads(migrator(tmp_path, "migrate", "spark.db", "--yes", "--engine", "spark", "--json"))
        assert done["ok"] and done["copy"]["processes"] == 2
        assert everything(client) == expected and len(expected) > 100
        delete_buckets(client, lake.BUCKETS)
        migrator(tmp_path, "verify", "spark.db")
        assert all(rows_of(client, database, server).values())
