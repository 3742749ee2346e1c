"""Documents of settings: everything that is set can be read again, and settings that boto3 would lose are named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from migrator.errors import StoreError
from migrator.settings.compare import same
from migrator.settings.kinds import TRANSLATED, VERSIONING
from migrator.store import Store
from migrator.store.setting_documents import ACTIONS, read_all, read_document, write_document

DOCUMENTS: dict[str, Any] = {
    "policy": {"Policy": json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b-1/x/*"}]})},
    "lifecycle": {"Rules": [{"ID": "r", "Status": "Enabled", "Filter": {"Prefix": "x/"}, "Expiration": {"Days": 3}}]},
    "encryption": {"ServerSideEncryptionConfiguration": {"Rules": [
        {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}},
    "versioning": {"Status": "Enabled"},
    "tags": {"TagSet": [{"Key": "a", "Value": "b"}]},
    "CORS": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]},
    "notifications": {"QueueConfigurations": [
        {"Id": "q", "QueueArn": "arn:aws:sqs:us-east-1:1:q", "Events": ["s3:ObjectCreated:*"]}]},
}  # fmt: skip


@pytest.fixture
def store(mock_store: Store) -> Store:
    mock_store.create_bucket("b-1")
    return mock_store


@pytest.mark.parametrize("setting", DOCUMENTS)
def test_what_is_written_is_read_and_removed(store: Store, setting: str) -> None:
    assert read_document(store, "b-1", setting) is None
    write_document(store, "b-1", setting, DOCUMENTS[setting])
    assert same(setting, read_document(store, "b-1", setting), DOCUMENTS[setting])
    assert same(setting, read_all(store, ["b-1"])["b-1"].found[setting], DOCUMENTS[setting])
    write_document(store, "b-1", setting, None)
    left = read_document(store, "b-1", setting)
    assert left == ({"Status": "Suspended"} if setting == VERSIONING else None)


def test_object_lock(store: Store) -> None:
    store.client.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
    wanted = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", "Rule": rule}}
    write_document(store, "locked", "object lock", wanted)
    assert same("object lock", read_document(store, "locked", "object lock"), wanted)


def test_every_translated_setting_can_be_written() -> None:
    assert {*ACTIONS} == {*TRANSLATED} == {*DOCUMENTS, "object lock"}


def test_what_boto3_does_not_know_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix>x/</Prefix></Filter>"
        "<Expiration><Days>3</Days><ExpiredObjectAllVersions>true</ExpiredObjectAllVersions></Expiration>"
        "<m:DelMarkerExpiration xmlns:m='x'><Days>1</Days></m:DelMarkerExpiration></Rule></LifecycleConfiguration>"
    )

    class Raw:
        def stream(self, **_: Any) -> list[bytes]:
            return [text.encode()]

    answer = AWSResponse("http://x", 200, {}, Raw())
    store.client.meta.events.register("before-send.s3.GetBucketLifecycleConfiguration", lambda **_: answer)
    with pytest.raises(StoreError, match="DelMarkerExpiration, ExpiredObjectAllVersions, which migrator does not know"):
        read_document(store, "b-1", "lifecycle")
    assert "DelMarkerExpiration" in read_all(store, ["b-1"])["b-1"].unread["lifecycle"]


def test_what_is_not_allowed_is_named(store: Store) -> None:
    denied = AWSResponse("http://x", 403, {}, _Denied())
    store.client.meta.events.register("before-send.s3.GetBucketTagging", lambda **_: denied)
    assert read_all(store, ["b-1"])["b-1"].unread == {"tags": "s3:GetBucketTagging is not allowed"}


class _Denied:
    def stream(self, **_: Any) -> list[bytes]:
        return [b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"]


def test_a_listing_is_no_policy(store: Store) -> None:
    class Listing:
        def stream(self, **_: Any) -> list[bytes]:
            return [b"<ListBucketResult><Name>b-1</Name></ListBucketResult>"]

    answer = AWSResponse("http://x", 200, {}, Listing())
    store.client.meta.events.register("before-send.s3.GetBucketPolicy", lambda **_: answer)
    assert read_document(store, "b-1", "policy") is None
