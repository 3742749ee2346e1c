"""The old lake, written by Spark: one table for each feature of Iceberg that a migration could break.

Every table has the columns ``id int``, ``part string`` and ``url string``; ``url`` holds paths of the old
lake, which are the user's data and must stay.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from engines.spark import metadata_file, snapshots

BUCKETS = ("warehouse", "bronze", "silver", "gold")
COLUMNS = "id int, part string, url string"
MERGE_ON_READ = {f"write.{kind}.mode": "merge-on-read" for kind in ("delete", "update", "merge")}


@dataclass(frozen=True)
class OldTable:
    """A table of the old lake, and the feature that it tests."""

    name: str
    """With the catalog: ``iceberg.db.v2_merge_on_read``."""
    feature: str
    build: Callable[[Builder], None]


@dataclass(frozen=True)
class Builder:
    """What a function that builds a table gets."""

    spark: SparkSession
    client: Any
    database: Any
    name: str

    def sql(self, text: str) -> None:
        self.spark.sql(text)

    def call(self, procedure: str, arguments: str = "") -> None:
        catalog, _, table = self.name.partition(".")
        self.sql(f"CALL {catalog}.system.{procedure}(table => '{table}'{', ' if arguments else ''}{arguments})")

    def create(
        self, given: dict[str, str] | None = None, *, version: int = 2, by: str = "part", columns: str = COLUMNS
    ) -> None:
        properties = {"format-version": str(version), **(given or {})}
        partitioned = f"PARTITIONED BY ({by})" if by else ""
        self.sql(f"CREATE TABLE {self.name} ({columns}) {partitioned} TBLPROPERTIES ({_pairs(properties)})")

    def properties(self, given: dict[str, str]) -> None:
        self.sql(f"ALTER TABLE {self.name} SET TBLPROPERTIES ({_pairs(given)})")

    def insert(self, first: int, count: int, to: str = "") -> None:
        """Rows ``first`` and following, one data file for each of three partitions."""
        self.sql(
            f"INSERT INTO {to or self.name} SELECT cast(id AS int), concat('p', id % 3),"
            f" concat('s3a://bronze/iceberg-warehouse/', id) FROM range({first}, {first + count}, 1, 1)"
        )

    def delete(self, condition: str) -> None:
        self.sql(f"DELETE FROM {self.name} WHERE {condition}")


def _pairs(given: dict[str, str]) -> str:
    return ", ".join(f"'{key}' = '{value}'" for key, value in given.items())


TABLES: list[OldTable] = []


def table(feature: str, name: str, namespace: str = "iceberg.db") -> Callable[[Callable[[Builder], None]], Any]:
    def register(build: Callable[[Builder], None]) -> Callable[[Builder], None]:
        TABLES.append(OldTable(f"{namespace}.{name}", feature, build))
        return build

    return register


def build_lake(spark: SparkSession, client: Any, database: Any) -> None:
    """Write the whole lake. The buckets must exist."""
    spark.sql("CREATE NAMESPACE iceberg.db")
    spark.range(5).selectExpr("cast(100 + id AS int) AS id", "concat('p', id % 3) AS part", "'x' AS url").coalesce(
        1
    ).write.parquet("s3a://silver/plain/events")
    for old in TABLES:
        old.build(Builder(spark, client, database, old.name))
    spark.sql(VIEW_SQL)


def metadata_json(client: Any, uri: str) -> dict[str, Any]:
    """The content of a metadata file."""
    bucket, _, key = uri.partition("://")[2].partition("/")
    data = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    found: dict[str, Any] = json.loads(gzip.decompress(data) if ".gz." in key else data)
    return found


VIEW = "iceberg.db.big_ids"
VIEW_SQL = f"CREATE VIEW {VIEW} AS SELECT id, part FROM iceberg.db.v2_copy_on_write WHERE id > 10"

# --- format versions ---------------------------------------------------------------------------------


@table("format v1", "v1")
def _v1(b: Builder) -> None:
    b.create(version=1)
    b.insert(0, 12)
    b.insert(12, 12)
    b.delete("id = 3")


@table("format v1 with inline manifests", "v1_inline")
def _v1_inline(b: Builder) -> None:
    """Written as by Iceberg before there were manifest lists: the metadata names the manifests itself."""
    b.create(version=1, by="")
    b.insert(0, 12)
    b.insert(12, 12)
    uri = metadata_file(b.spark, b.name)
    bucket, _, key = uri.partition("://")[2].partition("/")
    document = metadata_json(b.client, uri)
    for snapshot in document["snapshots"]:
        query = f"SELECT path FROM {b.name}.all_manifests WHERE reference_snapshot_id = {snapshot['snapshot-id']}"
        snapshot["manifests"] = [row[0] for row in b.spark.sql(query).collect()]
        del snapshot["manifest-list"]
    document.pop("refs", None)
    inline = key.replace("/00002-", "/00003-")
    b.client.put_object(Bucket=bucket, Key=inline, Body=json.dumps(document).encode())
    with closing(sqlite3.connect(b.database)) as db, db:
        db.execute(
            "UPDATE iceberg_tables SET metadata_location = ?, previous_metadata_location = ? WHERE table_name = ?",
            (f"s3://{bucket}/{inline}", uri, "v1_inline"),
        )


@table("format v2, copy-on-write", "v2_copy_on_write")
def _copy_on_write(b: Builder) -> None:
    b.create()
    b.insert(0, 24)
    b.sql(f"UPDATE {b.name} SET part = 'p1' WHERE id = 4")
    b.sql(
        f"MERGE INTO {b.name} t USING (SELECT cast(id AS int) id FROM range(20, 30)) s ON t.id = s.id"
        " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, part, url) VALUES (s.id, 'p2', 'new')"
    )


def _merge_on_read(b: Builder, properties: dict[str, str]) -> None:
    b.create({**MERGE_ON_READ, **properties})
    b.insert(0, 24)
    b.insert(24, 12)
    b.delete("id IN (1, 2, 3, 25)")
    b.sql(f"UPDATE {b.name} SET url = 'updated' WHERE id IN (5, 30)")
    b.sql(
        f"MERGE INTO {b.name} t USING (SELECT cast(id AS int) id FROM range(32, 40)) s ON t.id = s.id"
        " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (id, part, url) VALUES (s.id, 'p2', 'new')"
    )


@table("position deletes (Parquet), one file a partition", "deletes_partition")
def _deletes_partition(b: Builder) -> None:
    _merge_on_read(b, {"write.delete.granularity": "partition"})


@table("position deletes (Parquet), one file a data file", "deletes_file")
def _deletes_file(b: Builder) -> None:
    _merge_on_read(b, {"write.delete.granularity": "file"})


@table("position deletes (ORC)", "deletes_orc")
def _deletes_orc(b: Builder) -> None:
    _merge_on_read(b, {"write.delete.format.default": "orc", "write.delete.granularity": "partition"})


@table("position deletes (Avro)", "deletes_avro")
def _deletes_avro(b: Builder) -> None:
    _merge_on_read(b, {"write.delete.format.default": "avro", "write.delete.granularity": "partition"})


@table("data in ORC and Avro", "data_orc_avro")
def _data_formats(b: Builder) -> None:
    b.create({**MERGE_ON_READ, "write.format.default": "orc"})
    b.insert(0, 12)
    b.properties({"write.format.default": "avro"})
    b.insert(12, 12)
    b.delete("id % 5 = 0")


@table("data spread over several buckets, deletes across them", "many_buckets")
def _many_buckets(b: Builder) -> None:
    """The order of the prefixes changes: bronze/iceberg-warehouse, gold, silver → gold, silver, warehouse."""
    b.create({**MERGE_ON_READ, "write.delete.granularity": "partition"}, by="")
    b.insert(0, 10)
    b.properties({"write.data.path": "s3://silver/many_buckets/data"})
    b.insert(10, 10)
    b.properties({"write.data.path": "s3://gold/many_buckets/data"})
    b.insert(20, 10)
    b.delete("id % 4 = 0")


@table("equality deletes", "equality_deletes")
def _equality_deletes(b: Builder) -> None:
    """No SQL engine here writes them, so Iceberg's own API does, as in Flink."""
    b.create(by="")
    b.insert(0, 24)
    jvm, gateway = b.spark._jvm, b.spark.sparkContext._gateway
    assert jvm is not None and gateway is not None
    iceberg = jvm.org.apache.iceberg
    loaded = iceberg.spark.Spark3Util.loadIcebergTable(b.spark._jsparkSession, b.name)
    ids = gateway.new_array(jvm.int, 1)
    ids[0] = 1
    names = jvm.java.util.ArrayList()
    names.add("id")
    schema = loaded.schema().select(names)
    factory = iceberg.data.GenericAppenderFactory(loaded.schema(), loaded.spec(), ids, schema, None)
    file = loaded.io().newOutputFile(loaded.locationProvider().newDataLocation("equality-deletes.parquet"))
    writer = factory.newEqDeleteWriter(
        iceberg.encryption.EncryptedFiles.plainAsEncryptedOutput(file), iceberg.FileFormat.PARQUET, None
    )
    record = iceberg.data.GenericRecord.create(schema)
    for number in (2, 3, 5, 7, 11):
        record.setField("id", number)
        writer.write(record)
    writer.close()
    loaded.newRowDelta().addDeletes(writer.toDeleteFile()).commit()
    b.insert(24, 6)


