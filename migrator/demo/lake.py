"""The demo's old lake: seven buckets, two Iceberg warehouses, and every kind of table that 0.1 supports.

Written with pyiceberg. pyiceberg cannot write position deletes and Hadoop tables, so this module writes these by the
spec; pyiceberg reads them.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pyarrow as pa
import pyarrow.parquet as pq
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.io import FileIO
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat, ManifestContent, ManifestWriterV2
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.transforms import IdentityTransform
from pyiceberg.typedef import Record
from pyiceberg.types import StringType

from migrator.demo.server import Server
from migrator.iceberg.field_ids import FILE_PATH_ID, POS_ID
from migrator.progress import OBJECTS, Progress

BUCKETS = ("warehouse", "bronze", "silver", "gold", "checkpoints", "logs", "scripts")
SQL_WAREHOUSE = "s3a://bronze/iceberg-warehouse/"
HADOOP_WAREHOUSE = "s3a://warehouse/"
FORGOTTEN = "s3a://warehouse/forgotten/old_table"


@dataclass
class Lake:
    """The lake that was built. ``catalogs`` has the properties that lake.toml needs under [catalogs.NAME]."""

    catalogs: dict[str, dict[str, str]]
    tables: dict[str, str] = field(default_factory=dict)
    """``catalog.namespace.table`` → its metadata location; "forgotten" is in no catalog."""
    objects: int = 0

    def toml(self, server: Server) -> str:
        """A lake.toml for this lake."""
        lines = ["[source]", f"endpoint_url = {json.dumps(server.endpoint_url)}"]
        for name, properties in self.catalogs.items():
            lines += ["", f"[catalogs.{name}]"]
            lines += [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in properties.items()]
        return "\n".join(lines) + "\n"


def build(
    server: Server,
    folder: Path,
    *,
    objects: int = 2000,
    catalog_uri: str | None = None,
    progress: Progress | None = None,
) -> Lake:
    """Fill ``server`` with the lake. The SQL catalog is ``catalog_uri``, or a SQLite file in ``folder``."""
    progress = progress or Progress()
    uri = catalog_uri or f"sqlite:///{folder / 'catalog.db'}"
    lake = Lake(
        catalogs={
            "iceberg": {"type": "sql", "uri": uri, "warehouse": SQL_WAREHOUSE},
            "local": {"type": "hadoop", "warehouse": HADOOP_WAREHOUSE},
        }
    )
    client = server.client()
    for bucket in BUCKETS:
        client.create_bucket(Bucket=bucket)
    total = sum(1 for _ in _plain_objects(objects))
    with progress.stage("filling the old buckets", objects=total, unit=OBJECTS) as stage:
        lake.objects = _put_all(client, _plain_objects(objects), stage)
    with progress.stage("writing tables", objects=7, unit="tables") as stage:
        _build_tables(server, lake, stage)
    return lake


def _build_tables(server: Server, lake: Lake, stage: Progress) -> None:
    client, uri = server.client(), lake.catalogs["iceberg"]["uri"]
    with closing(SqlCatalog("iceberg", uri=uri, warehouse=SQL_WAREHOUSE, **server.properties())) as catalog:
        for namespace in ("bronze", "silver", "gold"):
            catalog.create_namespace(namespace, {"location": f"{SQL_WAREHOUSE}{namespace}.db"})
        for make in (_raw_events, _user_sessions, _legacy, _daily_sales, _empty):
            table = make(catalog)
            lake.tables[".".join(("iceberg", *table.name()))] = table.metadata_location
            stage.advance(1)
    with closing(SqlCatalog("scratch", uri="sqlite:///:memory:", **server.properties())) as scratch:
        scratch.create_namespace("ops")
        lake.tables["local.ops.audit_log"] = _hadoop_table(client, scratch)
        forgotten = scratch.create_table("ops.forgotten", schema=_EVENTS, location=FORGOTTEN)
        forgotten.append(_events(0, 20))
        lake.tables["forgotten"] = forgotten.metadata_location
        stage.advance(2)


def delete_buckets(client: Any, buckets: Iterable[str] = BUCKETS) -> None:
    """Delete buckets with all their objects, by default the seven old ones. (migrator itself never deletes buckets.)"""
    for bucket in buckets:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            keys = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
            if keys:
                client.delete_objects(Bucket=bucket, Delete={"Objects": keys, "Quiet": True})
        client.delete_bucket(Bucket=bucket)
    left = {bucket["Name"] for bucket in client.list_buckets()["Buckets"]} & set(buckets)
    if left:
        raise RuntimeError(f"still there: {left}")


# -- plain objects ---------------------------------------------------------------------------------------


def _plain_objects(count: int) -> Iterator[dict[str, Any]]:
    """About ``count`` objects that are in no table, as arguments of put_object; the same at every call."""
    random_ = random.Random(7)
    folders = {
        "bronze": ("raw_events", "page_views", "purchases"),
        "silver": ("cleaned_events", "user_sessions", "product_catalog"),
        "gold": ("daily_sales_export", "user_analytics", "product_performance"),
        "logs": ("spark", "dagster", "kafka"),
    }
    for number in range(count):
        bucket = list(folders)[number % len(folders)]
        day = date(2026, 1, 1) + timedelta(days=number % 90)
        row = {"event": number, "user": random_.randrange(1000), "path": f"s3a://{bucket}/raw/{number}"}
        yield {
            "Bucket": bucket,
            "Key": f"{random_.choice(folders[bucket])}/date={day}/part-{number:05}.json.gz",
            "Body": gzip.compress(json.dumps(row).encode() * random_.randrange(1, 40), mtime=0),
            "ContentType": "application/json",
            "ContentEncoding": "gzip",
            "Metadata": {"writer": f"kafka-{number % 3}"},
        }
    yield from _odd_objects()
    yield from _checkpoint("bronze/raw_events")
    yield from _checkpoint("silver_page_views")
    for name in ("etl/bronze_to_silver.py", "maintenance/compact.py", "monitoring/lag.py"):
        script = f"# {name}\nspark.read.parquet('s3a://bronze/raw_events/')\n"
        yield {"Bucket": "scripts", "Key": name, "Body": script.encode(), "ContentType": "text/x-python"}


def _odd_objects() -> Iterator[dict[str, Any]]:
    keys = (
        "with space",
        "plus+and%20percent",
        "ünï/cødé/日本",
        "a=b/c:d&e",
        "deep/" + "d/" * 40 + "leaf",
        'it\'s "quoted"',
    )
    for key in keys:
        yield {"Bucket": "gold", "Key": f"odd/{key}", "Body": key.encode(), "Tagging": urlencode({"team": "bi + co"})}
    yield {"Bucket": "gold", "Key": "odd/empty", "Body": b""}
    yield {"Bucket": "silver", "Key": "large/blob.bin", "Body": random.Random(1).randbytes(9 * 1024**2)}


def _checkpoint(query: str) -> Iterator[dict[str, Any]]:
    """The checkpoint of a Kafka → Iceberg query: it contains no path, and is copied without changes."""
    files = {"metadata": json.dumps({"id": str(uuid.UUID(int=len(query)))}), "sources/0/0": '\0v1\n{"events":{"0":0}}'}
    for batch in range(20):
        files[f"offsets/{batch}"] = f'v1\n{{"batchWatermarkMs":0}}\n{{"events":{{"0":{batch * 100}}}}}'
        files[f"commits/{batch}"] = 'v1\n{"nextBatchWatermarkMs":0}'
    for name, text in files.items():
        yield {"Bucket": "checkpoints", "Key": f"{query}/{name}", "Body": text.encode()}


def _put_all(client: Any, objects: Iterator[dict[str, Any]], stage: Progress) -> int:
    count = 0
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(lambda put: client.put_object(**put), objects):
            count += 1
            stage.advance(1)
    return count


# -- tables ----------------------------------------------------------------------------------------------

_EVENTS = pa.schema(
    [
        pa.field("event_id", pa.int64()),
        pa.field("at", pa.timestamp("us")),
        pa.field("country", pa.string()),
        pa.field("referrer", pa.string()),  # user data that looks like a path, and must stay as it is
    ]
)


def _events(first: int, count: int) -> pa.Table:
    start = datetime(2026, 1, 1)
    countries = ("ch", "de", "fr")
    return pa.table(
        {
            "event_id": list(range(first, first + count)),
            "at": [start + timedelta(hours=n) for n in range(first, first + count)],
            "country": [countries[n % 3] for n in range(first, first + count)],
            "referrer": [f"s3a://bronze/iceberg-warehouse/page-{n}" for n in range(first, first + count)],
        },
        schema=_EVENTS,
    )


def _raw_events(catalog: SqlCatalog) -> Table:
    """Appends, schema and partition evolution, position deletes over several files and in one."""
    table = catalog.create_table("bronze.raw_events", schema=_EVENTS)
    with table.update_spec() as spec:
        spec.add_field("country", IdentityTransform(), "country")
    table.append(_events(0, 300))
    table.append(_events(300, 300))
    with table.update_schema() as schema:
        schema.add_column("device", StringType())
        schema.rename_column("referrer", "source_url")
    table.append(_evolved(_events(600, 150)))
    delete_rows(table, {path: [0, 1, 7] for path in data_files(table)[:4]})
    with table.update_spec() as spec:
        spec.remove_field("country")
        spec.add_field("device", IdentityTransform(), "device")
    table.append(_evolved(_events(750, 50)))
    delete_rows(table, {data_files(table)[-1]: [0]})
    return table


def _evolved(events: pa.Table) -> pa.Table:
    renamed = events.rename_columns(["event_id", "at", "country", "source_url"])
    return renamed.append_column("device", pa.array(["phone"] * events.num_rows))


def _user_sessions(catalog: SqlCatalog) -> Table:
    """Copy-on-write deletes, an overwrite, a tag, a branch, and ``s3://`` paths."""
    location = f"{SQL_WAREHOUSE}silver.db/user_sessions".replace("s3a://", "s3://")
    table = catalog.create_table("silver.user_sessions", schema=_EVENTS, location=location)
    table.append(_events(0, 200))
    first = table.current_snapshot()
    assert first is not None
    table.manage_snapshots().create_tag(first.snapshot_id, "before-clean-up").commit()
    table.delete("event_id < 50")
    table.manage_snapshots().create_branch(first.snapshot_id, "audit").commit()
    table.overwrite(_events(1000, 30), overwrite_filter="event_id >= 150")
    return table


