"""Spark, pyiceberg and DuckDB read every table that Spark wrote with the same rows as before, without the old
buckets."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest

from engines import lake
from engines.conftest import World
from engines.matrix import matrix_markdown
from test_docs import ROOT, generated

pytestmark = pytest.mark.timeout(900)  # the first test builds and migrates the lake
NAMES = [old.name for old in lake.TABLES]
INLINE = "iceberg.db.v1_inline"
"""Spark reads manifests that no list names, but does not list them in its metadata tables, and cannot write to such a
table."""


@pytest.mark.parametrize("name", NAMES)
def test_spark_reads_every_snapshot_as_before(world: World, name: str) -> None:
    before, after = world.before.rows[name]["Spark"], world.after.rows[name]["Spark"]
    assert not [rows for rows in before.values() if isinstance(rows, str)], "the test's own lake is broken"
    assert after == before
    assert before[None] or name == "iceberg.db.empty"


@pytest.mark.parametrize("engine", ["pyiceberg", "DuckDB"])
@pytest.mark.parametrize("name", NAMES)
def test_other_engines_read_as_before(world: World, name: str, engine: str) -> None:
    """The same rows, and those that Spark reads; or the same error."""
    after = world.after.rows[name]
    assert after[engine] == world.before.rows[name][engine]
    for snapshot, rows in after[engine].items():
        assert isinstance(rows, str) or rows == after["Spark"][snapshot]


def test_row_lineage_is_kept(world: World) -> None:
    assert {"iceberg.db.v3_vectors", "iceberg.db.upgraded", "local.ops.vectors"} <= set(world.before.lineage)
    assert all(world.before.lineage.values())
    assert world.after.lineage == world.before.lineage


def test_a_filter_on_a_column_of_old_paths_finds_the_same_rows(world: World) -> None:
    """Pitfall 27: a string replace over the manifest turned a filtered scan of one row into none."""
    assert any(world.before.filtered.values())
    assert world.after.filtered == world.before.filtered


def test_a_view_reads_as_before(world: World) -> None:
    assert world.after.view == world.before.view != []


def named_files(world: World, name: str) -> dict[str, int | None]:
    """Every path that the table's metadata tables name → the size that they record, or None. A file that a snapshot has
    removed may be gone, and has no size.
    """
    queries = [
        "SELECT data_file.file_path, if(status < 2, data_file.file_size_in_bytes, NULL) FROM {}.all_entries",
        "SELECT path, length FROM {}.all_manifests",
        "SELECT manifest_list, NULL FROM {}.snapshots",
        "SELECT file, NULL FROM {}.metadata_log_entries",
    ]
    if name not in world.named:
        found: dict[str, int | None] = {}
        for path, size in world.sql(" UNION ALL ".join(queries).format(*[name] * len(queries))):
            assert size is None or found.get(path) in (None, size), path
            found[path] = size if size is not None else found.get(path)
        world.named[name] = found
    return world.named[name]


@pytest.mark.parametrize("name", [name for name in NAMES if name != INLINE])
def test_spark_sees_new_places_and_right_sizes_only(world: World, name: str) -> None:
    """iceberg#13719: the lists kept the old manifests' lengths. iceberg#12554: so did manifests those of deletes."""
    files = named_files(world, name)
    for path, size in files.items():
        assert path.startswith(("s3://data-lake/", "s3a://data-lake/"))
        assert size is None or size == world.sizes[path.partition("://")[2]]
    if any(d["kind"] != "equality deletes" for d in world.tables[name]["deletes"]):
        positions = {row[0] for row in world.sql(f"SELECT file_path FROM {name}.position_deletes")}
        assert positions <= set(files)


def test_a_stale_length_loses_rows(world: World) -> None:
    """The opposite check: with a wrong length in a list, this Spark, with its cache, returns wrong rows without an
    error."""
    name = "iceberg.db.stale"
    table = lake.Builder(world.spark, world.client, None, name)
    table.create()
    table.insert(0, 12)
    (uri,) = world.sql(f"SELECT manifest_list FROM {name}.snapshots")[0]
    reader = fastavro.reader(io.BytesIO(world.get(uri)))
    entries = [{**entry, "manifest_length": entry["manifest_length"] - 200} for entry in reader]
    headers = {key: value for key, value in reader.metadata.items() if not key.startswith("avro.")}
    changed = io.BytesIO()
    fastavro.writer(changed, reader.writer_schema, entries, metadata=headers)
    bucket, _, key = uri.partition("://")[2].partition("/")
    world.client.put_object(Bucket=bucket, Key=key, Body=changed.getvalue())
    assert world.sql(f"SELECT * FROM {name}") == []


def test_the_lake_has_the_hard_cases(world: World) -> None:
    """Vectors of several data files in one Puffin; deletes over places whose order the migration has changed."""
    shared = world.sql(
        "SELECT file_path FROM iceberg.db.v3_vectors.all_delete_files GROUP BY file_path"
        " HAVING count(DISTINCT referenced_data_file) > 1"
    )
    assert shared
    deletes = world.sql("SELECT DISTINCT file_path FROM iceberg.db.many_buckets.position_deletes")
    places = [row[0].partition("://data-lake/")[2].partition("/")[0] for row in deletes]
    assert set(places) == {"warehouse", "silver", "gold"}


