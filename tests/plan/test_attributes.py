"""Attributes of objects that their copies would lack: archives, tiers, locks, access control lists, keys of their
owners."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from migrator.plan import attributes
from migrator.planfile.file import PlanFile
from migrator.store import Content, Store
from plan.handmade import blocks, migrated, planned
from plan.test_preflight import finding, of, refuse, requests

pytestmark = pytest.mark.slow

SOON = datetime.now(timezone.utc) + timedelta(days=1)


@pytest.fixture
def lake(mock_store: Store) -> Store:
    for bucket in ("bronze", "warehouse", "data-lake"):
        mock_store.create_bucket(bucket)
    return mock_store


def put(lake: Store, key: str, **more: Any) -> None:
    lake.client.put_object(Bucket="bronze", Key=key, Body=key.encode(), **more)


def folder(path: Path, name: str) -> Path:
    (path / name).mkdir()
    return path / name


@pytest.mark.parametrize("storage_class", ["GLACIER", "DEEP_ARCHIVE"])
@pytest.mark.parametrize("versions", [False, True])
def test_an_archived_object_blocks_until_it_is_restored(
    lake: Store, tmp_path: Path, storage_class: str, versions: bool
) -> None:
    client = lake.client
    if versions:
        for bucket in ("bronze", "data-lake"):
            client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(lake, "2019/app.log", StorageClass=storage_class)
    if versions:
        put(lake, "2019/app.log")  # then the archived one is an older version
    first = planned(lake, tmp_path, all_versions=versions)
    found = finding(first, "archived-object")
    assert blocks(first) == ["archived-object"] and "s3://bronze/2019/app.log" in found["place"]
    assert '"s3://bronze/2019/" = false' in found["next_move"]
    if versions:
        restored(lake)
    else:
        client.restore_object(Bucket="bronze", Key="2019/app.log", RestoreRequest={"Days": 7})
    second = folder(tmp_path, "second")
    described = planned(lake, second, all_versions=versions)
    assert not described["blocked"] and finding(described, "restored-object")["severity"] == "info"
    with PlanFile.open(second / "plan.db") as plan:
        assert plan.header()["left_out"] == '["GLACIER", "DEEP_ARCHIVE"]'
        classes = {
            row[0] for table in ("objects", "versions") for row in plan.db.execute(f"SELECT storage_class FROM {table}")
        }
        assert classes == {"STANDARD"}
    if not versions:
        migrated(Store(left_out=("GLACIER", "DEEP_ARCHIVE")), second)
        assert lake.get("data-lake", "bronze/2019/app.log").data == b"2019/app.log"
        assert lake.head("data-lake", "bronze/2019/app.log").storage_class == "STANDARD"


def restored(lake: Store) -> None:
    """moto does not restore a version."""

    def add(parsed: dict[str, Any], **_: object) -> None:
        parsed["ResponseMetadata"]["HTTPHeaders"]["x-amz-restore"] = 'ongoing-request="false"'

    lake.client.meta.events.register("after-call.s3.HeadObject", add)


def test_many_archived_objects_are_counted_and_not_all_asked(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attributes, "WORKERS", 1)
    for number in range(100):
        put(lake, f"{number:03}", StorageClass="GLACIER")
    asked = requests(lake)
    described = planned(lake, tmp_path)
    found = [f for f in described["findings"] if f["code"] == "archived-object"]
    assert len(found) == 20 and sum(f["count"] for f in found) == 100
    assert asked.count("HeadObject") < 50


def test_a_tier_of_the_servers_own_is_never_asked_for(lake: Store, tmp_path: Path) -> None:
    put(lake, "warm")
    lake.client.meta.events.register(  # MinIO names the tier in listings
        "after-call.s3.ListObjectsV2",
        lambda parsed, **_: [entry.update(StorageClass="WARM-TIER") for entry in parsed.get("Contents", [])],
    )
    refuse(lake, "PutObject", lambda r: "x-amz-storage-class" in r.headers, code="InvalidStorageClass", status=400)
    described = planned(lake, tmp_path)
    assert not described["blocked"] and "WARM-TIER" in finding(described, "server-tier")["message"]
    with PlanFile.open(tmp_path / "plan.db") as plan:
        assert plan.header()["left_out"] == '["WARM-TIER"]'
        assert [found.storage_class for found in plan.objects()] == ["STANDARD"]


@pytest.mark.parametrize(
    ("source", "default", "target", "said"),
    [
        ("aws:kms", None, None, "aws:kms"),
        ("AES256", None, None, "AES256"),
        ("aws:kms", None, "AES256", "aws:kms"),
        ("aws:kms:dsse", None, "AES256", "aws:kms:dsse"),
        ("aws:kms", "AES256", "AES256", "aws:kms"),
        ("aws:kms", "aws:kms", None, "by default"),
        ("AES256", None, "AES256", ""),
        ("aws:kms", None, "aws:kms", ""),
    ],
)
def test_objects_that_are_encrypted_on_their_own_are_named_if_the_target_encrypts_less(
    lake: Store, tmp_path: Path, source: str, default: str | None, target: str | None, said: str
) -> None:
    """Encryption is not copied: the target's default applies."""
    put(lake, "secret", ServerSideEncryption=source)
    put(lake, "plain")
    for bucket, algorithm in (("bronze", default), ("data-lake", target)):
        if algorithm:
            rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": algorithm}}]
            lake.client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    described = planned(lake, tmp_path)
    found = [f for f in described["findings"] if f["code"] == "target-not-encrypted"]
    assert [(f["place"], f["severity"], said in f["message"]) for f in found] == (
        [("s3://bronze/", "warn", True)] if said else []
    )
    assert not described["blocked"]
    if said in ("aws:kms", "AES256") and not default:
        assert "1 of its 2 objects" in found[0]["message"] and "'secret'" in found[0]["message"]


