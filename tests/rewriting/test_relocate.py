"""``relocate`` on a mocked S3: which paths move where, and what stops it before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from iceberg.avro_files import CORPUS, avro, records
from iceberg.tables import entry, list_schema, listed, position_deletes
from migrator.errors import ConfigError, MigratorError, NotFound, Occupied, UnmappedPath, Unreadable
from migrator.iceberg.deletes import delete_paths
from migrator.layout import Location
from migrator.rewriting.moves import Moves
from migrator.rewriting.relocate import relocate
from migrator.store import Store
from plan.handmade import CopiedFrom, data_file, delete_rows, put, table

OLD, NEW = "s3a://old/wh/t", "s3a://new/lake/t"
METADATA = f"{OLD}/metadata/00000-a.metadata.json"


@pytest.fixture
def store(mock_store: Store) -> Store:
    for bucket in ("old", "far", "new"):
        mock_store.create_bucket(bucket)
    return mock_store


def place(uri: str) -> Location:
    location = Location.parse(uri)
    assert location is not None
    return location


def keys(store: Store) -> set[str]:
    return {found.key for found in store.list("new")}


def there(store: Store, key: str) -> bytes:
    return store.get("new", key).data


# -- moves ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("s3a://old/a+b(c", "s3a://new/x"),  # iceberg#15172: a path equal to the prefix
        ("s3://old/a+b(c/", "s3://new/x/"),
        ("s3n://old/a+b(c/d.parquet", "s3n://new/x/d.parquet"),  # PR 17521: no regular expression
        ("s3://old/a+b(c//d", "s3://new/x//d"),
        ("s3://old/a+b(cc/d", None),
        ("s3://old/aab(c/d", None),
        ("s3://old/a+b(c/deep/d", "s3://far/deep/d"),  # iceberg#14318, #17794: the longest of several prefixes
        ("s3://old/a+b(c/deeper/d", "s3://new/x/deeper/d"),
        ("s3://new/x/d", "s3://new/x/d"),
        ("hdfs://old/a+b(c/d", None),
        ("relative/path", None),
    ],
)
def test_moves(path: str, expected: str | None) -> None:
    pairs = {"s3://old/a+b(c/": "s3://new/x", "s3://old/a+b(c/deep": "s3://far/deep/"}
    assert Moves.of((old, place(new)) for old, new in pairs.items())(path) == expected


# -- a second run --------------------------------------------------------------------------------------


def test_a_second_run_finds_everything_there(store: Store) -> None:
    """iceberg#16418: "file already exists". Statistics are copied too, and no manifest records their size."""
    statistics = [{"snapshot-id": 1, "statistics-path": f"{OLD}/metadata/1.stats"}]
    put(store, f"{OLD}/metadata/1.stats", b"statistics")
    table(store, data_file(store, f"{OLD}/data/a.parquet"), location=OLD, statistics=statistics)
    assert relocate(store, METADATA, NEW).copied == 2
    before = {found.key: found.modified for found in store.list("new")}
    again = relocate(store, METADATA, NEW)
    assert (again.copied, again.there_already) == (0, 2)
    assert {found.key: found.modified for found in store.list("new")} == before
    put(store, "s3://new/lake/t/metadata/1.stats", b"others")
    with pytest.raises(Occupied, match=r"1\.stats exists already"):
        relocate(store, METADATA, NEW)


# -- what stops it -------------------------------------------------------------------------------------


def test_two_files_for_one_place_are_refused(store: Store) -> None:
    """Pitfall 2: whether the mapping is one to one is known before anything is written."""
    table(store, data_file(store, f"{OLD}/data/a.parquet"), data_file(store, "s3a://far/x/a.parquet"), location=OLD)
    with pytest.raises(MigratorError, match=r"far/x/a\.parquet.*data/a\.parquet|data/a\.parquet.*far/x/a\.parquet"):
        relocate(store, METADATA, NEW, also=[("s3a://far/x", f"{NEW}/data")])
    assert keys(store) == set()


