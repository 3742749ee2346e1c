"""What the answers to copies say."""

from __future__ import annotations

import pytest

from copying.fakes import error
from migrator.copying.responses import elements, failure_of, is_error, refused
from migrator.store.wire import Answer


def test_elements_are_unescaped() -> None:
    body = b"<R><ETag>&quot;a&quot;</ETag><ChecksumCRC32>x&#34;y</ChecksumCRC32><Other>z</Other></R>"
    assert elements(body) == {"ETag": '"a"', "ChecksumCRC32": 'x"y'}


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"", False), (b"<R/>", False), (b" <R>\n</R>\n", False), (b"<Error></Error>", True), (b"<R><ETag>e</ET", True)],
)
def test_an_error_or_half_a_document_is_an_error(body: bytes, expected: bool) -> None:
    assert is_error(body) is expected


def test_the_failure_of_an_answer() -> None:
    slow = failure_of(error("SlowDown", 503))
    assert (slow.reason, slow.sent, slow.overloaded, slow.final) == ("SlowDown: why", False, True, False)
    denied = failure_of(error("AccessDenied", 403))
    assert (denied.sent, denied.overloaded, denied.final) == (True, False, True)
    gateway = failure_of(Answer(502, {}, b"<html>"))
    assert (gateway.reason, gateway.sent, gateway.final) == ("502: no reason given", True, False)


def test_a_refusal_names_place_and_code() -> None:
    refusal = refused("s3://b/k", error("InvalidRequest", 400))
    assert refusal.code == "InvalidRequest" and str(refusal) == "s3://b/k: refused (InvalidRequest: why)."
