"""Bucket policies as text: read, set, deleted, and compared by what they mean."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrator.errors import AccessDenied, NotFound, StoreError
from migrator.settings.compare import same_policy
from migrator.store import Store
from migrator.store.policies import read_policy, write_policy

STATEMENT = {
    "Sid": "A",
    "Effect": "Allow",
    "Principal": "*",
    "Action": "s3:GetObject",
    "Resource": "arn:aws:s3:::old/*",
}


def policy(*statements: dict[str, Any], **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements), **more})


def test_a_policy_is_set_read_and_deleted(mock_store: Store) -> None:
    mock_store.create_bucket("old")
    assert read_policy(mock_store, "old") is None
    write_policy(mock_store, "old", policy(STATEMENT))
    assert same_policy(read_policy(mock_store, "old"), policy(STATEMENT))
    write_policy(mock_store, "old", None)
    assert read_policy(mock_store, "old") is None
    write_policy(mock_store, "old", None)


def test_what_is_wrong_is_named(mock_store: Store) -> None:
    with pytest.raises(NotFound, match="s3://gone"):
        read_policy(mock_store, "gone")


@pytest.mark.parametrize(
    ("code", "status", "error", "says"),
    [
        ("NotImplemented", 501, StoreError, "has no bucket policies"),
        ("MethodNotAllowed", 405, StoreError, "has no bucket policies"),
        ("AccessDenied", 403, AccessDenied, "s3://old"),
    ],
)
def test_servers_without_policies_and_without_permission(
    mock_store: Store, monkeypatch: pytest.MonkeyPatch, code: str, status: int, error: type[StoreError], says: str
) -> None:
    from botocore.exceptions import ClientError

    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}

    def refuse(**_: Any) -> None:
        raise ClientError(answer, "GetBucketPolicy")

    mock_store.create_bucket("old")
    monkeypatch.setattr(mock_store.at("old").client, "get_bucket_policy", refuse)
    with pytest.raises(error, match=says):
        read_policy(mock_store, "old")


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({**STATEMENT, "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::old/*"]}, True),
        ({**STATEMENT, "Principal": {"AWS": ["*"]}}, True),
        ({**STATEMENT, "Action": ["s3:GetObject", "s3:PutObject"]}, False),
        ({**STATEMENT, "Effect": "Deny"}, False),
        ({**STATEMENT, "Sid": "B"}, False),
        ({**STATEMENT, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}, False),
    ],
)
def test_policies_are_compared_by_what_they_mean(other: dict[str, Any], same: bool) -> None:
    assert same_policy(policy(STATEMENT), policy(other)) is same
    assert not same_policy(policy(STATEMENT), None) and same_policy(None, None)
    second = {**STATEMENT, "Sid": "Z"}
    assert same_policy(policy(STATEMENT, second), policy(second, other)) is same
