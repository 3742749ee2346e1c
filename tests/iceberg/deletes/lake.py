"""The mapping and the rows that the tests of all formats share."""

from __future__ import annotations

from migrator.iceberg.deletes import rewrite_deletes
from migrator.iceberg.deletes.rows import RewrittenDeletes
from migrator.layout import Layout

# The mapping reverses the order of the two buckets.
LAYOUT = Layout.from_mapping("data-lake", {"s3://bronze/": "z-bronze/", "s3://silver/": "a-silver/"})
PLACE = "s3://bronze/t/data/deletes.bin"

Row = tuple[str, int]

ONE_BUCKET: list[Row] = [(f"s3://bronze/{f}", pos) for f in ("a", "b", "b-archive") for pos in (0, 5, 2**40)]
TWO_BUCKETS: list[Row] = [*ONE_BUCKET, ("s3://silver/a", 1), ("s3://silver/a", 2)]
UNICODE: list[Row] = [("s3://bronze/größe/α=%C3%A4/😀 b?c#d//e", 3), ("s3://bronze/ｚ", 1), ("s3://bronze/😀", 2)]


def target(path: str) -> str:
    return LAYOUT.map_uri(path) or path


def moved(data: bytes) -> RewrittenDeletes:
    return rewrite_deletes(data, LAYOUT.map_uri, PLACE)


def moved_rows(rows: list[Row]) -> list[Row]:
    return [(target(path), pos) for path, pos in rows]
