"""The settings of a bucket in a few words, for any answer of a server, and without secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrator.inventory.bucket_settings import encryption_of, endings, strength_of, words_for

RULES: list[dict[str, Any]] = [
    {"Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 30}},
    {"Status": "Enabled", "Filter": {}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
]


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Policy": json.dumps({"Statement": list(statements)})}


@pytest.mark.parametrize(
    ("name", "document", "words"),
    [
        ("lifecycle", {"Rules": RULES}, "2 rules (expire logs/ after 30 days; abort uploads after 7 days)"),
        (
            "lifecycle",
            {"Rules": [{"Status": "Disabled", "Prefix": "a/", "Expiration": {"Days": 1}}]},
            "1 rule (1 disabled)",
        ),
        (
            "lifecycle",
            {
                "Rules": [
                    {
                        "Status": "Enabled",
                        "Filter": {"And": {"Prefix": "a/", "Tags": [{"Key": "k", "Value": "secret"}]}},
                        "Transitions": [{"Days": 1, "StorageClass": "GLACIER"}],
                        "NoncurrentVersionExpiration": {"NoncurrentDays": 3},
                    }
                ]
            },
            "1 rule (move a/ of some tags or sizes to GLACIER after 1 day; older versions of a/ of some tags or sizes)",
        ),
        ("policy", policy({"Effect": "Allow", "Principal": {"AWS": "arn:1"}, "Action": "s3:*"}), "1 statement"),
        (
            "policy",
            policy({"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Condition": {"S": "secret"}}),
            "1 statement (everyone may s3:GetObject, on conditions)",
        ),
        ("public access block", {"PublicAccessBlockConfiguration": dict.fromkeys("abcd", True)}, "on"),
        ("public access block", {"PublicAccessBlockConfiguration": {"BlockPublicAcls": False}}, ""),
        (
            "ACL",
            {"Owner": {"ID": "o"}, "Grants": [{"Grantee": {"ID": "o"}, "Permission": "FULL_CONTROL"}]},
            "",
        ),
        ("ACL", {"Owner": {}, "Grants": [{"Grantee": {"Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"}]}, ""),
        ("ACL", {"Grants": [{"Grantee": {"URI": "http://x/AllUsers"}, "Permission": "READ"}]}, "everyone READ"),
        ("object ownership", {"OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}}, ""),
        ("object ownership", {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}}, "ObjectWriter"),
        (
            "object lock",
            {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
            "on, without a default retention",
        ),
        (
            "object lock",
            {"ObjectLockConfiguration": {"Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Years": 1}}}},
            "COMPLIANCE for 1 year by default",
        ),
        (
            "notifications",
            {
                "QueueConfigurations": [{"QueueArn": "arn:secret", "Events": ["s3:ObjectCreated:*"]}],
                "EventBridgeConfiguration": {},
            },
            "2 (to a queue on s3:ObjectCreated:*; to EventBridge)",
        ),
        ("notifications", {}, ""),
        (
            "CORS",
            {"CORSRules": [{"AllowedMethods": ["GET", "PUT"], "AllowedOrigins": ["https://u:secret@a", "https://b"]}]},
            "1 rule (GET, PUT from 2 origins)",
        ),
        ("tags", {"TagSet": [{"Key": "team", "Value": "secret"}, {"Key": "cost", "Value": "1"}]}, "team, cost"),
        (
            "replication",
            {"ReplicationConfiguration": {"Rules": [{"Destination": {"Bucket": "arn:aws:s3:::backup"}}]}},
            "1 rule (to backup)",
        ),
        ("website", {"IndexDocument": {"Suffix": "index.html"}}, "serves pages"),
        ("access logging", {"LoggingEnabled": {"TargetBucket": "logs"}}, "to logs"),
        ("access logging", {}, ""),
    ],
)
def test_words(name: str, document: dict[str, Any], words: str) -> None:
    assert words_for(name, document) == words


@pytest.mark.parametrize(
    ("name", "document"),
    [
        ("policy", {"Policy": "<html>"}),
        ("policy", {"Policy": '{"Statement": 1}'}),
        ("lifecycle", {}),
        ("lifecycle", {"Rules": [None]}),
        ("CORS", {"CORSRules": None}),
        ("ACL", {"Grants": [{}]}),
    ],
)
def test_what_is_of_no_known_form_is_named_all_the_same(name: str, document: dict[str, Any]) -> None:
    assert words_for(name, document) == "set, in a form that migrator does not know"


def test_words_fit_in_a_line() -> None:
    tags = [{"Key": f"a\n\x1b[31m{number}" + "x" * 200, "Value": ""} for number in range(50)]
    words = words_for("tags", {"TagSet": tags})
    assert words.isprintable() and len(words) < 500 and "45 more" in words


def encryption(algorithm: str, key: str | None = None) -> dict[str, Any]:
    default = {"SSEAlgorithm": algorithm, **({"KMSMasterKeyID": key} if key else {})}
    return {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": default}]}}


def test_encryption() -> None:
    kms = encryption("aws:kms", "arn:aws:kms:eu-west-1:123456789012:key/1-2-3")
    assert words_for("encryption", encryption("AES256")) == "SSE-S3"
    assert words_for("encryption", kms) == "SSE-KMS with the key key/1-2-3"
    assert encryption_of(None) == encryption_of({"ServerSideEncryptionConfiguration": {}}) == ("", "")
    names = ("", "AES256", "aws:kms")
    assert [strength_of(name) for name in names] == sorted({strength_of(name) for name in names})


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ({"Expiration": {"Days": 1}}, [("", "deletes objects after 1 day", False)]),
        ({"Prefix": "a/", "Expiration": {"Date": "2027-01-01T00:00:00Z"}},
         [("a/", "deletes objects on 2027-01-01", False)]),
        ({"Filter": {"Tag": {"Key": "k"}}, "Expiration": {"Days": 2}}, [("", "deletes objects after 2 days", True)]),
        ({"Filter": {"Prefix": "b/"}, "Transitions": [{"Days": 0, "StorageClass": "DEEP_ARCHIVE"}]},
         [("b/", "moves objects to DEEP_ARCHIVE after 0 days", False)]),
        ({"Transitions": [{"Days": 0, "StorageClass": "STANDARD_IA"}]}, []),
        ({"Expiration": {"ExpiredObjectDeleteMarker": True}}, []),
        ({"NoncurrentVersionExpiration": {"NoncurrentDays": 1}}, []),
        ({"Status": "Disabled", "Expiration": {"Days": 1}}, []),
    ],
)  # fmt: skip
def test_what_ends_current_objects(rule: dict[str, Any], found: list[tuple[str, str, bool]]) -> None:
    document = {"Rules": [{"Status": "Enabled", **rule}]}
    assert [(ending.prefix, ending.what, ending.some) for ending in endings(document)] == found
    assert [ending.some for ending in endings({"Rules": 1})] == [True]
