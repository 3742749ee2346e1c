"""A small lake on a real server, planned from S3 Inventory reports: objects that the reports lack are found before the
cutover, tables are planned in their present state, and nothing is lost."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result
from pyiceberg.catalog.sql import SqlCatalog

from migrator.cli import main
from migrator.demo.server import Server
from migrator.store import is_own
from s3_reports import TYPES, Row, rows_of, write_report

OLD, TARGET, REPORTS = ("bronze", "gold"), "lake", "reports"
PLAIN = {
    "raw/a.csv": b"a",
    "raw/b c+d é%.csv": b"bb",
    "raw/deep/er/c.csv": b"ccc",
    "raw/gone.csv": b"gone",
    "raw/changed.csv": b"old",
    "raw/unknown.csv": b"the report does not cover it",
}
LARGE = 6 << 20


class Lake:
    """Two buckets; a table in each, and plain objects in bronze, one of them uploaded in parts."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder, self.client = server, folder, server.client()
        for bucket in (*OLD, REPORTS):
            self.client.create_bucket(Bucket=bucket)
        for key, data in PLAIN.items():
            self.client.put_object(Bucket="bronze", Key=key, Body=data)
        self._upload_in_parts("raw/large.bin")
        catalog = self.catalog()
        catalog.create_namespace("db")
        schema = pa.schema([("id", pa.int64())])
        catalog.create_table("db.t", schema, "s3://bronze/wh/t", properties={"write.data.path": "s3://bronze/t-data"})
        catalog.create_table("db.u", schema, "s3://gold/wh/u")
        catalog.close()
        for table in ("db.t", "db.u"):
            self.append(table, 1)

    def _upload_in_parts(self, key: str) -> None:
        at = {"Bucket": "bronze", "Key": key}
        upload = self.client.create_multipart_upload(**at)["UploadId"]
        parts = [
            {
                "PartNumber": number,
                "ETag": self.client.upload_part(**at, UploadId=upload, PartNumber=number, Body=bytes([number]) * LARGE)[
                    "ETag"
                ],
            }
            for number in (1, 2)
        ]
        self.client.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": parts})

    def catalog(self) -> SqlCatalog:
        uri = f"sqlite:///{self.folder}/catalog.db"
        return SqlCatalog("ice", uri=uri, warehouse="s3://bronze/wh", **self.server.properties())

    def append(self, table: str, number: int) -> None:
        catalog = self.catalog()
        catalog.load_table(table).append(pa.table({"id": pa.array([number], pa.int64())}))
        catalog.close()

    def rows(self, table: str) -> list[int]:
        catalog = self.catalog()
        found = sorted(catalog.load_table(table).scan().to_arrow()["id"].to_pylist())
        catalog.close()
        return found

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket="bronze", Key=key, Body=data)

    def report(self, kind: str, bucket: str = "bronze", rows: list[Row] | None = None, **changes: Any) -> str:
        """A report of a bucket as it is now, in two files."""
        rows = rows_of(self.client, bucket) if rows is None else rows
        return write_report(self.client, kind, bucket, REPORTS, [rows[::2], rows[1::2]], **changes)

    def config(self, more: str = "", section: str = "") -> Path:
        lines = [f'[source]\nendpoint_url = "{self.server.endpoint_url}"\n{more}\n[target]\nbucket = "{TARGET}"']
        lines += ["[layout]", *(f'"s3://{bucket}/" = "{bucket}/"' for bucket in OLD), "[catalogs.ice]", 'type = "sql"']
        lines += [f'uri = "sqlite:///{self.folder}/catalog.db"', section]
        path = self.folder / "lake.toml"
        path.write_text("\n".join(lines))
        return path

    def run(self, *arguments: str | Path, code: int | None = 0) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert code is None or result.exit_code == code, result.output
        return result

    def plan(self, *inventories: str, code: int = 0) -> dict[str, Any]:
        """A plan in lake.db, described."""
        (self.folder / "lake.db").unlink(missing_ok=True)
        options = [part for uri in inventories for part in ("--inventory", uri)]
        self.run("plan", "--config", self.config(), *options, "-o", "lake.db", code=code)
        described: dict[str, Any] = json.loads(self.run("show", "lake.db", "--json").stdout)
        return described

    def keys(self, bucket: str) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {e["Key"] for page in pages for e in page.get("Contents", []) if not is_own(e["Key"])}

    def body(self, key: str, bucket: str = TARGET) -> bytes:
        return bytes(self.client.get_object(Bucket=bucket, Key=key)["Body"].read())

    def drop_old(self) -> None:
        for bucket in OLD:
            for key in self.keys(bucket):
                self.client.delete_object(Bucket=bucket, Key=key)
            self.client.delete_bucket(Bucket=bucket)