def _legacy(catalog: SqlCatalog) -> Table:
    """Format version 1."""
    table = catalog.create_table("silver.legacy_v1", schema=_EVENTS, properties={"format-version": "1"})
    table.append(_events(0, 40))
    table.append(_events(40, 40))
    return table


def _daily_sales(catalog: SqlCatalog) -> Table:
    """Metadata in one bucket, data in two others, and deletes across all of them, whose order changes
    when the paths do."""
    table = catalog.create_table(
        "gold.daily_sales",
        schema=_EVENTS,
        location="s3a://warehouse/gold.db/daily_sales",
        properties={"write.data.path": "s3a://gold/daily_sales/data"},
    )
    table.append(_events(0, 100))
    added = "s3a://bronze/iceberg-warehouse/landing/sales-2026-01.parquet"
    _write_parquet(table.io, added, _events(100, 60))
    table.add_files([added])
    table.append(_events(160, 40))
    delete_rows(table, {path: [0, 3] for path in data_files(table)})
    return table


def _empty(catalog: SqlCatalog) -> Table:
    """A table without a snapshot."""
    return catalog.create_table("gold.empty", schema=_EVENTS)


def _hadoop_table(client: Any, scratch: SqlCatalog) -> str:
    """A table of a Hadoop catalog: made with a temporary catalog, then renamed to that layout."""
    location = f"{HADOOP_WAREHOUSE}ops/audit_log"
    table = scratch.create_table("ops.audit_log", schema=_EVENTS, location=location)
    for first in (0, 25, 50):
        table.append(_events(first, 25))
    folder = "ops/audit_log/metadata/"
    listed = client.list_objects_v2(Bucket="warehouse", Prefix=folder)["Contents"]
    old = sorted(entry["Key"] for entry in listed if entry["Key"].endswith(".metadata.json"))
    names = {key.rpartition("/")[2]: f"v{number}.metadata.json" for number, key in enumerate(old, 1)}
    for key in old:
        text = client.get_object(Bucket="warehouse", Key=key)["Body"].read().decode()
        for uuid_name, hadoop_name in names.items():
            text = text.replace(uuid_name, hadoop_name)
        client.put_object(Bucket="warehouse", Key=folder + names[key.rpartition("/")[2]], Body=text.encode())
        client.delete_object(Bucket="warehouse", Key=key)
    client.put_object(Bucket="warehouse", Key=f"{folder}version-hint.text", Body=str(len(old)).encode())
    return f"{location}/metadata/v{len(old)}.metadata.json"


