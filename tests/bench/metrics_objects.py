"""Count a synthetic lake of many objects, half of them data files of one table: seconds and peak memory.

    python tests/bench/metrics_objects.py [OBJECTS]        (default 1,000,000)

The listing and the table's files are simulated, everything after them is real. Progress goes to standard error, one
line of JSON to standard output.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.check_objects import SyntheticStore
from bench.plan_objects import peak_mib
from iceberg.avro_files import avro
from iceberg.tables import entry, list_schema, listed, manifest_schema
from migrator.checking.look import Checking
from migrator.config import Settings
from migrator.layout import MEDALLION, Layout
from migrator.monitoring.collect import collect
from migrator.monitoring.measures import CountLimits
from migrator.progress import TerminalProgress
from migrator.store import StoredObject
from migrator.store.objects import Download
from plan.handmade import document

TABLE = "warehouse/bronze.db/events"
PLACE = f"s3://data-lake/{TABLE}"
FILES = 1_000
"""Entries in each manifest."""
NUMBER = "@@@@@@@@"
"""The text in the template of a manifest that its number replaces. An Avro file without compression allows this if both
texts have the same length."""
OLD = 1_700_000_000_000


class LakeWithTable(SyntheticStore):
    """Half of the objects of a :class:`SyntheticStore`, and a table with as many data files; no table names every
    thousandth object below its location."""

    def __init__(self, objects: int) -> None:
        super().__init__(objects // 2)
        self._manifests = objects // 2 // FILES
        no_stats = dict.fromkeys(("column_sizes", "value_counts", "lower_bounds", "upper_bounds"))
        entries = [entry(f"{PLACE}/data/{NUMBER}-{n:04}.parquet", **no_stats) for n in range(FILES - 1)]
        self._template = avro(manifest_schema(2), entries, "null")
        manifests = [listed(f"{PLACE}/metadata/m{n:08}.avro", len(self._template), 0) for n in range(self._manifests)]
        snapshot = {"snapshot-id": 1, "sequence-number": 1, "timestamp-ms": 1, "summary": {}}
        snapshot["manifest-list"] = f"{PLACE}/metadata/snap.avro"
        self._files = {
            f"{TABLE}/metadata/00000-a.metadata.json": document(location=PLACE, snapshots=[snapshot]),
            f"{TABLE}/metadata/snap.avro": avro(list_schema(2), manifests, "null"),
        }

    def list(self, bucket: str, prefix: str = "") -> Iterator[StoredObject]:
        yield from super().list(bucket, prefix)
        for number in range(self._manifests):
            for file in range(FILES):  # the last one is the orphan
                yield StoredObject(f"{TABLE}/data/{number:08}-{file:04}.parquet", 1234, "e", OLD)
            yield StoredObject(f"{TABLE}/metadata/m{number:08}.avro", len(self._template), "e", OLD)
        for key, data in self._files.items():
            yield StoredObject(key, len(data), "e", OLD)

    def download(self, bucket: str, key: str, *, etag: str | None = None) -> Download:
        data = self._files.get(key)
        if data is None:
            number = key.removeprefix(f"{TABLE}/metadata/m").removesuffix(".avro")
            data = self._template.replace(NUMBER.encode(), number.encode())
        return Download(io.BytesIO(data), {})


def main(objects: int) -> None:
    store, layout = LakeWithTable(objects), Layout.medallion("data-lake", MEDALLION)
    began = time.monotonic()
    found = collect(Checking(Settings(), layout, store, {}, TerminalProgress()), CountLimits())
    seconds = time.monotonic() - began
    (table,) = found.tables
    said = {
        "objects": sum(layer.objects for layer in found.layers),
        "data_files": table.data_files,
        "orphans": table.orphans,
        "complete": found.complete,
    }
    print(json.dumps({**said, "seconds": round(seconds, 1), "peak_mib": peak_mib()}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