@pytest.fixture
def lake(own_server: Server, tmp_path: Path) -> Lake:
    return Lake(own_server, tmp_path)


def copied_plain(lake: Lake) -> dict[str, bytes]:
    return {key.removeprefix("bronze/"): lake.body(key) for key in lake.keys(TARGET) if key.startswith("bronze/raw/")}


@pytest.mark.parametrize("kind", ["CSV", "ORC", "Parquet"])
def test_a_lake_moves_as_if_it_had_been_listed(lake: Lake, kind: str) -> None:
    """The table is written to after the report: its folders are listed."""
    plain = {key: lake.body(key, "bronze") for key in lake.keys("bronze") if key.startswith("raw/")}
    created = datetime.now(timezone.utc) - timedelta(hours=41)
    uri = lake.report(kind, created=created, fields=tuple(TYPES))
    lake.append("db.t", 2)
    listed = lake.plan()
    described = lake.plan(uri)
    for key in ("actions", "prefixes", "tables", "pointers"):
        assert described[key] == listed[key]
    (report,) = described["s3_inventories"]
    assert report["bucket"] == "bronze" and report["manifest"] == uri and report["age"] == "41 hours old"
    assert report["age_seconds"] == pytest.approx(41 * 3600, abs=600) and listed["s3_inventories"] == []
    (finding,) = [one for one in described["findings"] if one["code"] == "s3-inventory"]
    assert finding["severity"] == "info" and "41 hours old" in finding["message"]
    shown = lake.run("show", "lake.db").output
    assert f"s3://bronze/ from the S3 Inventory report of {created:%Y-%m-%d %H:%M} UTC, 41 hours old" in shown
    lake.run("migrate", "lake.db", "--yes")
    lake.run("verify", "lake.db", "--deep")
    lake.drop_old()
    assert lake.rows("db.t") == [1, 2] and lake.rows("db.u") == [1]
    assert copied_plain(lake) == plain and len(plain["raw/large.bin"]) == 2 * LARGE


def test_what_came_since_is_found_before_the_cutover_and_taken_in(lake: Lake) -> None:
    """An object written since, one that the report lacks, one changed and one deleted since: nothing is cut over. A
    later pass lists, and takes them in."""
    known = [row for row in rows_of(lake.client, "bronze") if row["Key"] != "raw/unknown.csv"]
    uri = lake.report("Parquet", rows=known)
    lake.put("raw/new.csv", b"new")
    lake.put("raw/changed.csv", b"another")
    lake.client.delete_object(Bucket="bronze", Key="raw/gone.csv")
    lake.plan(uri)
    refused = lake.run("migrate", "lake.db", "--yes", code=4).output
    assert "s3://bronze/raw/changed.csv" in refused and "s3://bronze/raw/gone.csv is gone since planning" in refused
    assert "Nothing was cut over." in refused and 'run "migrator cutover lake.db"' in " ".join(refused.split())
    assert lake.rows("db.t") == [1] and "s3://bronze" in pointer(lake)
    for key in ("raw/changed.csv", "raw/gone.csv"):  # these are as the report says again
        lake.put(key, PLAIN[key])
    lake.run("copy", "lake.db")  # makes the plan again, with a listing
    described = json.loads(lake.run("show", "lake.db", "--json").stdout)
    assert described["s3_inventories"] == []
    lake.run("cutover", "lake.db", "--quiet-for", "1s", "--yes")
    lake.run("verify", "lake.db")
    lake.drop_old()
    assert lake.rows("db.t") == [1]
    assert copied_plain(lake).keys() >= {*PLAIN, "raw/new.csv"}


def pointer(lake: Lake) -> str:
    catalog = lake.catalog()
    location = str(catalog.load_table("db.t").metadata_location)
    catalog.close()
    return location


