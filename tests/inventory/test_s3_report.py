"""Amazon S3 Inventory reports: every format as S3 writes it, and all errors in them."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from migrator.errors import ConfigError, MigratorError, Unreadable
from migrator.inventory.s3_report.manifest import parse_manifest
from migrator.inventory.s3_report.reading import open_report, read_report
from migrator.store import Content, Store, StoredObject
from s3_reports import CURRENT, TYPES, Row, file_of, manifest_of, schema_of, write_report

FORMATS = ("CSV", "ORC", "Parquet")
KEYS = ("a/plain.csv", "with space/é+%2B&=.txt", 'quo"te,comma', "日本/x", "line\nbreak", "t/" + "k" * 1000)
MOMENT = datetime(2026, 11, 20, 13, 5, 59, 123000, tzinfo=timezone.utc)


def row(key: str, **changes: Any) -> Row:
    return {
        "Bucket": "bronze",
        "Key": key,
        "VersionId": "v",
        "IsLatest": True,
        "IsDeleteMarker": False,
        "Size": 1234,
        "LastModifiedDate": MOMENT,
        "ETag": "d41d8cd98f00b204e9800998ecf8427e-3",
        "StorageClass": "STANDARD_IA",
        "IsMultipartUploaded": True,
        "EncryptionStatus": "SSE-S3",
        **changes,
    }


@pytest.fixture
def store(mock_store: Store) -> Store:
    mock_store.create_bucket("reports")
    return mock_store


def objects(store: Store, uri: str) -> list[StoredObject]:
    return [stored for page in read_report(store, open_report(store, uri)) for stored in page]


def parsed(**changes: Any) -> Any:
    return parse_manifest(json.dumps(manifest_of("CSV", "bronze", "reports", {}, **changes)).encode(), "s3://r/m.json")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_objects(store: Store, kind: str) -> None:
    uri = write_report(store.client, kind, "bronze", "reports", [map(row, KEYS[:3]), [], map(row, KEYS[3:])])
    modified = int(MOMENT.timestamp() * 1000)
    assert objects(store, uri) == [
        StoredObject(key, 1234, "d41d8cd98f00b204e9800998ecf8427e-3", modified, "STANDARD_IA") for key in KEYS
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_many_rows_come_in_pages(store: Store, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.store.objects.SPOOL", 1)  # so that the file is on the disk
    uri = write_report(store.client, kind, "bronze", "reports", [(row(f"k{n}") for n in range(12_001))])
    pages = list(read_report(store, open_report(store, uri)))
    assert len(pages) == 3 and {found.key for page in pages for found in page} == {f"k{n}" for n in range(12_001)}


@pytest.mark.parametrize("kind", FORMATS)
def test_of_all_versions_only_the_current_objects_count(store: Store, kind: str) -> None:
    nothing: dict[str, Any] = {"Size": None, "ETag": None, "StorageClass": None}
    rows = [
        row("a"),
        row("a", IsLatest=False, Size=1),
        row("gone", IsDeleteMarker=True, **nothing),
        row("gone", IsLatest=False),
        row("old", IsLatest=False, IsDeleteMarker=True, **nothing),
        row("old"),
    ]
    uri = write_report(store.client, kind, "bronze", "reports", [rows], fields=tuple(TYPES))
    assert [(found.key, found.size) for found in objects(store, uri)] == [("a", 1234), ("old", 1234)]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"Bucket": "silver"}, "row 2: it is about the bucket 'silver', and the report about 'bronze'"),
        ({"Key": None}, "row 2: it has no key"),
        ({"Size": None}, "row 2: 'x' has no Size"),
        ({"ETag": None}, "row 2: 'x' has no ETag"),
        ({"ETag": ""}, "row 2: 'x' has no ETag"),
        ({"LastModifiedDate": None}, "row 2: 'x' has no LastModifiedDate"),
        ({"ETag": 'a"b'}, "row 2: 'x' has the ETag"),
        ({"StorageClass": "A\nB"}, "row 2: 'x' has 'A\\nB' where"),
        ({"Size": -1}, "row 2: 'x' has the size '-1'"),
        ({"Size": 1 << 60}, "row 2: 'x' has the size"),
    ],
)
def test_a_row_that_cannot_be_names_its_file(store: Store, kind: str, changes: Row, says: str) -> None:
    uri = write_report(store.client, kind, "bronze", "reports", [[row("a")], [row("b"), row("x", **changes)]])
    with pytest.raises(Unreadable) as caught:
        objects(store, uri)
    assert says in str(caught.value) and "leave --inventory out" in str(caught.value)
    assert caught.value.place.startswith(f"s3://reports/inv/bronze/daily-{kind.lower()}/data/1.")


@pytest.mark.parametrize("flag", ["IsLatest", "IsDeleteMarker"])
@pytest.mark.parametrize("kind", FORMATS)
def test_what_may_be_current_or_not_is_an_error(store: Store, kind: str, flag: str) -> None:
    uri = write_report(store.client, kind, "bronze", "reports", [[row("a", **{flag: None})]], fields=tuple(TYPES))
    with pytest.raises(Unreadable, match="neither true nor false"):
        objects(store, uri)


CSV_LINE = b'"bronze","a","1","2026-11-20T13:05:59.123Z","abc","STANDARD","false","SSE-S3"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (CSV_LINE + b'"bronze","a"\n', "row 2 has 2 columns, and the manifest names 8"),
        (CSV_LINE.replace(b'"1"', b'"1.5"'), "has the size '1.5'"),
        (CSV_LINE.replace(b"2026-11", b"2026-13"), "has the time"),
        (CSV_LINE.replace(b'"a"', b'"%ff"'), "no complete CSV file"),
        (CSV_LINE.replace(b'"a"', b'"\xff"'), "no complete CSV file"),
        (CSV_LINE.replace(b'"a"', b'"' + b"a" * 70_000 + b'"'), "too long"),
        (CSV_LINE[:20], "no complete CSV file"),
    ],
    ids=range(7),
)
def test_what_is_no_csv_of_a_report(store: Store, text: bytes, says: str) -> None:
    uri = with_file(store, "CSV", gzip.compress(text))
    with pytest.raises(Unreadable, match=says):
        objects(store, uri)


def with_file(store: Store, kind: str, data: bytes, **changes: Any) -> str:
    """A report with this one file."""
    store.put("reports", "f", Content(data, ""))
    manifest = json.dumps(manifest_of(kind, "bronze", "reports", {"f": data}, **changes)).encode()
    store.put("reports", "m/manifest.json", Content(manifest, ""))
    return "s3://reports/m/manifest.json"


def test_a_manifest_of_unlikely_size_is_not_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = write_report(store.client, "CSV", "bronze", "reports", [])
    assert objects(store, uri) == []
    monkeypatch.setattr("migrator.inventory.s3_report.reading.MOST_MANIFEST", 100)
    with pytest.raises(Unreadable, match="too large"):
        open_report(store, uri)


def test_plus_and_percent_both_are_a_space_in_csv(store: Store) -> None:
    lines = CSV_LINE.replace(b'"a"', b'"a+b"') + CSV_LINE.replace(b'"a"', b'"a%20c%2Bd"')
    assert [found.key for found in objects(store, with_file(store, "CSV", gzip.compress(lines)))] == ["a b", "a c+d"]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "damage", [lambda d: d[: len(d) // 2], lambda d: b"", lambda d: b"\0" * len(d), lambda d: b"x"]
)
def test_a_damaged_file_is_named(store: Store, kind: str, damage: Callable[[bytes], bytes]) -> None:
    data = file_of(kind, (row(f"k{n}", ETag=f"{n * 7919:032x}") for n in range(3_000)))
    uri = with_file(store, kind, damage(data))
    if kind == "CSV" and not damage(data):  # nothing packed is nothing
        assert objects(store, uri) == []
        return
    with pytest.raises(Unreadable, match="s3://reports/f cannot be read"):
        objects(store, uri)


def test_a_file_must_have_the_columns_of_the_manifest(store: Store) -> None:
    data = file_of("Parquet", [row("a")], [name for name in CURRENT if name != "ETag"])
    with pytest.raises(Unreadable, match="lacks the column 'e_tag'"):
        objects(store, with_file(store, "Parquet", data))
    sink = io.BytesIO()
    names = ["bucket", "key", "size", "last_modified_date", "e_tag", "storage_class"]
    pa.parquet.write_table(pa.table({name: pa.array([[1]]) for name in names}), sink)
    with pytest.raises(Unreadable, match="no complete Parquet file"):
        objects(store, with_file(store, "Parquet", sink.getvalue()))


# -- manifests ---------------------------------------------------------------------------------------------


def test_file_size_and_md5_are_checked(store: Store) -> None:
    uri = write_report(store.client, "CSV", "bronze", "reports", [[row("a")]])
    key = "inv/bronze/daily-csv/data/0.csv.gz"
    right = store.get("reports", key).data
    store.put("reports", key, Content(right[:-1] + b"\1", ""))
    with pytest.raises(Unreadable, match=r"its MD5 is \w+, and s3://reports/inv/.*/manifest\.json says"):
        objects(store, uri)
    store.put("reports", key, Content(right + b"x", ""))
    with pytest.raises(Unreadable, match=r"it has \d+ bytes, and s3://reports/inv"):
        objects(store, uri)
    store.delete("reports", key)
    with pytest.raises(Unreadable, match="it does not exist, and s3://reports/inv"):
        objects(store, uri)


def test_the_checksum_beside_the_manifest_is_checked_if_there_is_one(store: Store) -> None:
    uri = write_report(store.client, "CSV", "bronze", "reports", [[row("a")]])
    key = uri.removeprefix("s3://reports/").replace(".json", ".checksum")
    store.put("reports", key, Content(b"0" * 32, ""))
    with pytest.raises(Unreadable, match=r"its MD5 is not the one in s3://reports/.*manifest\.checksum"):
        open_report(store, uri)
    store.delete("reports", key)
    assert open_report(store, uri).source == "bronze"


def test_what_is_no_manifest_in_its_bucket(store: Store) -> None:
    with pytest.raises(MigratorError, match=r"s3://reports/no/manifest\.json"):
        open_report(store, "s3://reports/no/manifest.json")
    store.put("reports", "m", Content(json.dumps(manifest_of("CSV", "bronze", "other", {})).encode(), ""))
    with pytest.raises(ConfigError, match="its report is in the bucket 'other', and lies in another one"):
        open_report(store, "s3://reports/m")


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("field", ["Size", "ETag", "LastModifiedDate", "StorageClass"])
def test_a_field_that_is_needed_is_named_with_the_setting(kind: str, field: str) -> None:
    fields = [name for name in CURRENT if name != field]
    data = json.dumps(manifest_of(kind, "bronze", "reports", {}, fields=fields)).encode()
    with pytest.raises(ConfigError) as caught:
        parse_manifest(data, "s3://reports/m.json")
    assert str(caught.value) == (
        f"The S3 Inventory report s3://reports/m.json lacks {field}, which a plan needs. Add {field} to the optional "
        "fields of the inventory configuration and use its next report, or leave --inventory out."
    )


def test_versions_without_the_flags_cannot_be_told_apart() -> None:
    with pytest.raises(ConfigError, match="lacks IsDeleteMarker"):
        parsed(fields=[name for name in TYPES if name != "IsDeleteMarker"])
    assert parsed(fields=list(TYPES)).all_versions and not parsed().all_versions


NO_FILE = {"key": "f", "size": 1, "MD5checksum": "0" * 32}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"version": "2030-01-01"}, "its version is"),
        ({"version": 1}, "it has no version"),
        ({"fileFormat": "Avro"}, "fileFormat"),
        ({"sourceBucket": ""}, "it has no sourceBucket"),
        ({"sourceBucket": "a/b"}, "its sourceBucket is 'a/b'"),
        ({"sourceBucket": "\ud800"}, "its sourceBucket is"),
        ({"destinationBucket": "reports"}, "its destinationBucket is 'reports'"),
        ({"creationTimestamp": "soon"}, "creationTimestamp"),
        ({"creationTimestamp": True}, "creationTimestamp"),
        ({"creationTimestamp": -1}, "creationTimestamp"),
        ({"creationTimestamp": 10**30}, "creationTimestamp"),
        ({"creationTimestamp": "9" * 15}, "creationTimestamp"),
        ({"creationTimestamp": None}, "creationTimestamp"),
        ({"fileSchema": "Bucket, Key, Bucket, Size, ETag, LastModifiedDate, StorageClass"}, "names a field twice"),
        ({"fileSchema": "Bucket; Key"}, "no list of fields"),
        ({"fileSchema": "Key, Size, ETag, LastModifiedDate, StorageClass"}, "names no Bucket"),
        ({"fileSchema": ["Bucket"]}, "it has no fileSchema"),
        ({"files": None}, "no list of files"),
        ({"files": {"key": "f"}}, "no list of files"),
        ({"files": ["f"]}, "file 1 of it"),
        ({"files": [NO_FILE, {**NO_FILE, "size": -1}]}, "file 2 of it"),
        ({"files": [{**NO_FILE, "size": 10**40}]}, "file 1 of it"),
        ({"files": [{**NO_FILE, "size": "1"}]}, "file 1 of it"),
        ({"files": [{**NO_FILE, "size": True}]}, "file 1 of it"),
        ({"files": [{**NO_FILE, "MD5checksum": "x"}]}, "file 1 of it"),
        ({"files": [{**NO_FILE, "key": ""}]}, "file 1 of it"),
        ({"files": [{**NO_FILE, "key": "\ud800"}]}, "file 1 of it"),
        ({"files": [NO_FILE, NO_FILE]}, "names a file twice"),
    ],
)
def test_a_manifest_that_cannot_be(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(Unreadable, match=says):
        parsed(**changes)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"[" * 100_000, b"\xff", b'{"a": ' + b"9" * 5000 + b"}"])
def test_what_is_no_json_object(data: bytes) -> None:
    with pytest.raises(Unreadable, match=r"s3://r/m\.json"):
        parse_manifest(data, "s3://r/m.json")


def test_the_schemas_of_the_documentation_are_understood() -> None:
    """Those of storage-inventory-location.html, shortened, and one as S3 writes it since."""
    parquet = (
        "message s3.inventory {  required binary bucket (STRING);  required binary key (STRING);  optional int64 size;"
        "  optional int64 last_modified_date (TIMESTAMP(MILLIS,true));  optional binary e_tag (STRING);"
        "  optional binary storage_class (STRING);}"
    )
    six = ("bucket", "key", "size", "last_modified_date", "e_tag", "storage_class")
    assert parsed(fileFormat="Parquet", fileSchema=parquet).columns == six
    orc = "struct<bucket:string,key:string,size:bigint,last_modified_date:timestamp,e_tag:string,storage_class:string>"
    assert parsed(fileFormat="ORC", fileSchema=orc).columns == six
    assert parsed(fileSchema="Bucket, Key, Size, LastModifiedDate, ETag, StorageClass").columns == six
    assert parsed(creationTimestamp=1514944800000).created == parsed(creationTimestamp="1514944800000").created
    assert schema_of("ORC", ["Bucket", "LastModifiedDate"]) == "struct<bucket:string,last_modified_date:timestamp>"
