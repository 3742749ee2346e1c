"""The preflight: a missing permission is named as an S3 action, and no test object remains. The server is moto, which
refuses the requests that a test names."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSRequest, AWSResponse
from pyiceberg.catalog.sql import SqlCatalog as PyCatalog

from migrator.catalogs import sql
from migrator.catalogs.sql import SqlCatalog
from migrator.config import Settings
from migrator.plan.build import build_plan
from migrator.planfile.file import PlanFile
from migrator.progress import Progress
from migrator.store import Content, Store
from plan.handmade import blocks, places, planned, table

pytestmark = pytest.mark.slow

TARGET = "data-lake"


@pytest.fixture
def lake(mock_store: Store) -> Store:
    for bucket in ("bronze", "warehouse", TARGET):
        mock_store.create_bucket(bucket)
    for key in ("a/1", "a/2", "b/1", "plain"):
        mock_store.put("bronze", key, Content(b"x", ""))
    return mock_store


class Raw(io.BytesIO):
    """A body as botocore reads it."""

    def stream(self, **_: Any) -> list[bytes]:
        return [self.read()]


def refuse(
    store: Store,
    operation: str,
    matches: Callable[[AWSRequest], bool] = lambda request: True,
    *,
    code: str = "AccessDenied",
    status: int = 403,
) -> list[str]:
    """From now on the server refuses these requests. Returns a list that gets the URL of each of them."""
    refused: list[str] = []

    def answer(request: AWSRequest, **_: Any) -> AWSResponse | None:
        if not matches(request):
            return None
        refused.append(request.url)
        body = f"<Error><Code>{code}</Code><Message>{code} by the test</Message></Error>".encode()
        return AWSResponse(request.url, status, {"Content-Type": "application/xml"}, Raw(body))

    store.client.meta.events.register_first(f"before-send.s3.{operation}", answer)
    return refused


def requests(store: Store) -> list[str]:
    """A list that gets the name of each operation from now on."""
    seen: list[str] = []
    store.client.meta.events.register("before-send.s3", lambda event_name, **_: seen.append(event_name.split(".")[-1]))
    return seen


def of(bucket: str) -> Callable[[AWSRequest], bool]:
    return lambda request: f"/{bucket}/" in request.url or f"//{bucket}." in request.url


def traces(store: Store) -> dict[str, Any]:
    """Everything that exists at the target: versions, delete markers and uploads."""
    client = store.client
    found = client.list_object_versions(Bucket=TARGET)
    uploads = client.list_multipart_uploads(Bucket=TARGET)
    return {
        "versions": found.get("Versions", []),
        "markers": found.get("DeleteMarkers", []),
        "uploads": uploads.get("Uploads", []),
    }


def finding(described: dict[str, Any], code: str) -> dict[str, Any]:
    (found,) = [f for f in described["findings"] if f["code"] == code]
    return dict(found)


TAGGED: Callable[[AWSRequest], bool] = lambda request: "x-amz-tagging" in {k.lower() for k in request.headers}  # noqa: E731


@pytest.mark.parametrize(
    ("operation", "matches", "action", "bucket"),
    [
        ("PutObject", of(TARGET), "s3:PutObject", TARGET),
        ("PutObject", TAGGED, "s3:PutObjectTagging", TARGET),
        ("CreateMultipartUpload", of(TARGET), "s3:PutObject", TARGET),
        ("AbortMultipartUpload", of(TARGET), "s3:AbortMultipartUpload", TARGET),
        ("DeleteObject", of(TARGET), "s3:DeleteObject", TARGET),
        ("GetObject", of("bronze"), "s3:GetObject", "bronze"),
    ],
)
def test_a_missing_permission_blocks_and_is_named(
    lake: Store, tmp_path: Path, operation: str, matches: Callable[[AWSRequest], bool], action: str, bucket: str
) -> None:
    refuse(lake, operation, matches)
    described = planned(lake, tmp_path)
    found = finding(described, "missing-permission")
    assert f"the permission {action}" in found["message"] and f"arn:aws:s3:::{bucket}/*" in found["message"]
    assert found["place"].startswith(f"s3://{bucket}/") and "--no-preflight" in found["next_move"]
    assert blocks(described) == ["missing-permission"]
    (tmp_path / "unchecked").mkdir()
    assert not planned(lake, tmp_path / "unchecked", preflight=False)["blocked"]


@pytest.mark.parametrize("versions", ["", "Enabled", "Suspended"])
def test_no_trace_is_left(lake: Store, tmp_path: Path, versions: str) -> None:
    if versions:
        lake.client.put_bucket_versioning(Bucket=TARGET, VersioningConfiguration={"Status": versions})
    lake.put("bronze", "odd/x//y", Content(b"x", "", {"StorageClass": "STANDARD_IA"}))
    lake.put(TARGET, "theirs", Content(b"x", ""))
    before, seen = traces(lake), requests(lake)
    described = planned(lake, tmp_path)
    assert not described["blocked"] and not places(described, "preflight-incomplete")
    assert traces(lake) == before and seen.count("PutObject") == 4  # plain, with tags, in a class, with an odd key


def test_a_target_that_keeps_everything_is_not_written_to(lake: Store, tmp_path: Path) -> None:
    client = lake.client
    client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}}
    client.put_object_lock_configuration(
        Bucket="locked", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule}
    )
    described = planned(lake, tmp_path, target_bucket="locked")
    assert "locks new objects" in finding(described, "preflight-incomplete")["message"]
    assert not list(lake.list("locked"))


def test_a_missing_target_is_not_created_but_its_server_is_asked(lake: Store, tmp_path: Path) -> None:
    lake.client.delete_bucket(Bucket=TARGET)
    assert not planned(lake, tmp_path)["blocked"] and not lake.bucket_exists(TARGET)
    lake.put("bronze", "cold", Content(b"x", "", {"StorageClass": "STANDARD_IA"}))
    refuse(lake, "PutObject", lambda r: "x-amz-storage-class" in r.headers, code="InvalidStorageClass", status=400)
    (tmp_path / "two").mkdir()
    assert blocks(planned(lake, tmp_path / "two")) == ["storage-class-refused"]
    assert not lake.bucket_exists(TARGET)


def test_tags_that_may_not_be_read_block_or_are_left_out(lake: Store, tmp_path: Path) -> None:
    lake.put("bronze", "a/1", Content(b"x", "", {"Tagging": "team=bi"}))
    refuse(lake, "GetObjectTagging", of("bronze"))
    described = planned(lake, tmp_path)
    found = finding(described, "tags-unreadable")
    assert blocks(described) == ["tags-unreadable"] and "s3:GetObjectTagging" in found["message"]
    assert '[plan] accept = ["tags-unreadable"]' in found["next_move"]
    (tmp_path / "two").mkdir()
    described = planned(lake, tmp_path / "two", accept=("tags-unreadable",))
    assert finding(described, "tags-unreadable")["severity"] == "warn" and not described["blocked"]
    with PlanFile.open(tmp_path / "two" / "plan.db") as plan:
        assert plan.header()["left_out"] == '["tags"]'


def test_what_is_left_out_is_not_asked_for_and_not_copied(lake: Store) -> None:
    lake.put("bronze", "t", Content(b"x", "", {"Tagging": "team=bi", "StorageClass": "STANDARD_IA"}))
    without = Store(left_out=("tags", "STANDARD_IA"))
    asked = requests(without)
    (stored,) = [o for o in without.list("bronze") if o.key == "t"]
    without.copy("bronze", stored, TARGET, "t")
    assert lake.tagging(TARGET, "t") == ""
    assert without.attributes("bronze", "t", stored.etag).keys() & {"Tagging", "StorageClass"} == set()
    assert without.get("bronze", "t").attributes.keys() & {"Tagging", "StorageClass"} == set()
    assert "GetObjectTagging" not in asked and without.connection["left_out"] == ("tags", "STANDARD_IA")


def test_a_storage_class_that_the_target_refuses(lake: Store, tmp_path: Path) -> None:
    for key in ("c/1", "c/2"):
        lake.put("bronze", key, Content(b"x", "", {"StorageClass": "STANDARD_IA"}))
    lake.put("bronze", "d/1", Content(b"x", "", {"StorageClass": "ONEZONE_IA"}))
    ia: Callable[[AWSRequest], bool] = lambda r: r.headers.get("x-amz-storage-class") in ("STANDARD_IA", b"STANDARD_IA")  # noqa: E731
    refuse(lake, "PutObject", ia, code="InvalidStorageClass", status=400)
    described = planned(lake, tmp_path)
    found = finding(described, "storage-class-refused")
    assert "STANDARD_IA" in found["message"] and found["count"] == 2 and found["severity"] == "block"
    (tmp_path / "two").mkdir()
    assert not planned(lake, tmp_path / "two", accept=("storage-class-refused",))["blocked"]
    with PlanFile.open(tmp_path / "two" / "plan.db") as plan:
        classes = {o.key: o.storage_class for o in plan.objects("key > 'c' ")}
    assert classes == {"c/1": "STANDARD", "c/2": "STANDARD", "d/1": "ONEZONE_IA", "plain": "STANDARD"}


def test_keys_that_the_target_refuses_can_be_left_out_as_advised(lake: Store, tmp_path: Path) -> None:
    for key in ("x/y//1", "x/y//2", "x/./1"):
        lake.put("bronze", key, Content(b"x", ""))
    refuse(lake, "PutObject", lambda r: ".migrator/" in r.url and "a//b" in r.url, code="InvalidObjectName", status=400)
    described = planned(lake, tmp_path)
    found = finding(described, "key-refused")
    assert found["count"] == 2 and found["place"] == "s3://bronze/x/y//1"
    assert '"s3://bronze/x/y/" = false' in found["next_move"]


@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("OperationAborted", 409)])
def test_what_could_not_be_tried_is_said_and_does_not_block(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    monkeypatch.setattr("migrator.store.outage.PATIENCE", 0.0)
    refuse(lake, "PutObject", of(TARGET), code=code, status=status)
    refuse(lake, "GetObject", of("bronze"), code=code, status=status)
    described = planned(lake, tmp_path)
    assert not described["blocked"]
    assert {place.split("/")[2] for place in places(described, "preflight-incomplete")} == {TARGET, "bronze"}


def test_an_object_that_is_gone_and_a_server_without_tags_are_no_missing_permission(
    lake: Store, tmp_path: Path
) -> None:
    refuse(lake, "GetObject", of("bronze"), code="NoSuchKey", status=404)
    refuse(lake, "GetObjectTagging", of("bronze"), code="NotImplemented", status=501)
    described = planned(lake, tmp_path)
    assert not described["blocked"] and not places(described, "preflight-incomplete")


def test_the_requests_are_few_however_many_objects_there_are(lake: Store, tmp_path: Path) -> None:
    for number in range(200):
        lake.put("bronze", f"many/{number % 40}/{number}", Content(b"x", ""))
    seen = requests(lake)
    planned(lake, tmp_path)
    assert seen.count("GetObjectTagging") <= 10 and seen.count("PutObject") == 2


def test_what_is_not_to_be_written_is_not_tried(lake: Store, tmp_path: Path) -> None:
    planned(lake, tmp_path, layout={"s3://bronze/": False})
    seen = requests(lake)
    (tmp_path / "two").mkdir()
    planned(lake, tmp_path / "two", layout={"s3://bronze/": False})
    assert "PutObject" not in seen and "GetObjectTagging" not in seen


@pytest.mark.parametrize("state", ["writable", "read-only", "held"])
def test_a_catalog_is_tried_and_left_as_it_was(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    database = tmp_path / "catalog.db"
    uri = f"sqlite:///{database}"
    py = PyCatalog("c", uri=uri, warehouse="s3://warehouse/wh")
    py.create_namespace("db")
    with sqlite3.connect(database) as db:
        row = ("c", "db", "t", "s3://bronze/t/metadata/00000-a.metadata.json", None, "TABLE")
        columns = (
            "catalog_name, table_namespace, table_name, metadata_location, previous_metadata_location, iceberg_type"
        )
        db.execute(f"INSERT INTO iceberg_tables ({columns}) VALUES (?, ?, ?, ?, ?, ?)", row)
    db.close()
    py.engine.dispose()
    table(lake)
    if state == "read-only":  # root may write to any file, but not to such a database
        real = sql.engine_for
        monkeypatch.setattr(sql, "engine_for", lambda name, url, write: real(name, url, write=False))
    monkeypatch.setattr("migrator.catalogs.databases.LOCK_SECONDS", 0)
    catalog = SqlCatalog("c", uri)
    holder = sqlite3.connect(database, isolation_level=None)
    if state == "held":
        holder.execute("BEGIN IMMEDIATE")
    before = database.read_bytes()
    settings = Settings(layout={"s3://bronze/": "bronze/", "s3://warehouse/": "warehouse/"})
    build_plan(tmp_path / "p.db", settings, lake, {"c": catalog}, Progress())
    with PlanFile.open(tmp_path / "p.db") as plan:
        codes = {f.code: f.severity for f in plan.findings()}
    assert codes.get("catalog-read-only") == ("block" if state == "read-only" else None)
    assert codes.get("preflight-incomplete") == ("warn" if state == "held" else None)
    holder.close()
    catalog.close()
    assert database.read_bytes() == before


@pytest.mark.parametrize("how", ["refused", "hidden", "taken"])
def test_an_object_below_an_object(lake: Store, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MinIO accepts ``k/sub`` next to ``k`` and never lists it; versitygw refuses it."""
    for key in ("x/k", "x/k/sub"):
        lake.put("bronze", key, Content(b"x", ""))
    if how == "refused":
        refuse(lake, "PutObject", lambda r: r.url.endswith("/k/sub"), code="ObjectParentIsFile", status=400)
    elif how == "hidden":
        monkeypatch.setattr("migrator.plan.preflight.Rights.listed", lambda *_: False)
    before = traces(lake)
    described = planned(lake, tmp_path)
    assert traces(lake) == before and blocks(described) == ([] if how == "taken" else ["key-refused"])
    if how != "taken":
        found = finding(described, "key-refused")
        assert found["place"] == "s3://bronze/x/k" and '"s3://bronze/x/k/" = false' in found["next_move"]