@table("compaction, rewritten deletes", "compacted")
def _compacted(b: Builder) -> None:
    _merge_on_read(b, {"write.delete.granularity": "file"})
    b.call("rewrite_position_delete_files", "options => map('rewrite-all', 'true')")
    b.insert(40, 6)
    b.call("rewrite_data_files", "options => map('rewrite-all', 'true'), where => 'part = \"p0\"'")
    b.delete("id = 9")


# --- format version 3 --------------------------------------------------------------------------------


def _vectors(b: Builder) -> None:
    b.create(MERGE_ON_READ, version=3)
    b.insert(0, 24)
    b.insert(24, 12)
    b.delete("id IN (1, 2, 3, 25)")  # vectors of several data files, in one Puffin
    b.sql(f"UPDATE {b.name} SET url = 'updated' WHERE id IN (5, 30)")
    b.delete("id = 6")


@table("format v3: deletion vectors, row lineage", "v3_vectors")
def _v3_vectors(b: Builder) -> None:
    _vectors(b)


@table("format v3, compacted", "v3_compacted")
def _v3_compacted(b: Builder) -> None:
    _vectors(b)
    b.call("rewrite_data_files", "options => map('rewrite-all', 'true')")
    b.delete("id = 9")


@table("upgraded v1 → v2 → v3, deletes of each age", "upgraded")
def _upgraded(b: Builder) -> None:
    b.create(version=1)
    b.insert(0, 12)
    b.properties({"format-version": "2", **MERGE_ON_READ})
    b.insert(12, 12)
    b.delete("id IN (1, 13)")
    b.properties({"format-version": "3"})
    b.insert(24, 12)
    b.delete("id IN (2, 14, 26)")