def test_one_file_under_two_schemes_is_one(store: Store) -> None:
    entries = [data_file(store, f"{scheme}://old/wh/t/data/a.parquet") for scheme in ("s3a", "s3")]
    table(store, *entries, location=OLD)
    assert relocate(store, METADATA, NEW).copied >= 1
    paths = [r["data_file"]["file_path"] for r in records(there(store, "lake/t/metadata/m0.avro"))]
    assert paths == [f"{scheme}://new/lake/t/data/a.parquet" for scheme in ("s3a", "s3")]


def encrypted_entry(store: Store) -> None:
    table(store, entry(f"{OLD}/data/a.parquet", key_metadata=b"k"), location=OLD)


def encrypted_list(store: Store) -> None:
    table(store, data_file(store, f"{OLD}/data/a.parquet"), location=OLD)
    manifest = listed(f"{OLD}/metadata/m0.avro", key_metadata=b"k")
    put(store, f"{OLD}/metadata/snap-1.avro", avro(list_schema(2), [manifest]))


def encryption_keys(store: Store) -> None:
    table(store, data_file(store, f"{OLD}/data/a.parquet"), location=OLD, **{"encryption-keys": [{"key-id": "k"}]})


@pytest.mark.parametrize("make", [encrypted_entry, encrypted_list, encryption_keys])
def test_an_encrypted_table_is_refused(store: Store, make: Callable[[Store], None]) -> None:
    """Pitfall 21, iceberg#17992: the copy could not be read."""
    make(store)
    with pytest.raises(Unreadable, match="encrypted"):
        relocate(store, METADATA, NEW)
    assert keys(store) == set()


@pytest.mark.parametrize("name", ["snap-1.avro", "m0.avro"])
def test_a_list_or_manifest_that_cannot_be_read_is_refused(store: Store, name: str) -> None:
    """Pitfall 20."""
    table(store, data_file(store, f"{OLD}/data/a.parquet"), location=OLD)
    put(store, f"{OLD}/metadata/{name}", store.get("old", f"wh/t/metadata/{name}").data[:-1])
    with pytest.raises(Unreadable, match=name):
        relocate(store, METADATA, NEW)
    assert keys(store) == set()


def test_a_later_version_at_the_target_is_refused(store: Store) -> None:
    """Pitfall 23: a reader of a Hadoop table continues from the hint to the next version."""
    table(store, data_file(store, f"{OLD}/data/a.parquet"), location=OLD, name="v7.metadata.json")
    for later in ("v8.metadata.json", "v10.gz.metadata.json"):
        put(store, f"{NEW}/metadata/{later}", b"{}")
        with pytest.raises(Occupied, match=f"{later} is newer than v7"):
            relocate(store, f"{OLD}/metadata/v7.metadata.json", NEW)
        assert keys(store) == {f"lake/t/metadata/{later}"}
        store.client.delete_object(Bucket="new", Key=f"lake/t/metadata/{later}")
    relocate(store, f"{OLD}/metadata/v7.metadata.json", NEW)
    assert there(store, "lake/t/metadata/version-hint.text") == b"7"


def test_a_file_under_no_prefix_is_refused_unless_it_is_a_tombstone(store: Store) -> None:
    """Pitfall 19."""
    table(store, data_file(store, f"{OLD}/data/a.parquet"), entry("s3a://far/x", status=2), location=OLD)
    relocate(store, METADATA, NEW)
    assert records(there(store, "lake/t/metadata/m0.avro"))[1]["data_file"]["file_path"] == "s3a://far/x"
    table(store, data_file(store, f"{OLD}/data/a.parquet"), entry("s3a://far/x"), location=OLD)
    with pytest.raises(UnmappedPath, match="s3a://far/x"):
        relocate(store, METADATA, "s3a://new/other")
    with pytest.raises(ConfigError):
        relocate(store, METADATA, "s3a://new/other", also=[("s3a://far", "nowhere")])
    assert not any(key.startswith("other") for key in keys(store))


# -- missing objects, and objects of others --------------------------------------------------------------