def test_tables_says_what_the_lake_has(world: World) -> None:
    """``migrator tables``, compared with what the test made Spark write."""

    def kinds(name: str) -> set[tuple[str, str]]:
        return {(d["kind"], d["format"]) for d in world.tables[f"iceberg.db.{name}"]["deletes"]}

    assert all(table["migratable"] for table in world.tables.values())
    assert kinds("deletes_orc") == {("position deletes", "ORC")}
    assert kinds("deletes_avro") == {("position deletes", "AVRO")}
    assert kinds("equality_deletes") == {("equality deletes", "PARQUET")}
    assert kinds("v3_vectors") == {("deletion vectors", "PUFFIN")}
    assert kinds("upgraded") == {("position deletes", "PARQUET"), ("deletion vectors", "PUFFIN")}
    features = {name: set(world.tables[f"iceberg.db.{name}"]["features"]) for name in ("branches", "staged", "gzip")}
    assert features == {
        "branches": {"branches", "tags"},
        "staged": {"staged snapshots"},
        "gzip": {"compressed metadata"},
    }
    assert "inline manifests" in world.tables["iceberg.db.v1_inline"]["features"]
    assert "files outside the location" in world.tables["iceberg.db.imported"]["features"]
    assert "row lineage" in world.tables["iceberg.db.v3_vectors"]["features"]
    assert world.tables["iceberg.db.v1"]["writers"][0].startswith("spark 3.5")
    assert world.tables["iceberg.db.big_ids"]["kind"] == "view"


def test_the_matrix_in_the_documents_is_what_the_engines_answered(world: World) -> None:
    features = {old.name: old.feature for old in lake.TABLES}
    generated(ROOT / "docs" / "engines.md", "matrix", matrix_markdown(features, world.before.rows, world.after.rows))


ORPHANS_OF = ["iceberg.db.many_buckets", "iceberg.db.recreated", "iceberg.db.v3_vectors", "local.ops.deletes"]


def test_orphan_removal_spares_what_is_in_use(world: World) -> None:
    """A dry run over the whole target names nothing that any table needs."""
    in_use = {path.partition("://")[2] for name in NAMES if name != INLINE for path in named_files(world, name)}
    listed = [(f"{s}://{place}", 0) for place in world.sizes for s in ("s3", "s3a")]
    view = world.spark.createDataFrame(listed, "file_path string, at long")
    view.selectExpr("file_path", "timestamp_seconds(at) AS last_modified").createOrReplaceTempView("listed")
    orphans = {}
    for name in ORPHANS_OF:
        catalog, _, table = name.partition(".")
        call = f"CALL {catalog}.system.remove_orphan_files(table => '{table}', dry_run => true"
        orphans[name] = {row[0].partition("://")[2] for row in world.sql(f"{call}, file_list_view => 'listed')")}
    assert not [place for places in orphans.values() for place in places if place in in_use]
    assert orphans["iceberg.db.recreated"]  # what DROP TABLE left


# The tables that are written to below. Last in this file: nothing above may see what they leave.
WRITTEN = [
    "iceberg.db.v1",
    "iceberg.db.deletes_partition",
    "iceberg.db.deletes_orc",
    "iceberg.db.deletes_avro",
    "iceberg.db.many_buckets",
    "iceberg.db.equality_deletes",
    "iceberg.db.v3_vectors",
    "iceberg.db.upgraded",
    "iceberg.db.branches",
    "iceberg.db.object_store",
    "iceberg.db.imported",
    "iceberg.db.odd_partitions",
    "local.ops.deletes",
    "local.ops.vectors",
]


@pytest.mark.parametrize("name", WRITTEN)
def test_spark_writes_at_the_target(world: World, name: str) -> None:
    """At the target, rows are inserted and deleted, deletes are applied, files are compacted and old snapshots
    expired."""
    catalog, _, table = name.partition(".")

    def call(procedure: str, arguments: str) -> Any:
        return world.sql(f"CALL {catalog}.system.{procedure}(table => '{table}', {arguments})")

    def ids() -> set[int]:
        return {row[0] for row in world.sql(f"SELECT id FROM {name}")}

    expected = ids()
    world.sql(f"INSERT INTO {name} VALUES (1000, 'p0', 'new'), (1001, 'p1', 'new')")
    gone = min(expected)
    world.sql(f"DELETE FROM {name} WHERE id IN ({gone}, 1001)")
    expected = expected - {gone} | {1000}
    assert ids() == expected
    deletes = {d["kind"] for d in world.tables[name]["deletes"]}
    if "position deletes" in deletes and world.tables[name]["format_version"] == 2:
        (rewritten,) = call("rewrite_position_delete_files", "options => map('rewrite-all', 'true')")
        assert rewritten.rewritten_delete_files_count > 0
        assert ids() == expected
    call("rewrite_data_files", "options => map('rewrite-all', 'true')")
    assert ids() == expected
    call("expire_snapshots", "older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1")
    assert ids() == expected
    paths = {row[0] for row in world.sql(f"SELECT file_path FROM {name}.files")}
    assert {path.partition("://")[2].partition("/")[0] for path in paths} == {"data-lake"}