LOCKS = {
    "retention": {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": SOON},
    "legal hold": {"ObjectLockLegalHoldStatus": "ON"},
}


@pytest.mark.parametrize("kind", LOCKS)
def test_locks_are_named_and_must_be_accepted(lake: Store, tmp_path: Path, kind: str) -> None:
    locked = {"layout": {"s3://vault/": "vault/"}}
    lake.client.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True)
    lake.client.put_object(Bucket="vault", Key="free", Body=b"x")
    assert not planned(lake, folder(tmp_path, "free"), **locked)["blocked"]
    lake.client.put_object(Bucket="vault", Key="held", Body=b"x", ChecksumAlgorithm="SHA256", **LOCKS[kind])
    found = finding(planned(lake, folder(tmp_path, "held"), **locked), "object-lock")
    assert (found["severity"], found["place"]) == ("block", "s3://vault/") and "1 of its 2 objects" in found["message"]
    assert '[plan] accept = ["object-lock"]' in found["next_move"]
    assert not planned(lake, folder(tmp_path, "accepted"), **locked, accept=("object-lock",))["blocked"]


def test_locks_are_carried_where_the_target_can_hold_them(lake: Store, tmp_path: Path) -> None:
    carried: dict[str, Any] = {"layout": {"s3://vault/": "vault/"}, "object_lock": True}
    client, denied = lake.client, False
    refuse(lake, "GetObjectRetention", lambda request: denied)
    for operation in ("GetObjectRetention", "GetObjectLegalHold"):  # moto fails at these
        refuse(lake, operation, code="NoSuchObjectLockConfiguration", status=404)
    client.create_bucket(Bucket="vault", ObjectLockEnabledForBucket=True)
    client.put_object(Bucket="vault", Key="held", Body=b"x", ChecksumAlgorithm="SHA256", **LOCKS["retention"])
    found = finding(planned(lake, folder(tmp_path, "without"), **carried), "object-lock")
    assert found["severity"] == "block" and "made without object lock" in found["message"]
    accepted = folder(tmp_path, "accepted")
    assert not planned(lake, accepted, **carried, accept=("object-lock",))["blocked"]
    client.create_bucket(Bucket="held", ObjectLockEnabledForBucket=True)
    for name, target in (("with", "held"), ("new", "not-there-yet")):
        described = planned(lake, folder(tmp_path, name), **carried, target_bucket=target)
        assert not described["blocked"] and described["object_lock"]
    for name, locks in (("accepted", "false"), ("with", "true"), ("new", "true")):
        with PlanFile.open(tmp_path / name / "plan.db") as plan:
            assert plan.header()["locks"] == locks, name
    denied = True
    described = planned(lake, folder(tmp_path, "denied"), **carried, target_bucket="held")
    assert blocks(described) == ["missing-permission"]
    assert "s3:GetObjectRetention" in finding(described, "missing-permission")["message"]