@pytest.mark.parametrize(
    ("missing", "named_by"),
    [
        ("data/a.parquet", "metadata/m0.avro"),
        ("data/d.parquet", "metadata/m1.avro"),
        ("metadata/m0.avro", "metadata/snap-1.avro"),
        ("metadata/snap-1.avro", "00000-a.metadata.json"),
    ],
)
def test_a_missing_file_is_named_with_what_names_it(store: Store, missing: str, named_by: str) -> None:
    data, deletes = data_file(store, f"{OLD}/data/a.parquet"), f"{OLD}/data/d.parquet"
    size = delete_rows(store, deletes, [f"{OLD}/data/a.parquet"])
    table(store, data, position_deletes(deletes, file_size_in_bytes=size), location=OLD)
    store.delete("old", f"wh/t/{missing}")
    with pytest.raises(NotFound, match=rf"{missing} is missing, and .*{named_by}"):
        relocate(store, METADATA, NEW)
    assert not any(key.endswith(".metadata.json") for key in keys(store)), "nothing looks like a table"


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("other", ["same size", "another size"])
@pytest.mark.parametrize("name", ["data/a.parquet", "metadata/1.stats"])
def test_what_lies_at_the_new_place_is_never_overwritten_nor_taken_for_the_file(
    store: Store, name: str, other: str, outside: bool
) -> None:
    """Below the new location, and below the places of --also. An equal size is not an equal object."""
    old = "s3a://far/x" if outside else OLD
    new = "s3a://new/shelf" if outside else NEW
    statistics = [{"snapshot-id": 1, "statistics-path": f"{old}/metadata/1.stats"}]
    put(store, f"{old}/metadata/1.stats", b"statistics")
    table(store, data_file(store, f"{old}/data/a.parquet"), location=OLD, statistics=statistics)
    here = place(f"{old}/{name}")
    body = store.get(here.bucket, here.key).data
    foreign = bytes(len(body)) if other == "same size" else b"somebody else's, of another size"
    put(store, f"{new}/{name}", foreign)
    also = [("s3a://far/x", "s3a://new/shelf")] if outside else []
    with pytest.raises(Occupied, match=name.rpartition("/")[2]):
        relocate(store, METADATA, NEW, also=also)
    assert there(store, place(f"{new}/{name}").key) == foreign
    put(store, f"{new}/{name}", body)
    assert relocate(store, METADATA, NEW, also=also).there_already >= 1


# -- tombstones ----------------------------------------------------------------------------------------


def test_a_tombstone_of_deletes_that_are_gone_stops_nothing(store: Store) -> None:
    """Pitfall 10, iceberg#17498, #16662, #12586."""
    data, kept, gone = (f"{OLD}/data/{name}.parquet" for name in ("a", "kept", "gone"))
    size = delete_rows(store, kept, [data])
    deletes = [position_deletes(kept, file_size_in_bytes=size), position_deletes(gone, data, data, status=2)]
    table(store, data_file(store, data), *deletes, location=OLD)
    relocate(store, METADATA, NEW)
    live, tombstone = (r["data_file"] for r in records(there(store, "lake/t/metadata/m1.avro")))
    assert live["file_size_in_bytes"] == len(there(store, "lake/t/data/kept.parquet")) != size
    assert tombstone["file_path"] == f"{NEW}/data/gone.parquet"
    (listed_deletes,) = [r for r in records(there(store, "lake/t/metadata/snap-1.avro")) if r["content"] == 1]
    assert listed_deletes["manifest_length"] == len(there(store, "lake/t/metadata/m1.avro"))
    document = json.loads(there(store, "lake/t/metadata/00000-a.metadata.json"))
    assert document["location"] == NEW


# -- manifests of another length (pitfall 20, iceberg#13719) -----------------------------------------------


