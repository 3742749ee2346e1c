"""A document as a server returns it counts as the same. A document with a real difference does not."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.settings.compare import same
from settings.lakes import allow, expire, policy


def crypt(key: str = "", **others: Any) -> dict[str, Any]:
    default = {"SSEAlgorithm": "aws:kms" if key else "AES256", **({"KMSMasterKeyID": key} if key else {})}
    rule = {"ApplyServerSideEncryptionByDefault": default, **others}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


TAG = {"Key": "k", "Value": "v"}
CORS = {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}
QUEUE = {"Id": "q", "QueueArn": "a", "Events": ["e"]}


@pytest.mark.parametrize(
    ("setting", "one", "other", "equal"),
    [
        ("policy", policy(allow("a", "b/*")), policy(allow(["a"], "b/*")), True),
        ("policy", policy(allow("a", "b/*")), policy(allow("a", "c/*")), False),
        ("policy", policy(allow("a", "b/*")), None, False),
        ("lifecycle", {"Rules": [expire(3)]}, {"Rules": [expire(4)]}, False),
        ("lifecycle", {"Rules": [expire(3)]}, {"Rules": [{**expire(3), "Filter": {}, "Prefix": ""}]}, True),
        ("lifecycle", {"Rules": [expire(3, "x/")]}, {"Rules": [expire(3)]}, False),
        (
            "lifecycle",
            {"Rules": [{**expire(3), "Filter": {"And": {"Prefix": "x/", "Tags": [TAG]}}}]},
            {"Rules": [{**expire(3), "Filter": {"And": {"Prefix": "x/"}}}]},
            False,
        ),
        ("lifecycle", {"Rules": [expire(3, name="a"), expire(4, name="b")]},
         {"Rules": [expire(4, name="b"), expire(3, name="a")]}, True),
        ("encryption", crypt(), crypt(BucketKeyEnabled=False), True),
        ("encryption", crypt("k"), crypt("arn:aws:kms:k"), True),
        ("encryption", crypt("arn:aws:kms:r:1:key/k"), crypt("arn:aws:kms:r:2:key/k"), False),
        ("encryption", crypt("k"), crypt(), False),
        ("tags", {"TagSet": [TAG, {"Key": "a", "Value": "b"}]}, {"TagSet": [{"Key": "a", "Value": "b"}, TAG]}, True),
        ("CORS", {"CORSRules": [CORS]}, {"CORSRules": [{**CORS, "MaxAgeSeconds": 0}]}, True),
        (
            "notifications",
            {"QueueConfigurations": [{**QUEUE, "Filter": {"Key": {"FilterRules": [{"Name": "Prefix"}]}}}]},
            {"QueueConfigurations": [{**QUEUE, "Filter": {"Key": {"FilterRules": [{"Name": "prefix"}]}}}]},
            True,
        ),
        ("notifications", {"EventBridgeConfiguration": {}}, None, False),
        ("versioning", {"Status": "Enabled"}, {"Status": "Suspended"}, False),
        ("policy", {"Policy": "{"}, {"Policy": "["}, False),
    ],
)  # fmt: skip
def test_same(setting: str, one: Any, other: Any, equal: bool) -> None:
    assert same(setting, one, other) is equal and same(setting, other, one) is equal and same(setting, one, one)
