"""No table is relocated to the place of another table, on a mocked S3."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from migrator.errors import AccessDenied, Occupied
from migrator.rewriting.relocate import relocate
from migrator.store import Store, StoredObject
from plan.handmade import UUID, data_file, put, table

OLD = "s3a://old/wh/t"
METADATA = f"{OLD}/metadata/00000-a.metadata.json"
OTHER = "s3://new/wh/other"
ANOTHER_UUID = "11111111-03fe-4693-9a96-a0705ddf69c1"


@pytest.fixture
def store(mock_store: Store) -> Store:
    """A store with a table in one bucket, and another bucket as its new place."""
    for bucket in ("old", "new"):
        mock_store.create_bucket(bucket)
    table(mock_store, data_file(mock_store, f"{OLD}/data/a.parquet"), location=OLD)
    return mock_store


def other(location: str = OTHER, **more: Any) -> bytes:
    return json.dumps({"format-version": 2, "table-uuid": ANOTHER_UUID, "location": location, **more}).encode()


def keys(store: Store) -> list[str]:
    return sorted(found.key for found in store.list("new"))


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("s3a://new/wh/other", "lies at s3://new/wh/other already"),
        ("s3://new/wh/other/", "lies at s3://new/wh/other already"),
        ("s3://new/wh/other/data", "s3://new/wh/other/data lies inside of another table"),
        ("s3://new/wh/other/a/b/c", "inside of another table"),
        ("s3://new/wh", "lies below s3://new/wh:"),
    ],
)
def test_the_place_of_another_table_is_refused(store: Store, to: str, said: str, copy: bool) -> None:
    put(store, f"{OTHER}/metadata/v3.metadata.json", other())
    with pytest.raises(Occupied) as caught:
        relocate(store, METADATA, to, copy=copy)
    assert said in caught.value.message and f"{OTHER}/metadata/v3.metadata.json" in caught.value.message
    assert "--to" in caught.value.next_move
    assert keys(store) == ["wh/other/metadata/v3.metadata.json"]


@pytest.mark.parametrize("to", ["s3://new/wh/others", "s3://new/wh/othe", "s3://new/other", "s3://new/wh/x/other"])
def test_a_place_beside_another_table_is_free(store: Store, to: str) -> None:
    put(store, f"{OTHER}/metadata/v3.metadata.json", other())
    assert relocate(store, METADATA, to).copied == 1
    assert relocate(store, METADATA, to).there_already == 1


@pytest.mark.parametrize("name", ["00001-b.gz.metadata.json", "00001-b.metadata.json.gz"])
def test_compressed_metadata_count(store: Store, name: str) -> None:
    put(store, f"{OTHER}/metadata/{name}", gzip.compress(other()))
    with pytest.raises(Occupied, match=name):
        relocate(store, METADATA, OTHER)


def test_a_view_counts(store: Store) -> None:
    view = {"view-uuid": ANOTHER_UUID, "format-version": 1, "location": OTHER}
    put(store, f"{OTHER}/metadata/00000-v.metadata.json", json.dumps(view).encode())
    with pytest.raises(Occupied, match="00000-v"):
        relocate(store, METADATA, OTHER)


def test_a_table_at_the_root_of_the_bucket_is_around_everything(store: Store) -> None:
    put(store, "s3://new/metadata/v1.metadata.json", other("s3a://new/"))
    with pytest.raises(Occupied, match="inside of another table"):
        relocate(store, METADATA, "s3://new/wh/t")


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"no JSON", b'{"format-version": 2, "table-uuid": 5}', b'{"format-version": 2']
)
def test_what_is_no_metadata_of_a_table_stops_nothing(store: Store, data: bytes) -> None:
    put(store, f"{OTHER}/metadata/x.metadata.json", data)
    assert relocate(store, METADATA, OTHER).copied == 1


def test_metadata_that_lie_apart_from_their_table_do_not_make_a_folder_its_own(store: Store) -> None:
    """With write.metadata.path, tables have their metadata in a folder that they share."""
    put(store, "s3://new/metadata/00000-x.metadata.json", other("s3://new/elsewhere/x"))
    assert relocate(store, METADATA, "s3://new/wh/t").copied == 1


def test_the_newest_file_of_a_folder_tells(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table was dropped, and another one created at its place."""
    put(store, f"{OTHER}/metadata/00000-a.metadata.json", other(**{"table-uuid": UUID}))
    put(store, f"{OTHER}/metadata/00000-b.metadata.json", other())
    times = {"wh/other/metadata/00000-b.metadata.json": 2}

    def timed(self: Store, places: Sequence[tuple[str, str]]) -> Iterator[tuple[str, list[StoredObject]]]:
        for bucket, prefix in places:
            yield bucket, [replace(found, modified=times.get(found.key, 1)) for found in self.list(bucket, prefix)]

    monkeypatch.setattr(Store, "list_all", timed)
    with pytest.raises(Occupied, match="00000-b"):
        relocate(store, METADATA, OTHER)


@pytest.mark.parametrize("to", ["s3a://old/wh", "s3a://old/wh/t/moved", "s3a://old/wh/t"])
def test_a_table_moves_below_and_above_its_own_place(store: Store, to: str) -> None:
    """Also next to the remaining files of another table that was there before."""
    put(store, f"{OLD}/metadata/00009-z.metadata.json", other(OLD))
    assert relocate(store, METADATA, to).metadata_location.startswith(to)
    assert relocate(store, METADATA, to).there_already == 1


def test_in_place_nothing_is_looked_for(store: Store) -> None:
    """The table is there already; other tables around it do not matter."""
    put(store, f"{OLD}/inner/metadata/v1.metadata.json", other(f"{OLD}/inner"))
    assert relocate(store, METADATA, OLD).rewritten


def test_where_nothing_may_be_listed_a_note_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> Iterator[tuple[str, list[StoredObject]]]:
        raise AccessDenied("s3:ListBucket is not allowed.")
        yield

    monkeypatch.setattr(Store, "list_all", denied)
    done = relocate(store, METADATA, OTHER)
    assert done.notes == [
        "it was not checked whether another table lies at s3://new/wh/other: s3:ListBucket is not allowed."
    ]
