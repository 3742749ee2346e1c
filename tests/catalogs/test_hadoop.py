"""Hadoop catalogs, over a dict instead of S3."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from migrator.catalogs import Catalog, Repoint
from migrator.catalogs.hadoop import HadoopCatalog, current_version, hint_trouble, read_hint
from migrator.errors import AccessDenied, ConfigError, NotFound, StoreError, Unreachable


class DictReader:
    """One bucket, ``lake``. Keys that are listed but have no bytes are gone when they are read."""

    def __init__(self, objects: dict[str, bytes | None]) -> None:
        self.objects = objects

    def keys(self, bucket: str, prefix: str) -> Iterable[str]:
        assert bucket == "lake"
        return (key for key in reversed(self.objects) if key.startswith(prefix))

    def get(self, bucket: str, key: str) -> bytes:
        data = self.objects.get(key)
        if data is None:
            raise NotFound(f"s3://{bucket}/{key} does not exist.")
        return data


def table(directory: str, versions: int, hint: bytes | None = None) -> dict[str, bytes | None]:
    files: dict[str, bytes | None] = {f"{directory}/metadata/v{n}.metadata.json": b"{}" for n in range(1, versions + 1)}
    if hint is not None:
        files[f"{directory}/metadata/version-hint.text"] = hint
    return files | {f"{directory}/data/x.parquet": b"", f"{directory}/metadata/snap-1.avro": b""}


def catalog(objects: dict[str, bytes | None], warehouse: str = "s3a://lake/wh") -> HadoopCatalog:
    return HadoopCatalog("files", warehouse, DictReader(objects))


# -- current_version -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "hint", "expected"),
    [
        ([], None, None),
        (["00001-abc.metadata.json", "snap-1.avro", "v1.metadata.json.crc", "v01.metadata.json"], None, None),
        (["v1.metadata.json", "v2.metadata.json"], b"1", "v2.metadata.json"),
        (["v1.metadata.json", "v2.metadata.json"], b"2\n", "v2.metadata.json"),
        (["v2.metadata.json"], b" 2 \r\nnoise", "v2.metadata.json"),
        (["v9.metadata.json", "v10.metadata.json"], None, "v10.metadata.json"),
        # a gap: a reader with a hint stops at it, a reader without a hint does not
        (["v1.metadata.json", "v3.metadata.json"], b"1", "v1.metadata.json"),
        (["v1.metadata.json", "v3.metadata.json"], None, "v3.metadata.json"),
        (["v1.metadata.json", "v2.gz.metadata.json"], b"1", "v2.gz.metadata.json"),
        (["v1.metadata.json", "v2.metadata.json.gz"], None, "v2.metadata.json.gz"),
        (["v1.metadata.json.gz", "v1.gz.metadata.json"], b"1", "v1.gz.metadata.json"),
        (["v1.gz.metadata.json", "v1.metadata.json"], None, "v1.metadata.json"),
        (["v1.gz.metadata.json.gz"], None, None),
    ],
)
def test_current_version(names: list[str], hint: bytes | None, expected: str | None) -> None:
    assert current_version(iter(names), hint) == expected


@pytest.mark.parametrize("hint", [b"", b"\n", b"two", b"-1", b"1.0", "٣".encode(), b"\xff\xfe", b"9" * 5000, b"7"])
def test_a_hint_to_a_missing_version_is_replaced_by_the_highest_version(hint: bytes) -> None:
    """iceberg, HadoopTableOperations.findVersion: what cannot be parsed makes it list the folder. (Of a number that
    has no file it says that it is missing.)"""
    names = ["v1.metadata.json", "v10.metadata.json", "v9.metadata.json"]
    assert current_version(names, hint) == "v10.metadata.json"
    assert current_version([], hint) is None
    said = hint_trouble(names, hint)
    assert "not a version" in said or "says 7, but v7.metadata.json does not exist" in said
    assert len(said) < 300


def test_a_hint_to_an_existing_version_is_used() -> None:
    names = ["v1.metadata.json", "v2.metadata.json"]
    assert hint_trouble(names, b"1") == hint_trouble(names, None) == ""


def test_versions_of_nineteen_digits() -> None:
    """Some writers use the time in nanoseconds as the version."""
    names = ["v3.metadata.json", "v1718000000123456789.metadata.json"]
    for hint in (b"1718000000123456789", None, b"x"):
        assert current_version(names, hint) == names[1]
    assert current_version(names, b"3") == names[0]


# -- the catalog -----------------------------------------------------------------------------------------


def test_finds_tables_at_every_depth_and_keeps_the_scheme() -> None:
    objects = (
        table("wh/db/orders", 3, b"2")
        | table("wh/db/eu/customers", 2)
        | table("wh/atroot", 1)
        | table("wh-old/db/neighbour", 1)
        | {"wh/db/plain/part-0.parquet": b"", "wh/db/sqltable/metadata/00001-a.metadata.json": b"{}"}
        | {"wh/metadata/v1.metadata.json": b"{}", "wh/db//x/metadata/v1.metadata.json": b"{}"}
    )
    files = catalog(objects, "s3a://lake/wh/")
    assert [(t.namespace, t.name, t.identifier, t.metadata_location) for t in files.tables()] == [
        ("", "atroot", "files.atroot", "s3a://lake/wh/atroot/metadata/v1.metadata.json"),
        ("db", "orders", "files.db.orders", "s3a://lake/wh/db/orders/metadata/v3.metadata.json"),
        (
            "db.eu",
            "customers",
            "files.db.eu.customers",
            "s3a://lake/wh/db/eu/customers/metadata/v2.metadata.json",
        ),
    ]
    for found in files.tables():
        assert files.current(found.namespace, found.name) == found.metadata_location
        assert found.kind == "table"
    assert files.current("db", "plain") is None
    assert files.current("db", "none") is None
    assert files.namespace_properties() == []
    assert files.describe() == "hadoop s3a://lake/wh"
    assert files.kind == "hadoop"
    files.close()


def test_a_warehouse_that_is_a_whole_bucket() -> None:
    files = catalog(table("db/t", 1), "s3://lake")
    assert [t.metadata_location for t in files.tables()] == ["s3://lake/db/t/metadata/v1.metadata.json"]
    assert files.current("db", "t") == "s3://lake/db/t/metadata/v1.metadata.json"


@pytest.mark.parametrize("warehouse", ["s3a://lake//wh", "s3a://lake/wh//", "s3a://lake//wh/", "s3a://lake/wh"])
def test_empty_levels_of_a_warehouse_mean_nothing(warehouse: str) -> None:
    """Hadoop's Path removes them: engines find the tables of such a warehouse."""
    files = catalog(table("wh/db/t", 1), warehouse)
    assert [(t.namespace, t.metadata_location) for t in files.tables()] == [
        ("db", "s3a://lake/wh/db/t/metadata/v1.metadata.json")
    ]
    assert files.current("db", "t") == "s3a://lake/wh/db/t/metadata/v1.metadata.json"
    assert [t.namespace for t in catalog(table("x/db/t", 1), "s3a://lake//").tables()] == ["x.db"]


