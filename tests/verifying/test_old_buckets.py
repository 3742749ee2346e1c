"""Why nothing in an old bucket can be compared: it is gone, or its server is."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from migrator.store import Store
from migrator.verifying.old_buckets import OLD_GONE, OldBuckets


def test_a_bucket_that_is_there_and_one_that_is_gone(mock_store: Store) -> None:
    mock_store.create_bucket("bronze")
    old = OldBuckets(mock_store)
    assert [old.gone(bucket) for bucket in ("bronze", "silver")] == ["", OLD_GONE]


def test_a_server_that_does_not_answer_is_asked_once_for_all_buckets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.01)
    asked: list[str] = []
    exists = Store.bucket_exists

    def counted(store: Store, bucket: str) -> bool:
        asked.append(bucket)
        return exists(store, bucket)

    monkeypatch.setattr(Store, "bucket_exists", counted)
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    old = OldBuckets(Store(endpoint_url=f"http://127.0.0.1:{port}"))
    reasons = {old.gone(bucket) for bucket in ("bronze", "silver", "gold")}
    assert reasons == {f"the old server http://127.0.0.1:{port} did not answer"}
    assert asked == ["bronze"]