# --- snapshots and history ---------------------------------------------------------------------------


@table("branches and tags", "branches")
def _branches(b: Builder) -> None:
    b.create()
    b.insert(0, 12)
    b.sql(f"ALTER TABLE {b.name} CREATE TAG `end of month`")
    b.sql(f"ALTER TABLE {b.name} CREATE BRANCH audit")
    b.insert(12, 6, to=f"{b.name}.branch_audit")
    b.insert(24, 6)


@table("staged snapshot (WAP)", "staged")
def _staged(b: Builder) -> None:
    b.create({"write.wap.enabled": "true"})
    b.insert(0, 12)
    b.spark.conf.set("spark.wap.id", "night")
    b.insert(12, 12)
    b.spark.conf.unset("spark.wap.id")


@table("expired snapshots, metadata dropped", "expired")
def _expired(b: Builder) -> None:
    b.create({"write.metadata.delete-after-commit.enabled": "true", "write.metadata.previous-versions-max": "1"})
    for first in (0, 12, 24):
        b.insert(first, 12)
    b.delete("part = 'p1'")
    b.call("expire_snapshots", "older_than => TIMESTAMP '2100-01-01 00:00:00', retain_last => 1")


@table("rollback", "rolled_back")
def _rolled_back(b: Builder) -> None:
    b.create()
    b.insert(0, 12)
    first = snapshots(b.spark, b.name)[0]
    b.insert(12, 12)
    b.call("rollback_to_snapshot", f"snapshot_id => {first}")


