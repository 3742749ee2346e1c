"""Schemas and entries of manifests and manifest lists, format versions 1 to 3, for tests."""

from __future__ import annotations

import copy
from typing import Any

FILE_PATH = 2147483546
POS = 2147483545


def field(name: str, of_type: Any, field_id: int) -> dict[str, Any]:
    optional = {"default": None} if isinstance(of_type, list) else {}
    return {"name": name, "type": of_type, "field-id": field_id, **optional}


def id_map(value: str, key_id: int) -> list[Any]:
    item = {
        "type": "record",
        "name": f"k{key_id}_v{key_id + 1}",
        "fields": [field("key", "int", key_id), field("value", value, key_id + 1)],
    }
    return ["null", {"type": "array", "items": item, "logicalType": "map"}]


def manifest_schema(version: int) -> dict[str, Any]:
    partition = {
        "type": "record",
        "name": "r102",
        "fields": [
            field("day", ["null", {"type": "int", "logicalType": "date"}], 1000),
            field("id", ["null", {"type": "fixed", "name": "uuid", "size": 16, "logicalType": "uuid"}], 1001),
            field("price", ["null", {"type": "fixed", "name": "dec", "size": 4}], 1002),
            field("ratio", ["null", "double"], 1003),
            field("flag", ["null", "boolean"], 1004),
        ],
    }
    v1 = [field("block_size_in_bytes", "long", 105)] if version == 1 else []
    v2 = [field("content", "int", 134)] if version > 1 else []
    longs = (("first_row_id", 142), ("content_offset", 144), ("content_size_in_bytes", 145))
    v3 = [field(name, ["null", "long"], field_id) for name, field_id in longs] if version > 2 else []
    data_file = [
        *v2,
        field("file_path", "string", 100),
        field("file_format", "string", 101),
        field("partition", partition, 102),
        field("record_count", "long", 103),
        field("file_size_in_bytes", "long", 104),
        *v1,
        field("column_sizes", id_map("long", 117), 108),
        field("value_counts", id_map("long", 119), 109),
        field("lower_bounds", id_map("bytes", 126), 125),
        field("upper_bounds", id_map("bytes", 129), 128),
        field("key_metadata", ["null", "bytes"], 131),
        field("split_offsets", ["null", {"type": "array", "items": "long", "element-id": 133}], 132),
        field("equality_ids", ["null", {"type": "array", "items": "long", "element-id": 136}], 135),
        field("sort_order_id", ["null", "int"], 140),
        *([field("referenced_data_file", ["null", "string"], 143)] if version > 1 else []),
        *v3,
    ]
    sequence = [field("sequence_number", ["null", "long"], 3), field("file_sequence_number", ["null", "long"], 4)]
    return {
        "type": "record",
        "name": "manifest_entry",
        "fields": [
            field("status", "int", 0),
            field("snapshot_id", ["null", "long"], 1),
            *(sequence if version > 1 else []),
            field("data_file", {"type": "record", "name": "r2", "fields": data_file}, 2),
        ],
    }


def pairs(values: dict[int, Any]) -> list[dict[str, Any]]:
    return [{"key": k, "value": v} for k, v in values.items()]


def entry(path: str, *, status: int = 1, snapshot: int | None = None, **data_file: Any) -> dict[str, Any]:
    """An entry that has every field of either version; fastavro leaves out those that a schema lacks."""
    stats = {
        "column_sizes": pairs({1: 40, 2: 70_000}),
        "value_counts": pairs({i: 1_000_000 for i in range(1, 130)}),
        # A user's column of paths is data. It must not change, whatever bucket it names.
        "lower_bounds": pairs({1: b"s3://bronze/orders/a", 2: b"\x00" * 8, 3: b"x" * 100}),
        "upper_bounds": pairs({1: b"s3://bronze/orders/z", 2: b"\xff" * 8}),
    }
    base = {
        "content": 0,
        "file_path": path,
        "file_format": "parquet",
        "partition": {"day": 19_000, "id": b"0123456789abcdef", "price": None, "ratio": 0.5, "flag": True},
        "record_count": 10,
        "file_size_in_bytes": 1234,
        "block_size_in_bytes": 67108864,
        "split_offsets": [4, 130_000_000],
        **dict.fromkeys(("key_metadata", "equality_ids", "sort_order_id", "referenced_data_file")),
        **dict.fromkeys(("first_row_id", "content_offset", "content_size_in_bytes")),
    }
    return {
        "status": status,
        "snapshot_id": snapshot,
        "sequence_number": None,
        "file_sequence_number": None,
        "data_file": base | stats | data_file,
    }


def position_deletes(path: str, lower: str | None = None, upper: str | None = None, **more: Any) -> dict[str, Any]:
    """An entry of a position delete file whose paths have these bounds."""
    bounds = {
        "lower_bounds": None if lower is None else pairs({POS: b"\0" * 8, FILE_PATH: lower.encode()}),
        "upper_bounds": None if upper is None else pairs({FILE_PATH: upper.encode(), POS: b"\1" * 8}),
    }
    return entry(path, content=1, **bounds | more)


def without_ids(schema: Any) -> Any:
    """The schema as some writers write it, without field ids."""
    if isinstance(schema, dict):
        return {k: without_ids(v) for k, v in schema.items() if k != "field-id"}
    return [without_ids(v) for v in schema] if isinstance(schema, list) else schema


def list_schema(version: int) -> dict[str, Any]:
    summary = {
        "type": "record",
        "name": "r508",
        "fields": [field("contains_null", "boolean", 509), field("lower_bound", ["null", "bytes"], 510)],
    }
    v2 = [field("content", "int", 517), field("sequence_number", "long", 515)] if version > 1 else []
    return {
        "type": "record",
        "name": "manifest_file",
        "fields": [
            field("manifest_path", "string", 500),
            field("manifest_length", "long", 501),
            field("partition_spec_id", "int", 502),
            *v2,
            field("added_snapshot_id", "long", 503),
            field("partitions", ["null", {"type": "array", "items": summary, "element-id": 508}], 507),
            field("key_metadata", ["null", "bytes"], 519),
        ],
    }


def listed(path: str, length: int = 7000, content: int = 0, key_metadata: bytes | None = None) -> dict[str, Any]:
    return {
        "manifest_path": path,
        "manifest_length": length,
        "partition_spec_id": 0,
        "content": content,
        "sequence_number": 3,
        "added_snapshot_id": 2**62,
        "partitions": [{"contains_null": True, "lower_bound": b"s3://bronze/x"}],
        "key_metadata": key_metadata,
    }


def changed(record: dict[str, Any], **data_file: Any) -> dict[str, Any]:
    """The entry with other values in its data file."""
    other = copy.deepcopy(record)
    other["data_file"].update(data_file)
    return other