def test_what_was_added_is_found_by_the_listing_before_the_cutover(lake: Lake) -> None:
    known = [row for row in rows_of(lake.client, "bronze") if row["Key"] != "raw/unknown.csv"]
    uri = lake.report("CSV", rows=known)
    lake.put("raw/new.csv", b"new")
    lake.plan(uri)
    refused = " ".join(lake.run("migrate", "lake.db", "--yes", code=4).output.split())
    assert "The old buckets changed since planning: 2 added" in refused and "Nothing was cut over" in refused
    assert "+ s3://bronze/raw/new.csv" in refused and "+ s3://bronze/raw/unknown.csv" in refused
    assert "This plan was made from an S3 Inventory report: plan without --inventory" in refused
    assert "s3://bronze" in pointer(lake)
    lake.run("cutover", "lake.db", "--quiet-for", "1s", "--yes")
    lake.drop_old()
    assert lake.rows("db.t") == [1] and {*PLAIN, "raw/new.csv"} <= copied_plain(lake).keys()


def test_a_cutover_alone_takes_in_what_the_report_lacks(lake: Lake) -> None:
    uri = lake.report("ORC")
    lake.put("raw/new.csv", b"new")
    lake.put("raw/changed.csv", b"another")
    lake.client.delete_object(Bucket="bronze", Key="raw/gone.csv")
    lake.plan(uri)
    lake.run("cutover", "lake.db", "--quiet-for", "1s", "--yes")
    lake.run("verify", "lake.db")
    lake.drop_old()
    plain = copied_plain(lake)
    assert plain["raw/new.csv"] == b"new" and plain["raw/changed.csv"] == b"another" and "raw/gone.csv" not in plain


def test_tables_that_the_report_knows_badly(lake: Lake) -> None:
    """One that came since, one whose files in the report are gone, and one that no catalog names."""
    catalog = lake.catalog()
    schema = pa.schema([("id", pa.int64())])
    catalog.create_table("db.stray", schema, "s3://bronze/wh/stray").append(pa.table({"id": pa.array([7], pa.int64())}))
    catalog.create_table("db.dropped", schema, "s3://bronze/wh/dropped")
    uri = lake.report("Parquet")
    catalog.load_table("db.stray").append(pa.table({"id": pa.array([8], pa.int64())}))
    catalog.drop_table("db.stray")
    catalog.drop_table("db.dropped")
    catalog.create_table("db.new", schema, "s3://bronze/elsewhere/new").append(
        pa.table({"id": pa.array([9], pa.int64())})
    )
    catalog.close()
    for key in lake.keys("bronze"):
        if key.startswith("wh/dropped/"):
            lake.client.delete_object(Bucket="bronze", Key=key)
    described = lake.plan(uri)
    assert not described["blocked"]
    assert {table["identifier"] for table in described["tables"] if table["catalog"]} == {
        "ice.db.new",
        "ice.db.t",
        "ice.db.u",
    }
    (stray,) = [table for table in described["tables"] if not table["catalog"]]
    assert stray["data_files"] == 2
    lake.run("migrate", "lake.db", "--yes")
    lake.drop_old()
    assert lake.rows("db.new") == [9] and lake.rows("db.t") == [1]


def test_a_report_in_lake_toml_for_some_folders_only(lake: Lake) -> None:
    """Rules for folders, and a report that knows more than these; the other bucket is listed."""
    uri = lake.report("CSV")
    lake.config(f'inventories = ["{uri}"]')
    text = (lake.folder / "lake.toml").read_text()
    text = text.replace('"s3://bronze/" = "bronze/"', '"s3://bronze/raw/" = "raw/"\n"s3://bronze/raw/deep/" = false')
    text = text.replace("[catalogs.ice]", "[catalogs.none]").replace("sqlite:///", "sqlite:////tmp/../")
    (lake.folder / "lake.toml").write_text(text)
    described = json.loads(lake.run("plan", "--config", "lake.toml", "-o", "some.db", "--json", code=None).stdout)
    objects = {rule["source"]: rule["objects"] for rule in described["prefixes"]}
    assert objects["s3://bronze/raw/"] == len(PLAIN) and objects["s3://gold/"] > 0
    assert [report["objects"] for report in described["s3_inventories"]] == [len(PLAIN) + 1]


def test_two_reports_of_one_bucket_each_of_some_folders(lake: Lake) -> None:
    rows = rows_of(lake.client, "bronze")
    deep = [row for row in rows if row["Key"].startswith("raw/deep/")]
    first, second = lake.report("CSV", rows=deep), lake.report("ORC", rows=[row for row in rows if row not in deep])
    assert lake.plan(first, second, lake.report("Parquet", "gold"))["actions"] == lake.plan()["actions"]