@table("dropped and created again in the same place", "recreated")
def _recreated(b: Builder) -> None:
    b.create()
    b.insert(0, 12)
    b.sql(f"DROP TABLE {b.name}")
    b.create()
    b.insert(100, 12)


@table("empty table", "empty")
def _empty(b: Builder) -> None:
    b.create()


# --- where files lie ---------------------------------------------------------------------------------


@table("table and partition statistics", "statistics")
def _statistics(b: Builder) -> None:
    b.create()
    b.insert(0, 12)
    b.call("compute_table_stats")
    b.call("compute_partition_stats")


@table("hashed object-store layout", "object_store")
def _object_store(b: Builder) -> None:
    b.create({"write.object-storage.enabled": "true", "write.data.path": "s3://gold/hashed"})
    b.insert(0, 12)
    b.insert(12, 12)


@table("imported files outside the table (add_files)", "imported")
def _imported(b: Builder) -> None:
    b.create(MERGE_ON_READ, by="")
    b.insert(0, 6)
    b.call("add_files", "source_table => '`parquet`.`s3a://silver/plain/events`'")
    b.delete("id = 101")


@table("metadata compressed with gzip", "gzip")
def _gzip(b: Builder) -> None:
    b.create({"write.metadata.compression-codec": "gzip"})
    b.insert(0, 12)
    b.insert(12, 12)


@table("partition values with / % ? # and spaces", "odd_partitions")
def _odd_partitions(b: Builder) -> None:
    b.create(MERGE_ON_READ)
    values = ["a/b", "c%2Fd", "e f", "g?h", "i#j", "k+l=m", "ü"]
    rows = ", ".join(f"({n}, '{value}', 's3://bronze/{value}')" for n, value in enumerate(values * 2))
    b.sql(f"INSERT INTO {b.name} VALUES {rows}")
    b.delete("id IN (0, 3, 4)")


@table("schema and partition evolution, nested columns", "evolved")
def _evolved(b: Builder) -> None:
    b.create(columns=f"{COLUMNS}, nested struct<a: int, b: array<string>>")
    row = "SELECT cast(id AS int), concat('p', id % 3), 'x', named_struct('a', 1, 'b', array('s3a://bronze/', 'y'))"
    b.sql(f"INSERT INTO {b.name} {row} FROM range(0, 9, 1, 1)")
    b.sql(f"ALTER TABLE {b.name} RENAME COLUMN url TO link")
    b.sql(f"ALTER TABLE {b.name} ADD COLUMN extra string")
    b.sql(f"ALTER TABLE {b.name} ADD PARTITION FIELD bucket(4, id)")
    b.sql(f"INSERT INTO {b.name} {row}, 'new' FROM range(9, 18, 1, 1)")


# --- the Hadoop catalog, in its own namespace: both warehouses become data-lake/warehouse/ -----------


@table("Hadoop catalog: position deletes", "deletes", "local.ops")
def _hadoop_deletes(b: Builder) -> None:
    _merge_on_read(b, {"write.delete.granularity": "partition"})


@table("Hadoop catalog: copy-on-write", "copy_on_write", "local.ops")
def _hadoop_copy_on_write(b: Builder) -> None:
    b.create()
    b.insert(0, 12)
    b.sql(f"UPDATE {b.name} SET part = 'p1' WHERE id = 4")


@table("Hadoop catalog: format v3", "vectors", "local.ops")
def _hadoop_vectors(b: Builder) -> None:
    _vectors(b)


@table("Hadoop catalog: metadata compressed with gzip", "gzip", "local.ops")
def _hadoop_gzip(b: Builder) -> None:
    b.create({"write.metadata.compression-codec": "gzip"})
    b.insert(0, 12)
    b.insert(12, 12)
