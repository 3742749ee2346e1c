"""``migrator metrics --listen`` of a real lake, scraped by a real Prometheus. Its numbers are those that pyiceberg, a
reader that shares no code with migrator, finds; the alerts that should fire do."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Thread

import pyarrow.compute as pc
import pytest
from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.table import Table

from e2e.world import World
from migrator import reference
from prometheus import Prometheus, prometheus_server, promtool

RULES = re.sub(r"for: \d+[mh]", "for: 0s", reference.text(reference.RULES))
"""The rules as exported, but an alert fires immediately."""
KINDS = {0: "data", 1: "position", 2: "equality"}


@contextmanager
def listening(world: World) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run the command. Yields its address."""
    words = ("--config", str(world.config), "--listen", "127.0.0.1:0", "--every", "1s", "--orphan-age", "0s")
    process = subprocess.Popen(
        [sys.executable, "-m", "migrator", "metrics", *words], stderr=subprocess.PIPE, text=True, cwd=world.folder
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.fullmatch(r"Serving http://(127\.0\.0\.1:\d+)/metrics\n", line)
        assert found, line + process.stderr.read()
        Thread(target=process.stderr.read, daemon=True).start()  # so that it never waits for a reader
        yield found[1], process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def migrated(own_world: World) -> World:
    """The lake after its migration, written to since: snapshots of a table were expired, and there are orphans."""
    world = own_world
    world.run("migrate", world.plan(), "--yes")
    catalog = catalog_of(world)
    table = catalog.load_table("bronze.raw_events")
    table.maintenance.expire_snapshots().by_ids([s.snapshot_id for s in table.snapshots()[:2]]).commit()
    catalog.load_table("silver.user_sessions").append(catalog.load_table("silver.user_sessions").scan().to_arrow())
    location = catalog.load_table("gold.daily_sales").location().removeprefix("s3a://data-lake/")
    location = location.removeprefix("s3://data-lake/")
    world.client.put_object(Bucket="data-lake", Key=f"{location}/data/lost.parquet", Body=b"12345")
    return world


def catalog_of(world: World) -> Catalog:
    return load_catalog("iceberg", **world.lake.catalogs["iceberg"], **world.server.properties())


def tables_of(catalog: Catalog) -> dict[str, Table]:
    names = [name for space in catalog.list_namespaces() for name in catalog.list_tables(space)]
    return {name[-1]: catalog.load_table(name) for name in names}


def by_pyiceberg(table: Table) -> dict[str, float]:
    """What pyiceberg finds of a table."""
    files = table.inspect.files()
    kinds = Counter(KINDS[content] for content in files["content"].to_pylist())
    data = files.filter(pc.equal(files["content"], 0))
    sizes = data["file_size_in_bytes"].to_pylist()
    found = {
        "snapshots": len(table.metadata.snapshots),
        "format_version": table.metadata.format_version,
        "data_files": kinds["data"],
        "data_bytes": sum(sizes),
        "records": sum(data["record_count"].to_pylist()),
        "small_files": sum(size < 16 << 20 for size in sizes),
        "delete_files position": kinds["position"],
        "delete_files equality": kinds["equality"],
        "delete_files deletion-vector": 0,
    }
    if current := table.current_snapshot():
        found["current_snapshot_timestamp_seconds"] = current.timestamp_ms / 1000
    return found


def orphans_by_pyiceberg(world: World, table: Table) -> list[int]:
    """The sizes of the objects below the table's location that no snapshot names."""
    named = {table.metadata_location, *(entry.metadata_file for entry in table.metadata.metadata_log)}
    named |= {one.statistics_path for one in table.metadata.statistics}
    for snapshot in table.metadata.snapshots:
        manifests = snapshot.manifests(table.io)
        named |= {snapshot.manifest_list, *(manifest.manifest_path for manifest in manifests)}
        for manifest in manifests:
            named |= {e.data_file.file_path for e in manifest.fetch_manifest_entry(table.io, discard_deleted=True)}
    keys = {key_of(path) for path in named}
    below = world.listing("data-lake")
    place = f"{key_of(table.location())}/"
    return [
        size
        for name, (size, _, _) in below.items()
        if (key := name.removeprefix("data-lake/")).startswith(place) and key not in keys
    ]


def key_of(path: str) -> str:
    return path.partition("://data-lake/")[2]


def by_prometheus(server: Prometheus, table: str) -> dict[str, float]:
    """What Prometheus knows of a table."""
    found = {}
    for labels, value in server.query(f'{{__name__=~"migrator_table_.+", catalog="iceberg", table="{table}"}}'):
        name = labels["__name__"].removeprefix("migrator_table_")
        found[f"{name} {labels['kind']}" if "kind" in labels else name] = value
    return found


def firing(server: Prometheus) -> set[str]:
    return {labels["alertname"] for labels, _ in server.query('ALERTS{alertstate="firing"}')}


@pytest.mark.timeout(1800)
def test_prometheus_knows_what_pyiceberg_finds_and_alerts_fire(migrated: World, tmp_path: Path) -> None:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    with listening(migrated) as (address, process), prometheus_server(folder, address, RULES) as server:
        server.wait_for("migrator_collections_total >= 2")
        tables = tables_of(catalog_of(migrated))
        readable = server.wait_for('migrator_table_readable{catalog="iceberg"} == 1')
        assert {labels["table"] for labels, _ in readable} == set(tables)
        _same_tables(migrated, server, tables)
        _same_folders(migrated, server)
        # It fires before the first collection has ended, until the rules are evaluated again.
        assert server.wait_for('absent(ALERTS{alertname="MigratorCollectionFailing", alertstate="firing"})')
        assert not firing(server) & {"MigratorTableUnreadable", "MigratorOldPathsNamed", "MigratorCollectionStale"}
        _old_path_fires(migrated, server)
        _broken_table_fires(migrated, server, tables["raw_events"])
        _failing_fires(migrated, server)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130


def _same_tables(world: World, server: Prometheus, tables: dict[str, Table]) -> None:
    total = 0
    for name, table in tables.items():
        orphans = orphans_by_pyiceberg(world, table)
        expected = by_pyiceberg(table) | {
            "readable": 1,
            "old_paths": 0,
            "orphans": len(orphans),
            "orphan_bytes": sum(orphans),
        }
        server.wait_until_equal(partial(by_prometheus, server, name), expected)
        total += len(orphans)
    assert len(orphans_by_pyiceberg(world, tables["raw_events"])) > 0
    assert orphans_by_pyiceberg(world, tables["daily_sales"]) == [5]
    assert server.wait_for("sum(migrator_layer_orphans)")[0][1] == total
    assert sum(by_pyiceberg(table)["delete_files position"] for table in tables.values()) >= 4


def _same_folders(world: World, server: Prometheus) -> None:
    objects, sizes = Counter[str](), Counter[str]()
    for name, (size, _, _) in world.listing("data-lake").items():
        _, first, *others = name.split("/")
        layer = f"{first}/{others[0]}" if first == "warehouse" else first
        objects[layer] += 1
        sizes[layer] += size
    for metric, expected in (("objects", objects), ("bytes", sizes)):
        found = server.wait_for(f"migrator_layer_{metric} > 0")
        assert {labels["layer"]: value for labels, value in found} == expected


def _old_path_fires(world: World, server: Prometheus) -> None:
    world.client.put_object(Bucket="data-lake", Key="scripts/new.py", Body=b"'s3://gold/x'")
    labels = server.wait_for_alert("MigratorOldPathsNamed")
    assert labels["layer"] == "scripts"


def _broken_table_fires(world: World, server: Prometheus, table: Table) -> None:
    snapshot = table.current_snapshot()
    assert snapshot is not None
    world.client.delete_object(Bucket="data-lake", Key=key_of(snapshot.manifest_list))
    labels = server.wait_for_alert("MigratorTableUnreadable")
    assert (labels["catalog"], labels["namespace"], labels["table"]) == ("iceberg", "bronze", "raw_events")
    server.wait_until_equal(partial(by_prometheus, server, "raw_events"), {"readable": 0})
    assert server.wait_for("migrator_collection_complete == 0 and migrator_tables_unreadable == 1")


def _failing_fires(world: World, server: Prometheus) -> None:
    """The server of the lake is stopped: the numbers of the last collection stay."""
    world.server.stop()
    assert server.wait_for_alert("MigratorCollectionFailing")
    assert server.wait_for("migrator_collection_failures_total > 0")
    assert server.wait_for("migrator_layer_objects") and server.wait_for("migrator_table_snapshots")


def test_promtool_checks_the_metrics_of_a_real_lake(world: World) -> None:
    world.run("migrate", world.plan(), "--yes")
    told = promtool("check", "metrics", stdin=world.run("metrics", "--config", world.config).stdout)
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
