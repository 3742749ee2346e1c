from __future__ import annotations

import errno
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from migrator.errors import AccessDenied, NotFound, SourceChanged, StoreError, Unreachable
from migrator.store.answers import Absurd
from migrator.store.server_errors import translated_errors


def test_a_full_disk_of_this_machine_is_not_the_servers_fault() -> None:
    with pytest.raises(StoreError, match="this machine") as caught, translated_errors("s3://b/k", "http://e"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert not isinstance(caught.value, Unreachable)
    with pytest.raises(Unreachable), translated_errors("s3://b/k", "http://e"):
        raise OSError(errno.ECONNREFUSED, "Connection refused")


@pytest.mark.parametrize(
    ("code", "said", "move"),
    [
        ("InvalidRequest", "The object was stored using a form of Server Side Encryption. The parameters…", "SSE-C"),
        ("InvalidObjectState", "The operation is not valid for the object's access tier", "restore it"),
        ("InvalidRequest", "something else", ""),
    ],
)
def test_an_object_that_the_server_gives_to_nobody(code: str, said: str, move: str) -> None:
    answer: Any = {"Error": {"Code": code, "Message": said}, "ResponseMetadata": {"HTTPStatusCode": 400}}
    with pytest.raises(StoreError) as caught, translated_errors("s3://b/k", "http://e"):
        raise ClientError(answer, "CopyObject")
    assert move in (caught.value.next_move or "") and bool(caught.value.next_move) == bool(move)


@pytest.mark.parametrize(
    ("code", "operation", "status", "kind"),
    [
        ("NoSuchKey", "GetObject", 404, NotFound),
        ("404", "HeadObject", 404, NotFound),
        ("404", "GetObject", 404, StoreError),  # without a code of S3's: the error page of a proxy
        ("AccessDenied", "GetObject", 403, AccessDenied),
        ("403", "HeadObject", 403, AccessDenied),
        ("PreconditionFailed", "CopyObject", 412, SourceChanged),
        ("412", "HeadObject", 412, SourceChanged),
        ("502", "GetObject", 502, Unreachable),
        ("", "GetObject", 503, Unreachable),
        ("InternalError", "GetObject", 500, StoreError),
    ],
)
def test_each_error_of_a_server_has_its_kind(code: str, operation: str, status: int, kind: type[StoreError]) -> None:
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    with pytest.raises(StoreError, match="s3://b/k") as caught, translated_errors("s3://b/k", "http://e"):
        raise ClientError(answer, operation)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (NoCredentialsError(), AccessDenied, "No AWS credentials"),
        (EndpointConnectionError(endpoint_url="http://e"), Unreachable, "http://e did not answer for s3://b/k"),
        (KeyError("ETag"), StoreError, "s3://b/k: the server's answer lacks 'ETag'"),
        (Absurd("it is empty"), StoreError, "http://e gave an answer that is not S3's: it is empty"),
        (ValueError("no date"), StoreError, "not S3's: ValueError: no date"),
    ],
)
def test_other_errors_name_the_place_too(error: Exception, kind: type[StoreError], message: str) -> None:
    with pytest.raises(StoreError, match=message) as caught, translated_errors("s3://b/k", "http://e"):
        raise error
    assert type(caught.value) is kind
