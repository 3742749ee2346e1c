"""Reads the answers of an S3 server to copy requests. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.sax.saxutils import unescape

from migrator.errors import StoreError
from migrator.store.wire import Answer

OVERLOADED = frozenset({"SlowDown", "ServiceUnavailable", "Throttling", "ThrottlingException", "RequestLimitExceeded"})
NOTHING_DONE = OVERLOADED | {"429", "503"}
"""With these codes, the server has not carried out the request."""
RETRIED = OVERLOADED | {"InternalError", "RequestTimeout", "OperationAborted", "BadDigest", "IncompleteBody"}
RETRIED |= {"ConditionalRequestConflict"}

_ELEMENT = re.compile(rb"<(ETag|Code|Message|Checksum[A-Z0-9]+)>([^<]*)</")
_ENTITIES = {"&quot;": '"', "&#34;": '"'}


class Refused(StoreError):
    """The server refused a request of ours. boto3 may succeed: it knows redirects and regions."""

    code = ""
    """S3's error code, if the server gave one."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that did not succeed. ``status`` and ``code`` are 0 and "" if no answer came. ``sent``: the server may
    have carried out the request."""

    reason: str
    sent: bool
    status: int = 0
    code: str = ""

    @property
    def overloaded(self) -> bool:
        """True if the server asked for fewer requests."""
        return self.status in (429, 503) or self.code in OVERLOADED

    @property
    def final(self) -> bool:
        """True for an answer that will be the same if the request is repeated."""
        return 0 < self.status < 500 and self.status not in (200, 429) and self.code not in RETRIED


def failure_of(answer: Answer) -> Failure:
    """The failure that the answer to a request reports."""
    said = elements(answer.body)
    code = said.get("Code", str(answer.status))
    reason = f"{code}: {said.get('Message', 'no reason given')}"
    return Failure(reason, code not in NOTHING_DONE, answer.status, code)


def succeeded(answer: Answer, *, copying: bool) -> bool:
    """True if the server carried out the request. ``copying``: the request was CopyObject or UploadPartCopy, which may
    answer 200 with an error in the body."""
    return answer.status == 206 or (answer.status == 200 and not (copying and is_error(answer.body)))


def elements(body: bytes) -> dict[str, str]:
    """The elements of an S3 answer that matter to copies: name → text."""
    return {
        name.decode(): unescape(value.decode("utf-8", "replace"), _ENTITIES) for name, value in _ELEMENT.findall(body)
    }


def is_error(body: bytes) -> bool:
    """True if the body of an answer with status 200 is an error, or is cut off. The server sends the status of a copy
    before the copy is done."""
    text = body.strip()
    return text.startswith(b"<") and (b"<Error>" in text or not text.endswith(b">"))


def refused(place: str, answer: Answer) -> Refused:
    """The error for an answer that refuses a request about ``place``, a URI."""
    said = elements(answer.body)
    refusal = Refused(
        f"{place}: refused ({said.get('Code', answer.status)}: {said.get('Message', 'no reason given')})."
    )
    refusal.code = said.get("Code", "")
    return refusal
