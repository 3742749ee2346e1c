from __future__ import annotations

from typing import Any

import pytest

from migrator.errors import NotFound
from migrator.store import Content, Store
from migrator.store.uploads import WrongChecksums, refuses_checksum


def test_parts_with_the_checksum_of_a_whole_object_are_not_put_together(mock_store: Store) -> None:
    """versitygw answers the copy of each part with what it keeps with the whole source: an object made of such parts
    would have a wrong checksum."""
    mock_store.create_bucket("bucket")
    parts = [{"PartNumber": n, "ETag": f'"{n}"', "ChecksumCRC64NVME": "gOmYcu2BXDo="} for n in (1, 2)]
    for wrong in (parts, [{**parts[0], "ChecksumCRC64NVME": "CbLWNg==-3"}]):
        upload = mock_store.uploads.begin("bucket", "k", {})
        with pytest.raises(WrongChecksums, match="s3://bucket/k") as caught:
            mock_store.uploads.finish(upload, wrong)
        assert refuses_checksum(caught.value)
    assert mock_store.find("bucket", "k") is None


def test_an_upload_is_listed_until_it_ends(mock_store: Store) -> None:
    mock_store.create_bucket("bucket")
    finished, aborted = (mock_store.uploads.begin("bucket", key, {}) for key in ("a", "ab"))
    assert [upload for upload, _ in mock_store.uploads.list("bucket")] == [finished, aborted]
    assert [upload for upload, _ in mock_store.uploads.of_key("bucket", "a")] == [finished]
    assert mock_store.uploads.count_open("bucket") == 2
    etag = mock_store.uploads.finish(finished, [mock_store.uploads.put_part(finished, 1, b"x")])
    assert etag.endswith("-1") and mock_store.get("bucket", "a").data == b"x"
    for _ in range(2):  # one that does not exist any more is aborted already
        mock_store.uploads.abort(aborted)
    assert mock_store.uploads.count_open("bucket") == 0


def test_an_upload_is_finished_although_an_answer_was_lost(mock_store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 repeats the request, and the upload does not exist any more."""

    def repeated(**_: Any) -> None:
        raise mock_store.client.exceptions.NoSuchUpload({"Error": {"Code": "NoSuchUpload"}}, "CompleteMultipartUpload")

    mock_store.create_bucket("bucket")
    upload = mock_store.uploads.begin("bucket", "k", {})
    parts = [mock_store.uploads.put_part(upload, 1, b"x")]
    etag = mock_store.uploads.finish(upload, parts)
    monkeypatch.setattr(mock_store.client, "complete_multipart_upload", repeated)
    assert mock_store.uploads.finish(upload, parts) == etag
    mock_store.put("bucket", "k", Content(b"other", ""))
    with pytest.raises(NotFound, match="s3://bucket/k does not exist"):
        mock_store.uploads.finish(upload, parts)