@pytest.mark.parametrize("acl", ["public-read", "authenticated-read"])
def test_access_control_lists_are_named_and_must_be_accepted(lake: Store, tmp_path: Path, acl: str) -> None:
    put(lake, "mine", ACL="private")
    assert not planned(lake, folder(tmp_path, "private"))["blocked"]
    put(lake, "logo.svg", ACL=acl)
    found = finding(planned(lake, folder(tmp_path, "shared")), "object-acls")
    assert (found["severity"], found["place"]) == ("block", "s3://bronze/") and "logo.svg" in found["message"]
    assert '[plan] accept = ["object-acls"]' in found["next_move"]
    assert not planned(lake, folder(tmp_path, "accepted"), accept=("object-acls",))["blocked"]
    controls = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    lake.client.put_bucket_ownership_controls(Bucket="bronze", OwnershipControls=controls)
    asked = requests(lake)
    assert not planned(lake, folder(tmp_path, "enforced"))["blocked"] and "GetObjectAcl" not in asked


def test_a_sample_is_said_to_be_one(lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "SAMPLE", 3)
    for number in range(10):
        put(lake, f"{number}")
    asked = requests(lake)
    found = finding(planned(lake, tmp_path), "object-acls")
    assert found["severity"] == "warn" and "none of a sample of 3 of its 10 objects" in found["message"]
    assert asked.count("GetObjectAcl") == 3


def test_an_object_with_a_key_of_its_owners_blocks(lake: Store, tmp_path: Path) -> None:
    put(lake, "secret/a")
    put(lake, "plain")
    refuse(lake, "HeadObject", lambda request: "secret" in request.url, code="400", status=400)
    described = planned(lake, folder(tmp_path, "other"))
    assert not described["blocked"] and "customer-key" not in {f["code"] for f in described["findings"]}
    said = "InvalidRequest: The object was stored using a form of Server Side Encryption."
    refuse(lake, "GetObject", lambda request: "secret" in request.url, code=said, status=400)
    found = finding(planned(lake, folder(tmp_path, "sse-c")), "customer-key")
    assert (found["severity"], found["place"]) == ("block", "s3://bronze/secret/a")
    assert '"s3://bronze/secret/" = false' in found["next_move"]


@pytest.mark.parametrize("operation", ["GetObjectLockConfiguration", "GetBucketOwnershipControls", "GetObjectAcl"])
@pytest.mark.parametrize(
    ("code", "status"), [("AccessDenied", 403), ("NotImplemented", 501), ("MethodNotAllowed", 405)]
)
def test_a_bucket_that_cannot_be_asked(lake: Store, tmp_path: Path, operation: str, code: str, status: int) -> None:
    """If the request is denied, the plan says so. A server that does not know the request has no such attribute."""
    put(lake, "a")
    refuse(lake, operation, of("bronze") if operation == "GetObjectAcl" else lambda request: "bronze" in request.url,
           code=code, status=status)  # fmt: skip
    described = planned(lake, tmp_path)
    said = [f for f in described["findings"] if f["code"] == "unchecked-bucket"]
    assert bool(said) == (code == "AccessDenied") and not described["blocked"]


@pytest.mark.parametrize("more", [{"Expires": SOON}, {"WebsiteRedirectLocation": "/elsewhere"}, {}])
def test_a_bucket_whose_copies_would_lose_headers_is_asked(lake: Store, tmp_path: Path, more: dict[str, Any]) -> None:
    put(lake, "a", **more)
    lake.put("warehouse", "b", Content(b"x", ""))
    assert not planned(lake, tmp_path)["blocked"]
    with PlanFile.open(tmp_path / "plan.db") as plan:
        assert plan.header()["asked"] == ('["bronze"]' if more else "[]")
