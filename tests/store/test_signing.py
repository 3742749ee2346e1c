"""migrator's signatures are equal to botocore's, for every kind of key, query and header."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from migrator.store.signing import EMPTY_SHA256, Credentials, canonical_value, quoted_key, quoted_query, signed_headers

KEYS = ["plain", "a b+c%41/ü😀&=?#;<>'\"`{}|~", "//lead//", "../x/./y", "x" * 1024, "tab\there", "e\u0301"]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
@pytest.mark.parametrize("token", [None, "a/session+token=="])
def test_as_botocore_signs(monkeypatch: pytest.MonkeyPatch, key: str, token: str | None) -> None:
    query = [("uploadId", "a+b/c=="), ("partNumber", "7"), ("tagging", "")]
    path, search = f"/bucket/{quoted_key(key)}", quoted_query(query)
    headers = {
        "host": "s3.example.com:9000",
        "x-amz-copy-source": f"/old/{quoted_key(key)}",
        "x-amz-copy-source-if-match": '"d41d8cd98f00b204e9800998ecf8427e"',
        "x-amz-meta-note": "two   spaces ",
    }
    signer = S3SigV4Auth(BotoCredentials("AKID", "secret/+", token), "s3", "eu-west-1")
    request = AWSRequest("PUT", f"http://s3.example.com:9000{path}?{search}", headers={**headers}, data=b"")
    request.context["payload_signing_enabled"] = True
    signer.add_auth(request)
    ours = signed_headers(
        Credentials("AKID", "secret/+", token),
        "eu-west-1",
        request.context["timestamp"],
        "PUT",
        path,
        search,
        headers,
        EMPTY_SHA256,
    )
    theirs = request.headers["Authorization"]
    assert urlsplit(request.url).path == path
    assert ours["authorization"].rpartition("=")[2] == theirs.rpartition("=")[2]


def test_credentials_are_not_shown() -> None:
    assert "secret" not in repr(Credentials("AKID", "secret"))


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        (" two   spaces ", "two spaces"),
        ("Åsa voilà".encode().decode("latin-1"), "Åsa voilà".encode().decode("latin-1")),  # ends in \xa0, has a \x85
        ("\u00a0x\u3000 y".encode().decode("latin-1"), "x y"),
        ("a\x85b\xa0", "a\x85b\xa0"),  # no UTF-8: no space
    ],
)
def test_spaces_of_a_value_are_those_of_its_text(sent: str, signed: str) -> None:
    assert canonical_value(sent) == signed
