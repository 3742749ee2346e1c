from __future__ import annotations

from io import BytesIO

import pytest

from migrator.errors import Occupied
from migrator.store import Conditional, Content, Store


@pytest.fixture(params=[True, False], ids=["conditional writes", "no conditional writes"])
def store(request: pytest.FixtureRequest, mock_store: Store) -> Store:
    mock_store.conditional = Conditional(put=request.param)
    mock_store.create_bucket("bucket")
    return mock_store


def test_an_object_that_exists_is_left_unless_it_is_the_expected_one(store: Store) -> None:
    first = store.put("bucket", "k", Content(b"first", ""), replace=False)
    assert store.put("bucket", "k", Content(b"first", ""), replace=False) == first  # equal bytes
    for replaces in (None, "0" * 32):
        with pytest.raises(Occupied, match="s3://bucket/k exists already, with other content"):
            store.put("bucket", "k", Content(b"other", ""), replace=False, replaces=replaces)
    assert store.get("bucket", "k").data == b"first"
    store.put("bucket", "k", Content(b"second", ""), replace=False, replaces=first)
    assert store.get("bucket", "k").data == b"second"


def test_the_object_to_replace_may_be_gone(store: Store) -> None:
    store.put("bucket", "k", Content(b"x", ""), replace=False, replaces="0" * 32)
    assert store.get("bucket", "k").data == b"x"


def test_equal_bytes_are_found_although_the_etag_is_no_md5(store: Store) -> None:
    upload = store.uploads.begin("bucket", "k", {})
    etag = store.uploads.finish(upload, [store.uploads.put_part(upload, 1, b"x")])
    assert store.upload("bucket", "k", BytesIO(b"x"), {}, replace=False) == (1, etag)
    with pytest.raises(Occupied):
        store.upload("bucket", "k", BytesIO(b"y"), {}, replace=False)


def test_an_upload_writes_the_whole_file(store: Store) -> None:
    file = BytesIO(b"abc")
    file.seek(2)
    assert store.upload("bucket", "k", file, {"ContentType": "text/x-lake"})[0] == 3
    assert store.get("bucket", "k") == Content(
        b"abc", store.head("bucket", "k").etag, {"ContentType": "text/x-lake", "Metadata": {}}
    )


def test_a_write_with_a_condition_succeeds_for_one_writer_only(store: Store) -> None:
    first = store.put_if("bucket", "k", b"first", etag=None)
    assert first is not None
    assert store.put_if("bucket", "k", b"late", etag=None) is None
    assert store.put_if("bucket", "k", b"wrong", etag="0" * 32) is None
    assert store.get("bucket", "k").data == b"first"
    assert store.put_if("bucket", "k", b"second", etag=first) is not None
    assert store.get("bucket", "k").data == b"second"


@pytest.mark.parametrize("versioned", [True, False])
def test_an_object_is_erased_with_all_its_versions(mock_store: Store, versioned: bool) -> None:
    mock_store.create_bucket("bucket")
    if versioned:
        mock_store.keep_versions("bucket")
    for data in (b"1", b"2"):
        mock_store.put("bucket", "k", Content(data, ""))
    mock_store.put("bucket", "kk", Content(b"x", ""))
    mock_store.erase("bucket", "k")
    assert [version.key for version in mock_store.list_versions("bucket")] == ["kk"]


def test_one_version_is_deleted_for_good(mock_store: Store) -> None:
    mock_store.create_bucket("bucket")
    mock_store.keep_versions("bucket")
    for data in (b"1", b"2"):
        mock_store.put("bucket", "k", Content(data, ""))
    oldest, newest = mock_store.versions_of("bucket", "k")
    mock_store.delete("bucket", "k", version_id=newest.version_id)
    assert mock_store.versions_of("bucket", "k")[0].version_id == oldest.version_id
    assert mock_store.get("bucket", "k").data == b"1"
