"""Read and rewrite a synthetic manifest: entries a second of CPU time, on one core.

    python tests/bench/manifest_speed.py [ENTRIES]        (default 20,000)

The manifest is laid out as Iceberg's Java writer does it: format version 2, maps as arrays of pairs, blocks
of 64,000 bytes; twelve columns of statistics, and every path must change. ``ratio`` compares with fastavro
decoding (and encoding) the same entries in the same run. Prints one line of JSON for each codec.
"""

from __future__ import annotations

import io
import json
import random
import struct
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import fastavro

from migrator.iceberg.manifests import read_manifest, rewrite_manifest
from migrator.layout import MEDALLION, Layout

COLUMNS = 12
LAYOUT = Layout.medallion("data-lake", MEDALLION)
PLACE = "s3://bronze/iceberg-warehouse/sales/orders/metadata/m0.avro"
ROUNDS = 5


def field(name: str, of_type: Any, field_id: int) -> dict[str, Any]:
    optional = {"default": None} if isinstance(of_type, list) else {}
    return {"name": name, "type": of_type, "field-id": field_id, **optional}


def pairs(value: str, key_id: int) -> list[Any]:
    fields = [field("key", "int", key_id), field("value", value, key_id + 1)]
    item = {"type": "record", "name": f"k{key_id}_v{key_id + 1}", "fields": fields}
    return ["null", {"type": "array", "items": item, "logicalType": "map"}]


PARTITION = field("order_date_day", ["null", {"type": "int", "logicalType": "date"}], 1000)
DATA_FILE = [
    field("content", "int", 134),
    field("file_path", "string", 100),
    field("file_format", "string", 101),
    field("partition", {"type": "record", "name": "r102", "fields": [PARTITION]}, 102),
    field("record_count", "long", 103),
    field("file_size_in_bytes", "long", 104),
    field("column_sizes", pairs("long", 117), 108),
    field("value_counts", pairs("long", 119), 109),
    field("null_value_counts", pairs("long", 121), 110),
    field("nan_value_counts", pairs("long", 138), 137),
    field("lower_bounds", pairs("bytes", 126), 125),
    field("upper_bounds", pairs("bytes", 129), 128),
    field("key_metadata", ["null", "bytes"], 131),
    field("split_offsets", ["null", {"type": "array", "items": "long", "element-id": 133}], 132),
    field("equality_ids", ["null", {"type": "array", "items": "int", "element-id": 136}], 135),
    field("sort_order_id", ["null", "int"], 140),
    field("referenced_data_file", ["null", "string"], 143),
]
SCHEMA = {
    "type": "record",
    "name": "manifest_entry",
    "fields": [
        field("status", "int", 0),
        field("snapshot_id", ["null", "long"], 1),
        field("sequence_number", ["null", "long"], 3),
        field("file_sequence_number", ["null", "long"], 4),
        field("data_file", {"type": "record", "name": "r2", "fields": DATA_FILE}, 2),
    ],
}


def bounds(chance: random.Random) -> dict[int, bytes]:
    """The bounds of six longs, two ints, a double and three texts. One of the texts often has no value."""
    longs = {i: chance.randrange(10 ** (2 * i)).to_bytes(8, "little") for i in range(1, 7)}
    others = {i: chance.randrange(10**6).to_bytes(4, "little") for i in (7, 8)}
    others |= {9: struct.pack("<d", chance.randrange(10**6) / 100)}
    texts = {i: "".join(chance.choices("abcdefghij ", k=chance.randint(5, 16))).encode() for i in (10, 11)}
    return longs | others | texts | ({12: b"express delivery"} if chance.random() < 0.7 else {})


def entries(count: int) -> Iterator[dict[str, Any]]:
    chance = random.Random(1)

    def as_pairs(values: dict[int, Any]) -> list[dict[str, Any]]:
        return [{"key": k, "value": v} for k, v in values.items()]

    for number in range(count):
        day, rows = chance.randrange(365), chance.randrange(10_000, 1_000_000)
        name = f"{number % 1000:05}-{number}-{chance.getrandbits(128):032x}-0-00001.parquet"
        of = {
            "content": 0,
            "file_path": f"s3://bronze/iceberg-warehouse/sales/orders/data/order_date_day=2026-{day:03}/{name}",
            "file_format": "PARQUET",
            "partition": {"order_date_day": 20_454 + day},
            "record_count": rows,
            "file_size_in_bytes": rows * 57,
            "column_sizes": as_pairs({i: chance.randrange(90, rows * 8) for i in range(1, COLUMNS + 1)}),
            "value_counts": as_pairs({i: rows for i in range(1, COLUMNS + 1)}),
            "null_value_counts": as_pairs({i: rows // 90 if i > 9 else 0 for i in range(1, COLUMNS + 1)}),
            "nan_value_counts": as_pairs({9: 0}),
            "lower_bounds": as_pairs(bounds(chance)),
            "upper_bounds": as_pairs(bounds(chance)),
            "split_offsets": [4],
            "sort_order_id": 0,
        }
        status = 1 if number % 4 else 0
        yield {"status": status, "snapshot_id": 8_412_345_678_901_234_567 if status == 0 else None, "data_file": of}


def manifest(count: int, codec: str) -> bytes:
    out = io.BytesIO()
    header = {"format-version": "2", "content": "data", "schema-id": "0", "partition-spec-id": "0"}
    rows, schema = entries(count), fastavro.parse_schema(SCHEMA)
    fastavro.writer(out, schema, rows, codec, sync_interval=64_000, metadata=header, codec_compression_level=1)
    return out.getvalue()


def seconds(job: Callable[[], Any]) -> float:
    """CPU time of the fastest round."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        job()
        best = min(best, time.process_time() - began)
    return best


def main(count: int) -> None:
    for codec in ("deflate", "null"):
        data = manifest(count, codec)

        def read(data: bytes = data) -> None:
            assert sum(1 for _ in read_manifest(data, PLACE)) == count

        def rewrite(data: bytes = data) -> None:
            rewrite_manifest(data, io.BytesIO(), LAYOUT.map_uri, lambda path: None, PLACE)

        def read_by_fastavro(data: bytes = data) -> list[Any]:
            return list(fastavro.reader(io.BytesIO(data)))

        def rewrite_by_fastavro(data: bytes = data, codec: str = codec) -> None:
            rows = read_by_fastavro(data)
            for row in rows:
                row["data_file"]["file_path"] = LAYOUT.map_uri(row["data_file"]["file_path"])
            schema = fastavro.parse_schema(SCHEMA)
            fastavro.writer(io.BytesIO(), schema, rows, codec, sync_interval=64_000, codec_compression_level=1)

        blocks = [block.bytes_.getvalue() for block in fastavro.block_reader(io.BytesIO(data))]

        def compression_alone(blocks: list[bytes] = blocks, codec: str = codec) -> None:
            for block in blocks if codec == "deflate" else ():
                zlib.decompress(zlib.compress(block, 1))

        jobs = (read, rewrite, compression_alone, read_by_fastavro, rewrite_by_fastavro)
        took = {job: seconds(job) for job in jobs}
        print(
            json.dumps(
                {
                    "codec": codec,
                    "bytes_per_entry": len(data) // count,
                    "read_per_second": round(count / took[read]),
                    "rewrite_per_second": round(count / took[rewrite]),
                    "compression_share_of_rewrite": round(took[compression_alone] / took[rewrite], 2),
                    "read_ratio": round(took[read_by_fastavro] / took[read], 1),
                    "rewrite_ratio": round(took[rewrite_by_fastavro] / took[rewrite], 1),
                }
            )
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
