"""Deleting: what the server's answer must say, and what counts as not deleted."""

from __future__ import annotations

from typing import Any

import pytest

from migrator.errors import MigratorError
from migrator.store import Deletion, Store, delete_bucket, delete_objects
from migrator.store.deleting import CHANGED_MEANWHILE, NOT_CONFIRMED

ASKED = [Deletion("a", "1" * 32), Deletion("b", "2" * 32, "v1")]
CONFIRMED = {"Deleted": [{"Key": "a"}, {"Key": "b", "VersionId": "v1"}]}


def answered(store: Store, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> dict[str, str]:
    """Key → why it was not deleted, if the server answers this."""
    connection = store.at("bronze")
    monkeypatch.setattr(connection.once_client, "delete_objects", lambda **_: answer)
    return {failed.deletion.key: failed.reason for failed in delete_objects(store, "bronze", ASKED)}


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (CONFIRMED, {}),
        ({}, {"a": NOT_CONFIRMED, "b": NOT_CONFIRMED}),
        ({"Deleted": [{"Key": "a"}]}, {"b": NOT_CONFIRMED}),
        ({"Deleted": [{"Key": "a"}, {"Key": "b", "VersionId": "v2"}]}, {"b": NOT_CONFIRMED}),
        ({"Deleted": [{"Key": "a"}, {"Key": "b"}]}, {"b": NOT_CONFIRMED}),
        (
            {"Deleted": CONFIRMED["Deleted"][1:], "Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "no"}]},
            {"a": "AccessDenied: no"},
        ),
        ({"Deleted": [{"Key": "a"}], "Errors": [{"Key": "b", "Code": "Held"}]}, {"b": "Held: no reason given"}),
        ({**CONFIRMED, "Errors": [{"Key": "a", "Code": "InternalError"}]}, {"a": "InternalError: no reason given"}),
        ({"Deleted": [{"Key": "a"}], "Errors": [{"Key": "b", "VersionId": "v1", "Code": "NoSuchVersion"}]}, {}),
        (
            {"Deleted": CONFIRMED["Deleted"][1:], "Errors": [{"Key": "a", "Code": "PreconditionFailed"}]},
            {"a": CHANGED_MEANWHILE},
        ),
    ],
)
def test_only_what_is_confirmed_counts(
    mock_store: Store, monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any], failed: dict[str, str]
) -> None:
    assert answered(mock_store, monkeypatch, answer) == failed


@pytest.mark.parametrize("part", ["Deleted", "Errors"])
def test_an_answer_about_what_nobody_asked_for(mock_store: Store, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    with pytest.raises(MigratorError, match="which was not requested"):
        answered(mock_store, monkeypatch, {part: [{"Key": "other", "Code": "x"}]})


def test_without_an_exact_version_the_etag_is_a_condition_and_the_request_is_sent_once(mock_store: Store) -> None:
    sent: list[dict[str, Any]] = []
    mock_store.create_bucket("bronze")
    connection = mock_store.at("bronze")
    for client, name in ((connection.client, "repeated"), (connection.once_client, "once")):
        client.meta.events.register(
            "provide-client-params.s3.DeleteObjects",
            lambda params, name=name, **_: sent.append({name: params["Delete"]["Objects"]}),
        )
    delete_objects(mock_store, "bronze", [Deletion("a", "e")])
    delete_objects(mock_store, "bronze", [Deletion("a", "e", "null")])
    delete_objects(mock_store, "bronze", [Deletion("a", "e", "v1")])
    assert sent == [
        {"once": [{"Key": "a", "ETag": '"e"'}]},
        {"once": [{"Key": "a", "VersionId": "null", "ETag": '"e"'}]},
        {"repeated": [{"Key": "a", "VersionId": "v1"}]},
    ]


def test_no_more_than_s3_takes(mock_store: Store) -> None:
    with pytest.raises(ValueError, match="1001"):
        delete_objects(mock_store, "bronze", [Deletion(str(number), "") for number in range(1001)])


def test_a_bucket_that_is_gone_is_removed(mock_store: Store) -> None:
    mock_store.create_bucket("bronze")
    delete_bucket(mock_store, "bronze")
    delete_bucket(mock_store, "bronze")
    assert not mock_store.bucket_exists("bronze")
