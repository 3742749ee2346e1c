from __future__ import annotations

import errno
import itertools
from typing import Any

import pytest
from botocore.exceptions import ClientError

from migrator.errors import AccessDenied, ConfigError, NotFound, StoreError, Unreachable
from migrator.store import MAX_PARTS, Content, Store, part_ranges
from migrator.store.client import WrongChecksums, refuses_checksum


def put(store: Store, bucket: str, key: str, data: bytes = b"x") -> None:
    store.create_bucket(bucket)
    store.put(bucket, key, Content(data, ""))


def test_part_ranges_cover_every_byte_once() -> None:
    assert list(part_ranges(10, 4)) == [(0, 3), (4, 7), (8, 9)]
    assert list(part_ranges(8, 4)) == [(0, 3), (4, 7)]
    parts = list(part_ranges(5 * 1024**4, 256 * 1024**2))  # 5 TiB, S3's largest object
    assert len(parts) <= MAX_PARTS
    assert parts[-1][1] == 5 * 1024**4 - 1
    assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(parts))


def test_missing_things_are_named(mock_store: Store) -> None:
    put(mock_store, "there", "key")
    assert mock_store.bucket_exists("there") and not mock_store.bucket_exists("nowhere")
    with pytest.raises(NotFound, match="s3://there/other"):
        mock_store.get("there", "other")
    with pytest.raises(NotFound, match="s3://nowhere/"):
        list(mock_store.list("nowhere"))


def test_unreachable_endpoint_says_so_soon() -> None:
    with pytest.raises(StoreError, match=r"http://127\.0\.0\.1:9 did not answer.*--endpoint-url"):
        Store(endpoint_url="http://127.0.0.1:9").bucket_exists("b")


def test_missing_credentials_say_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(AccessDenied, match="AWS_PROFILE"):
        Store(endpoint_url="http://127.0.0.1:9").bucket_exists("b")


@pytest.mark.parametrize("bad", [{"profile": "nobody"}, {"endpoint_url": "minio:9000"}])
def test_a_wrong_profile_or_endpoint_is_a_usage_error(bad: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        Store(**bad)  # type: ignore[arg-type]


def test_a_full_disk_of_this_machine_is_not_the_servers_fault(mock_store: Store) -> None:
    with pytest.raises(StoreError, match="this machine") as caught, mock_store._errors("s3://b/k"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not isinstance(caught.value, Unreachable)
    with pytest.raises(Unreachable), mock_store._errors("s3://b/k"):
        raise OSError(errno.ECONNREFUSED, "Connection refused")


@pytest.mark.parametrize(
    ("code", "said", "move"),
    [
        ("InvalidRequest", "The object was stored using a form of Server Side Encryption. The parameters…", "SSE-C"),
        ("InvalidObjectState", "The operation is not valid for the object's access tier", "restore it"),
        ("InvalidRequest", "something else", ""),
    ],
)
def test_an_object_that_the_server_gives_to_nobody(mock_store: Store, code: str, said: str, move: str) -> None:
    answer: Any = {"Error": {"Code": code, "Message": said}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    with pytest.raises(StoreError) as caught, mock_store._errors("s3://b/k"):
        raise ClientError(answer, "CopyObject")
    assert move in (caught.value.next_move or "") and bool(caught.value.next_move) == bool(move)


def test_parts_with_the_checksum_of_a_whole_object_are_not_put_together(mock_store: Store) -> None:
    """versitygw answers the copy of each part with what it keeps with the whole source: an object made of such parts
    would have a wrong checksum."""
    mock_store.create_bucket("bucket")
    parts = [{"PartNumber": n, "ETag": f'"{n}"', "ChecksumCRC64NVME": "gOmYcu2BXDo="} for n in (1, 2)]
    for wrong in (parts, [{**parts[0], "ChecksumCRC64NVME": "CbLWNg==-3"}]):
        upload = mock_store.begin_upload("bucket", "k", {})
        with pytest.raises(WrongChecksums, match="s3://bucket/k") as caught:
            mock_store.finish_upload(upload, wrong)
        assert refuses_checksum(caught.value)
    assert mock_store.find("bucket", "k") is None