def test_a_manifest_that_lost_entries_is_refused_and_a_wrong_length_put_right(store: Store) -> None:
    entries = [data_file(store, f"{OLD}/data/{n}.parquet") for n in range(3)]
    table(store, *entries, location=OLD)
    list_uri, manifest_uri = f"{OLD}/metadata/snap-1.avro", f"{OLD}/metadata/m0.avro"
    schema = list_schema(2)
    schema["fields"] += [
        {"name": name, "type": "int", "field-id": number}
        for number, name in ((504, "added_files_count"), (505, "existing_files_count"), (506, "deleted_files_count"))
    ]
    counts = {"added_files_count": 2, "existing_files_count": 1, "deleted_files_count": 0}
    put(store, list_uri, avro(schema, [{**listed(manifest_uri, 7), **counts}]))
    done = relocate(store, METADATA, NEW)
    assert "is corrected" in done.notes[0]
    (moved,) = records(there(store, "lake/t/metadata/snap-1.avro"))
    assert moved["manifest_length"] == len(there(store, "lake/t/metadata/m0.avro"))
    put(store, list_uri, avro(schema, [{**listed(manifest_uri, 7), **counts, "added_files_count": 3}]))
    with pytest.raises(Unreadable, match="3 entries, its list records 7 bytes and 4 entries"):
        relocate(store, METADATA, "s3a://new/elsewhere/t")
    assert not [key for key in keys(store) if key.startswith("elsewhere")]


# -- copies of what was never in S3 ----------------------------------------------------------------------


FOREIGN = [
    "hdfs://nn1:8020/user/hive/warehouse",
    "hdfs:///wh",
    "file:/tmp/wh",
    "file:///tmp/wh",
    "gs://other/wh",
    "abfs://box@account.dfs.core.windows.net/wh",
    "/user/hive/wh",
    "some/wh",
]


def deleted(copied: CopiedFrom, old: str, data: str) -> dict[str, Any]:
    size = delete_rows(copied, f"{old}/data/d.parquet", [data])
    return position_deletes(f"{old}/data/d.parquet", file_size_in_bytes=size)


def check_paths(store: Store, new: str, data: str) -> None:
    """The table at this place in the bucket "new" names nothing but its own files there, and this data file."""
    bucket, _, key = new.partition("://")[2].partition("/")
    document = json.loads(store.get(bucket, f"{key}/metadata/00000-a.metadata.json").data)
    assert document["location"] == new
    lists = records(store.get(bucket, document["snapshots"][0]["manifest-list"].partition(f"{bucket}/")[2]).data)
    paths = []
    for listed_one in lists:
        body = store.get(bucket, listed_one["manifest_path"].partition(f"{bucket}/")[2]).data
        assert listed_one["manifest_length"] == len(body)
        paths += [r["data_file"]["file_path"] for r in records(body)]
    assert data in paths and len(paths) == 2
    (deletes,) = [path for path in paths if path.endswith("d.parquet")]
    at = place(deletes)
    assert delete_paths(store.get(at.bucket, at.key).data, "d") == {data}


@pytest.mark.parametrize("to", ["s3://new/lake/t", "s3a://new/lake/t"])
@pytest.mark.parametrize("old", FOREIGN)
def test_a_copy_from_another_file_system_needs_nothing_but_its_new_place(store: Store, old: str, to: str) -> None:
    copied = CopiedFrom(store, old, "s3://far/copied")
    data = data_file(copied, f"{old}/t/data/a.parquet")
    table(copied, data, deleted(copied, f"{old}/t", f"{old}/t/data/a.parquet"), location=f"{old}/t")
    done = relocate(store, "s3a://far/copied/t/metadata/00000-a.metadata.json", to)
    assert (done.location, done.metadata_location) == (to, f"{to}/metadata/00000-a.metadata.json")
    check_paths(store, to, f"{to}/data/a.parquet")
    assert relocate(store, "s3a://far/copied/t/metadata/00000-a.metadata.json", to).there_already == 1


@pytest.mark.parametrize(
    ("location", "paths"), [("file:///tmp/wh/t", "file:/tmp/wh/t"), ("hdfs:/wh/t", "hdfs:///wh/t")]
)
def test_two_spellings_of_one_place(store: Store, location: str, paths: str) -> None:
    copied = CopiedFrom(store, paths, "s3://far/t")
    data = data_file(copied, f"{paths}/data/a.parquet")
    table(copied, data, deleted(copied, paths, f"{location}/data/a.parquet"), location=paths)
    body = there_at(store, "far", "t/metadata/00000-a.metadata.json")
    document = json.loads(body)
    document["location"] = location
    put(store, "s3://far/t/metadata/00000-a.metadata.json", json.dumps(document).encode())
    assert relocate(store, "s3://far/t/metadata/00000-a.metadata.json", NEW).location == NEW
    check_paths(store, NEW, f"{NEW}/data/a.parquet")


