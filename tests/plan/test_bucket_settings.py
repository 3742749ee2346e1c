"""What a plan says about the buckets' settings. The server is moto, which knows most of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from migrator.store import Store
from migrator.store.bucket_settings import SETTINGS
from plan.handmade import planned, put
from plan.test_preflight import refuse

CODES = ("bucket-settings", "settings-unread", "target-expires", "target-not-encrypted")
ALL_BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
KMS = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "arn:aws:kms:us-east-1:1:key/k"}


@pytest.fixture
def filled(lake: Store) -> Store:
    put(lake, "s3://bronze/raw/a", b"a")
    put(lake, "s3://warehouse/b", b"b")
    return lake


def said(described: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    return [(f["code"], f["severity"], f["place"], f["message"]) for f in described["findings"] if f["code"] in CODES]


def set_everything(client: Any, bucket: str) -> None:
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*",
         "Condition": {"StringEquals": {"aws:Referer": "a-secret"}}}]}))  # fmt: skip
    client.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=ALL_BLOCKED)
    client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    client.put_bucket_ownership_controls(
        Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    expire(client, bucket, "logs/")
    encrypt(client, bucket, {"SSEAlgorithm": "AES256"})
    client.put_bucket_cors(
        Bucket=bucket, CORSConfiguration={"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}
    )
    client.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "team", "Value": "a-secret"}]})
    client.put_bucket_website(Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}})
    client.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={
            "QueueConfigurations": [{"QueueArn": "arn:aws:sqs:us-east-1:1:a-secret", "Events": ["s3:ObjectCreated:*"]}]
        },
    )


def expire(client: Any, bucket: str, prefix: str, days: int = 30) -> None:
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": prefix}, "Expiration": {"Days": days}}
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})


def encrypt(client: Any, bucket: str, default: dict[str, str]) -> None:
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    client.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


@pytest.mark.parametrize("target", [True, False])
def test_buckets_as_they_are_made_have_nothing_to_say(filled: Store, tmp_path: Path, target: bool) -> None:
    if not target:
        filled.client.delete_bucket(Bucket="data-lake")
    assert said(planned(filled, tmp_path)) == []


def test_settings_are_named_per_bucket_in_one_finding(filled: Store, tmp_path: Path) -> None:
    set_everything(filled.client, "bronze")
    described = planned(filled, tmp_path)
    assert not described["blocked"] and "a-secret" not in json.dumps(described)
    (settings, encryption) = sorted(said(described))
    assert settings[:3] == ("bucket-settings", "info", "s3://bronze/")
    for words in (
        "policy: 1 statement (everyone may s3:GetObject, on conditions)", "public access block: on",
        "ACL: everyone READ", "object ownership: ObjectWriter", "lifecycle: 1 rule (expire logs/ after 30 days)",
        "encryption: SSE-S3", "notifications: 1 (to a queue on s3:ObjectCreated:*)",
        "CORS: 1 rule (GET from any origin)", "tags: team",
        "website: serves pages",
    ):  # fmt: skip
        assert words in settings[3], words
    assert encryption[:3] == ("target-not-encrypted", "warn", "s3://bronze/")


def test_what_the_target_has_as_well_is_not_named(filled: Store, tmp_path: Path) -> None:
    for bucket in ("bronze", "data-lake"):
        set_everything(filled.client, bucket)
    (found,) = said(planned(filled, tmp_path))
    assert found[0] == "bucket-settings"
    assert not [word for word in ("public access", "ownership", "encryption", "CORS", "tags") if word in found[3]]
    assert "lifecycle" in found[3] and "policy" in found[3]


@pytest.mark.parametrize(
    ("source", "target", "warned"),
    [
        ({"SSEAlgorithm": "AES256"}, None, True),
        (KMS, None, True),
        (KMS, {"SSEAlgorithm": "AES256"}, True),
        ({"SSEAlgorithm": "AES256"}, KMS, False),
        (KMS, {**KMS, "KMSMasterKeyID": "other"}, False),
        (None, {"SSEAlgorithm": "AES256"}, False),
    ],
)
def test_a_target_that_encrypts_less_is_a_warning(
    filled: Store, tmp_path: Path, source: dict[str, str] | None, target: dict[str, str] | None, warned: bool
) -> None:
    for bucket, default in (("bronze", source), ("data-lake", target)):
        if default:
            encrypt(filled.client, bucket, default)
    found = [finding for finding in said(planned(filled, tmp_path)) if finding[0] == "target-not-encrypted"]
    assert [finding[2] for finding in found] == (["s3://bronze/"] if warned else [])


def test_encryption_of_a_target_that_is_still_to_be_made(filled: Store, tmp_path: Path) -> None:
    """moto goes by AWS's endpoint, where new buckets encrypt with keys of the server's."""
    filled.client.delete_bucket(Bucket="data-lake")
    encrypt(filled.client, "bronze", {"SSEAlgorithm": "AES256"})
    encrypt(filled.client, "warehouse", KMS)
    found = [finding for finding in said(planned(filled, tmp_path)) if finding[0] == "target-not-encrypted"]
    assert [finding[2] for finding in found] == ["s3://warehouse/"] and "does not exist yet" in found[0][3]


@pytest.mark.parametrize(
    ("prefix", "count"), [("", 2), ("bronze/", 1), ("bronze/raw/", 1), ("b", 1), ("other/", 0), ("bronze/tmp/", 0)]
)
def test_a_target_that_would_delete_copies_is_a_warning(filled: Store, tmp_path: Path, prefix: str, count: int) -> None:
    expire(filled.client, "data-lake", prefix, 1)
    found = said(planned(filled, tmp_path))
    assert [finding[:3] for finding in found] == [("target-expires", "warn", f"s3://data-lake/{prefix}")] * bool(count)
    assert not count or (f"applies to {count} cop" in found[0][3] and "deletes objects after 1 day" in found[0][3])


def test_what_may_not_be_read_is_one_finding_per_bucket(filled: Store, tmp_path: Path) -> None:
    for operation in ("GetBucketPolicy", "GetBucketLifecycleConfiguration", "GetBucketEncryption", "GetBucketCors"):
        for bucket in ("bronze", "data-lake"):
            refuse(filled, operation, lambda request, bucket=bucket: f"/{bucket}?" in request.url)
    described = planned(filled, tmp_path)
    assert not described["blocked"]
    bronze, target = sorted(said(described), key=lambda finding: finding[2])
    assert [finding[:3] for finding in (bronze, target)] == [
        ("settings-unread", "info", "s3://bronze/"),
        ("settings-unread", "warn", "s3://data-lake/"),
    ]
    assert "policy (s3:GetBucketPolicy is not allowed), lifecycle (s3:GetLifecycleConfiguration" in bronze[3]


@pytest.mark.parametrize(("code", "status"), [("NotImplemented", 501), ("MethodNotAllowed", 405), ("Whatever", 400)])
def test_a_server_that_knows_no_settings_has_none(filled: Store, tmp_path: Path, code: str, status: int) -> None:
    set_everything(filled.client, "bronze")
    asked = refuse(filled, "*", lambda r: "/bronze?" in r.url and "=" not in r.url, code=code, status=status)
    assert said(planned(filled, tmp_path)) == [] and len(asked) >= len(SETTINGS)