def test_reports_that_cannot_be_used(lake: Lake) -> None:
    config, uri = lake.config(), lake.report("CSV")

    def refused(*options: str) -> str:
        result = lake.run("plan", "--config", config, *options, "-o", "no.db", code=None)
        assert result.exit_code in (1, 2, 3) and not (lake.folder / "no.db").exists()
        return " ".join(result.output.split())

    other = lake.report("CSV", REPORTS, [])
    assert f"{other} is about the bucket 'reports', and no rule" in refused("--inventory", other)
    rows = rows_of(lake.client, "bronze")
    assert "has a key twice: s3://bronze/raw/a.csv" in refused(
        "--inventory", lake.report("ORC", rows=[*rows, *rows[:1]])
    )
    assert "has a key twice" in refused("--inventory", uri, "--inventory", lake.report("Parquet"))
    assert "--all-versions" in refused("--inventory", uri, "--all-versions")
    assert "is no manifest of an S3 Inventory report" in refused("--inventory", "s3://reports/")
    assert "s3://reports/none.json" in refused("--inventory", "s3://reports/none.json")


def test_old_reports_and_those_of_the_future_are_warnings(lake: Lake) -> None:
    now = datetime.now(timezone.utc)
    for created, says in ((now - timedelta(days=9), "9 days old"), (now + timedelta(days=1), "is in the future")):
        described = lake.plan(lake.report("CSV", created=created))
        (finding,) = [one for one in described["findings"] if one["code"] == "s3-inventory"]
        assert finding["severity"] == "warn" and says in finding["message"] and finding["next_move"]
        assert says in lake.run("show", "lake.db").output


def test_a_data_file_outside_of_the_tables_folders_is_named_with_the_next_move(lake: Lake) -> None:
    uri = lake.report("CSV")
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(pa.table({"id": pa.array([5], pa.int64())}), sink)
    lake.put("raw/added.parquet", sink.getvalue().to_pybytes())
    catalog = lake.catalog()
    catalog.load_table("db.t").add_files(["s3://bronze/raw/added.parquet"])
    catalog.close()
    described = lake.plan(uri, code=3)
    (finding,) = [one for one in described["findings"] if one["severity"] == "block"]
    assert finding["code"] == "missing-object" and "raw/added.parquet" in finding["message"]
    assert finding["next_move"].endswith("If it is newer than the S3 Inventory report: plan without --inventory.")
    assert not lake.plan()["blocked"]


def test_older_versions_are_not_listed_just_to_count_them(lake: Lake) -> None:
    lake.client.put_bucket_versioning(Bucket="bronze", VersioningConfiguration={"Status": "Enabled"})
    lake.put("raw/a.csv", b"newer")
    described = lake.plan(lake.report("CSV"))
    (finding,) = [one for one in described["findings"] if one["code"] == "versioned-bucket"]
    assert "nor counted" in finding["message"] and finding["severity"] == "warn"


def test_scripts_and_logs_that_changed_since_do_not_stop_the_planning(lake: Lake) -> None:
    """What planning reads of plain objects may be gone, or another, by now."""
    names = ("scripts/gone.sh", "scripts/changed.sh", "ck/offsets/0", "ck/commits/0", "out/_spark_metadata/0", "same")
    for name in names:
        lake.put(name, b"v1\n{}\naws s3 ls s3://bronze/raw/")
    uri = lake.report("ORC")
    for name in names:
        if name != "scripts/changed.sh":
            lake.client.delete_object(Bucket="bronze", Key=name)
    lake.put("scripts/changed.sh", b"aws s3 ls s3://bronze/other/")
    lake.client.create_bucket(Bucket=TARGET)
    lake.client.put_object(Bucket=TARGET, Key="bronze/same", Body=b"V1\n{}\naws s3 ls s3://bronze/raw/")
    config = lake.config()
    config.write_text(config.read_text().replace("[layout]", '[layout]\n"s3://bronze/scripts/" = "scripts/"'))
    result = lake.run("plan", "--config", config, "--inventory", uri, "-o", "odd.db", "--json", code=None)
    assert result.exit_code in (0, 3), result.output
    with closing(sqlite3.connect(lake.folder / "odd.db")) as db:
        assert db.execute("SELECT 1 FROM objects WHERE key = 'same'").fetchone() is None