def test_current_sees_a_commit_and_a_drop() -> None:
    objects = table("wh/db/t", 1, b"1")
    files = catalog(objects)
    assert files.current("db", "t") == "s3a://lake/wh/db/t/metadata/v1.metadata.json"
    objects["wh/db/t/metadata/v2.metadata.json"] = b"{}"
    assert files.current("db", "t") == "s3a://lake/wh/db/t/metadata/v2.metadata.json"
    objects.clear()
    assert files.current("db", "t") is None


def test_a_directory_with_a_dot_in_its_name() -> None:
    objects = table("wh/sales.db/t", 1) | table("wh/a/b.c/d/t", 2)
    files = catalog(objects)
    assert [(t.namespace, t.name) for t in files.tables()] == [("a.b.c.d", "t"), ("sales.db", "t")]
    for found in files.tables():
        assert files.current(found.namespace, found.name) == found.metadata_location
    objects |= table("wh/sales/db/t", 3) | table("wh/a.b/c/d/t", 4)  # the name of two: the first that current() finds
    assert [(t.namespace, t.metadata_location) for t in files.tables()] == [
        ("a.b.c.d", "s3a://lake/wh/a/b.c/d/t/metadata/v2.metadata.json"),
        ("sales.db", "s3a://lake/wh/sales/db/t/metadata/v3.metadata.json"),
    ]
    for found in files.tables():
        assert files.current(found.namespace, found.name) == found.metadata_location
    assert files.current(".".join("abcdefghijklmnopqrstuvwxyz"), "t") is None  # and in finite time


def test_a_hint_that_makes_no_sense_is_named() -> None:
    files = catalog(table("wh/db/t", 2, b"latest"))
    (found,) = files.tables()
    assert found.metadata_location == "s3a://lake/wh/db/t/metadata/v2.metadata.json"
    assert found.trouble == "says b'latest', which is not a version"
    assert files.current("db", "t") == found.metadata_location


@pytest.mark.parametrize("error", [AccessDenied("no"), StoreError("InvalidObjectState")])
def test_a_hint_that_the_server_does_not_return_is_replaced_by_the_highest_version(error: StoreError) -> None:
    """As in Iceberg, which lists the folder after any error with the hint."""

    def refuse() -> bytes:
        raise error

    assert read_hint(refuse) == b""
    assert current_version(["v1.metadata.json", "v2.metadata.json"], read_hint(refuse)) == "v2.metadata.json"


def test_no_answer_is_no_hint() -> None:
    def away() -> bytes:
        raise Unreachable("away")

    with pytest.raises(Unreachable):
        read_hint(away)


def test_a_hint_that_is_gone_since_the_listing() -> None:
    objects = table("wh/db/t", 2)
    objects["wh/db/t/metadata/version-hint.text"] = None
    assert catalog(objects).current("db", "t") == "s3a://lake/wh/db/t/metadata/v2.metadata.json"


@pytest.mark.parametrize("tables", [[], [Repoint("db", "t", "s3://a/1", "s3://b/1")]])
def test_there_is_no_pointer_to_swap(tables: list[Repoint]) -> None:
    files: Catalog = catalog(table("wh/db/t", 1))
    with pytest.raises(NotImplementedError, match=r"version-hint\.text"):
        files.repoint(tables, [])


@pytest.mark.parametrize("warehouse", ["hdfs://nn/wh", "/wh", "s3://", "s3n://key:wr0ng@bucket/wh"])
def test_a_warehouse_that_is_not_a_plain_place_in_s3(warehouse: str) -> None:
    with pytest.raises(ConfigError, match="warehouse of catalog 'files'") as caught:
        catalog({}, warehouse)
    assert "wr0ng" not in str(caught.value)
