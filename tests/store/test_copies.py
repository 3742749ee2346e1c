from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from migrator.errors import SourceChanged, StoreError
from migrator.store import Conditional, Content, Expected, Store

ATTRIBUTES = {"ContentType": "text/x-lake", "Metadata": {"owner": "bi"}, "Tagging": "team=a%3Db"}


@pytest.fixture(params=[False, True], ids=["in one request", "in parts"])
def store(request: pytest.FixtureRequest, mock_store: Store) -> Store:
    if request.param:
        mock_store.at("bucket").multipart_above = 3
    mock_store.create_bucket("bucket")
    mock_store.put("bucket", "from", Content(b"bytes", "", ATTRIBUTES))
    return mock_store


def test_a_copy_keeps_everything(store: Store) -> None:
    etag = store.copy("bucket", store.head("bucket", "from"), "bucket", "to")
    assert store.get("bucket", "to") == Content(b"bytes", etag, ATTRIBUTES)
    assert store.uploads.count_open("bucket") == 0


def test_a_source_that_is_gone_is_not_copied(store: Store) -> None:
    listed = store.head("bucket", "from")
    with pytest.raises(SourceChanged, match="s3://bucket/gone is gone since planning"):
        store.copy("bucket", replace(listed, key="gone"), "bucket", "to")
    assert store.find("bucket", "to") is None and store.uploads.count_open("bucket") == 0


def test_a_source_that_changed_is_not_copied(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto does not look at the condition of a copy in one request: tests/e2e/test_store.py tries it on a server."""
    mock_store.create_bucket("bucket")
    mock_store.put("bucket", "from", Content(b"bytes", ""))
    changed = replace(mock_store.head("bucket", "from"), etag="0" * 32)
    sent: list[dict[str, Any]] = []
    copy_object = mock_store.client.copy_object
    monkeypatch.setattr(mock_store.client, "copy_object", lambda **given: sent.append(given) or copy_object(**given))
    mock_store.copy("bucket", changed, "bucket", "to")
    assert [given["CopySourceIfMatch"] for given in sent] == [f'"{"0" * 32}"']
    mock_store.at("bucket").multipart_above = 3
    with pytest.raises(SourceChanged, match="s3://bucket/from changed since planning"):
        mock_store.copy("bucket", changed, "bucket", "in-parts")
    assert mock_store.find("bucket", "in-parts") is None and mock_store.uploads.count_open("bucket") == 0


def test_an_older_version_is_copied(store: Store) -> None:
    store.keep_versions("bucket")
    store.put("bucket", "from", Content(b"newer bytes", ""))
    oldest = store.versions_of("bucket", "from")[0]
    store.copy("bucket", store.head("bucket", "from", oldest.version_id), "bucket", "to", version_id=oldest.version_id)
    assert store.get("bucket", "to").data == b"bytes"


def test_what_is_copied_once_uses_the_client_that_never_repeats(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = store.at("bucket")
    for method in ("copy_object", "complete_multipart_upload"):
        monkeypatch.setattr(connection.client, method, None)
    store.copy("bucket", store.head("bucket", "from"), "bucket", "to", once=True)
    assert store.find("bucket", "to") is not None


def test_after_giving_up_no_part_is_copied(mock_store: Store) -> None:
    mock_store.at("bucket").multipart_above = 3
    mock_store.create_bucket("bucket")
    mock_store.put("bucket", "from", Content(b"bytes", ""))
    mock_store.give_up()
    with pytest.raises(StoreError, match="s3://bucket/from: given up"):
        mock_store.copy("bucket", mock_store.head("bucket", "from"), "bucket", "to")
    assert mock_store.uploads.count_open("bucket") == 0


def test_a_condition_is_sent_to_a_server_that_honours_it(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[dict[str, Any]] = []
    mock_store.create_bucket("bucket")
    mock_store.put("bucket", "from", Content(b"bytes", ""))
    copy_object = mock_store.client.copy_object
    monkeypatch.setattr(mock_store.client, "copy_object", lambda **given: sent.append(given) or copy_object(**given))
    for honoured in (False, True):
        mock_store.conditional = Conditional(copy=honoured)
        mock_store.copy("bucket", mock_store.head("bucket", "from"), "bucket", f"to{honoured}", expected=Expected())
    assert ["IfNoneMatch" in given for given in sent] == [False, True]


def test_an_empty_directory_marker_that_the_server_does_not_copy_is_written(
    mock_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    mock_store.create_bucket("bucket")
    mock_store.put("bucket", "dir/", Content(b"", ""))
    listed = mock_store.head("bucket", "dir/")
    mock_store.delete("bucket", "dir/")
    mock_store.copy("bucket", listed, "bucket", "to/")
    assert mock_store.get("bucket", "to/").data == b""