def there_at(store: Store, bucket: str, key: str) -> bytes:
    return store.get(bucket, key).data


def test_in_place(store: Store) -> None:
    """The data files stay, and rewritten files are written next to them."""
    old = "hdfs://nn:8020/wh/t"
    copied = CopiedFrom(store, old, "s3://new/lake/t")
    table(copied, data_file(copied, f"{old}/data/a.parquet"), location=old)
    before = keys(store)
    done = relocate(store, "s3://new/lake/t/metadata/00000-a.metadata.json", "s3://new/lake/t")
    assert done.metadata_location == "s3://new/lake/t/relocated/metadata/00000-a.metadata.json"
    assert before < keys(store)


@pytest.mark.parametrize("onwards", [False, True], ids=["where it lies", "moved on"])
@pytest.mark.parametrize("outside", ["hdfs://nn:8020/raw", "/raw", "gs://raw/k=1"])
def test_also_takes_any_file_system(store: Store, outside: str, onwards: bool) -> None:
    """Files outside of the location lie where somebody copied them, deletes among them; or are moved on from there."""
    old = "hdfs://nn:8020/wh/t"
    copied, raw = CopiedFrom(store, old, "s3://far/t"), CopiedFrom(store, outside, "s3://far/raw")
    data = data_file(raw, f"{outside}/a.parquet")
    size = delete_rows(raw, f"{outside}/d.parquet", [f"{outside}/a.parquet"])
    table(copied, data, position_deletes(f"{outside}/d.parquet", file_size_in_bytes=size), location=old)
    metadata = "s3://far/t/metadata/00000-a.metadata.json"
    with pytest.raises(UnmappedPath, match=r"00000-a\.metadata\.json records, hdfs://nn:8020/wh/t") as caught:
        relocate(store, metadata, NEW)
    assert f"--also {outside}=NEW" in str(caught.value)
    also = [(outside, "s3://far/raw"), *([("s3://far/raw", "s3://new/raw")] if onwards else [])]
    relocate(store, metadata, NEW, also=also)
    check_paths(store, NEW, "s3://new/raw/a.parquet" if onwards else "s3://far/raw/a.parquet")


@pytest.mark.parametrize("slash", ["", "/"], ids=["", "slash"])
@pytest.mark.parametrize("old", ["s3a://old", "hdfs://nn:8020/wh/t"])
@pytest.mark.parametrize("to", [NEW, "s3a://new"])
def test_a_table_and_its_further_files_may_lie_at_the_root_of_a_bucket(
    store: Store, old: str, to: str, slash: str
) -> None:
    """What the advice says works there, too."""
    copied = CopiedFrom(store, old, "s3a://old")
    data = data_file(copied, f"{old}/data/a.parquet")
    outside = data_file(store, "s3a://far/b.parquet")
    table(copied, data, outside, location=old)
    metadata = "s3a://old/metadata/00000-a.metadata.json"
    with pytest.raises(UnmappedPath) as caught:
        relocate(store, metadata, to + slash)
    assert "--also s3a://far=NEW" in str(caught.value)
    done = relocate(store, metadata, to + slash, also=[(f"s3a://far{slash}", f"{NEW}/far")])
    assert (done.location.rstrip("/"), done.metadata_location) == (to, f"{to}/metadata/00000-a.metadata.json")
    root = place(f"{to}/metadata/m0.avro")
    paths = {r["data_file"]["file_path"] for r in records(there_at(store, root.bucket, root.key))}
    assert paths == {f"{to}/data/a.parquet", f"{NEW}/far/b.parquet"}
    assert {"lake/t/far/b.parquet", place(f"{to}/data/a.parquet").key} <= keys(store)