# -- position deletes ------------------------------------------------------------------------------------


class _DeleteManifestWriter(ManifestWriterV2):
    """pyiceberg writes data manifests only; a delete manifest differs in these two places."""

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


class _RowDelta(_FastAppendFiles):
    """Appends delete files."""

    def new_manifest_writer(self, spec: PartitionSpec) -> ManifestWriterV2:
        schema = self._transaction.table_metadata.schema()
        return _DeleteManifestWriter(spec, schema, self.new_manifest_output(), self._snapshot_id, self._compression)


def data_files(table: Table) -> list[str]:
    """The paths of the live data files, sorted."""
    return sorted(task.file.file_path for task in table.scan().plan_files())


def delete_rows(table: Table, positions: dict[str, list[int]]) -> None:
    """Commit one position-delete file per partition of the data files in ``positions``: path → row numbers.
    They must all be of the table's current partition spec.
    """
    tasks = {task.file.file_path: task.file for task in table.scan().plan_files()}
    groups: dict[tuple[Any, ...], list[str]] = {}
    for path in sorted(positions):
        partition = tasks[path].partition
        groups.setdefault(tuple(partition[n] for n in range(len(partition))), []).append(path)
    for values, paths in groups.items():
        location = f"{table.location()}/data/{uuid.uuid4()}-deletes.parquet"
        rows = [(path, position) for path in paths for position in positions[path]]
        size = _write_deletes(table.io, location, rows)
        deletes = DataFile.from_args(
            content=DataFileContent.POSITION_DELETES,
            file_path=location,
            file_format=FileFormat.PARQUET,
            partition=Record(*values),
            record_count=len(rows),
            file_size_in_bytes=size,
            lower_bounds={FILE_PATH_ID: paths[0].encode()},
            upper_bounds={FILE_PATH_ID: paths[-1].encode()},
            split_offsets=[4],
        )
        deletes.spec_id = table.spec().spec_id
        transaction = table.transaction()
        with _RowDelta(Operation.OVERWRITE, transaction, table.io) as delta:
            delta.append_data_file(deletes)
        transaction.commit_transaction()


def _write_deletes(to: FileIO, location: str, rows: list[tuple[str, int]]) -> int:
    schema = pa.schema(
        [
            pa.field("file_path", pa.string(), nullable=False, metadata={"PARQUET:field_id": str(FILE_PATH_ID)}),
            pa.field("pos", pa.int64(), nullable=False, metadata={"PARQUET:field_id": str(POS_ID)}),
        ],
        metadata={"delete-type": "position"},
    )
    return _write_parquet(to, location, pa.table([list(c) for c in zip(*rows, strict=True)], schema=schema))


def _write_parquet(to: FileIO, location: str, table: pa.Table) -> int:
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    with to.new_output(location).create(overwrite=True) as stream:
        stream.write(buffer.getvalue())
    return len(buffer.getvalue())