@pytest.mark.parametrize("to", ["s3://new", "s3://new/"])
def test_no_table_is_relocated_around_another_one(store: Store, to: str) -> None:
    table(store, data_file(store, f"{OLD}/data/a.parquet"), location=OLD)
    relocate(store, METADATA, NEW)
    other = {"table-uuid": "11111111-2222-3333-4444-555555555555"}
    table(store, data_file(store, "s3://far/t/data/a.parquet"), location="s3://far/t", **other)
    with pytest.raises(Occupied, match=r"Another table lies below s3://new: .*new/lake/t/metadata"):
        relocate(store, "s3://far/t/metadata/00000-a.metadata.json", to)


def test_one_place_is_not_mapped_to_two(store: Store) -> None:
    table(store, data_file(store, "s3a://far/x/a.parquet"), location=OLD)
    also = [("s3a://far/x", "s3://new/one"), ("s3://far/x/", "s3://new/two")]
    with pytest.raises(ConfigError, match=r"s3://far/x.*s3://new/one.*s3://new/two"):
        relocate(store, METADATA, NEW, also=also)
    assert relocate(store, METADATA, NEW, also=[also[0], ("s3n://far/x/", "s3://new/one/")]).copied == 1


def test_a_copy_that_lies_in_no_metadata_folder_is_refused_with_both_places(store: Store) -> None:
    copied = CopiedFrom(store, "hdfs://nn/t", "s3://far/t")
    table(copied, data_file(copied, "hdfs://nn/t/data/a.parquet"), location="hdfs://nn/t")
    put(store, "s3://far/other.metadata.json", there_at(store, "far", "t/metadata/00000-a.metadata.json"))
    with pytest.raises(ConfigError, match=r"s3://far/other\.metadata\.json lies neither .*hdfs://nn/t"):
        relocate(store, "s3://far/other.metadata.json", NEW)


@pytest.mark.parametrize("lost", ["data/a.parquet", "data/d.parquet", "metadata/m0.avro", "metadata/snap-1.avro"])
@pytest.mark.parametrize("old", ["s3a://far/t", "hdfs://nn/t"])
def test_a_missing_file_is_one_message_with_what_names_it(store: Store, old: str, lost: str) -> None:
    copied = CopiedFrom(store, old, "s3a://far/t")
    data = data_file(copied, f"{old}/data/a.parquet")
    table(copied, data, deleted(copied, old, f"{old}/data/a.parquet"), location=old)
    store.delete("far", f"t/{lost}")
    by = {"data/a.parquet": "m0.avro", "data/d.parquet": "m1.avro", "metadata/m0.avro": "snap-1.avro"}
    with pytest.raises(NotFound) as caught:
        relocate(store, "s3://far/t/metadata/00000-a.metadata.json", NEW)
    assert f"{old}/{lost} is missing" in str(caught.value)
    assert by.get(lost, "00000-a.metadata.json") in str(caught.value)
    assert not [key for key in keys(store) if key.endswith(".metadata.json")]


@pytest.mark.skipif(not (CORPUS / "foreign").exists(), reason="the corpus of other engines' files is not here")
def test_the_real_table_of_dremio(store: Store) -> None:
    """Its location is file:///…, its paths file:/…; pyiceberg cannot read its old manifests, wherever they lie."""
    folder = CORPUS / "foreign" / "dremio-nation-as_is"
    for file in folder.rglob("*"):
        if file.is_file():
            put(store, f"s3://far/nation/{file.relative_to(folder)}", file.read_bytes())
    done = relocate(store, "s3://far/nation/metadata/v2.metadata.json", NEW)
    document = json.loads(there(store, "lake/t/metadata/v2.metadata.json"))
    assert done.location == document["location"] == NEW and "file:" not in json.dumps(document)
    (manifest,) = records(there(store, document["snapshots"][0]["manifest-list"].partition("//new/")[2]))
    body = there(store, manifest["manifest_path"].partition("//new/")[2])
    assert manifest["manifest_length"] == len(body)
    (only,) = records(body)
    path = only["data_file"]["file_path"]
    assert path.startswith(f"{NEW}/data/") and len(there(store, path.partition("//new/")[2])) == 2305
