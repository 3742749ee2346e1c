"""Requests: what is retried, what is final, and what must not be sent twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from copying.fakes import FakeStore, FakeWire, error, item, servers
from migrator.copying.options import Options
from migrator.copying.outcomes import AnswerLost
from migrator.copying.servers import ATTEMPTS
from migrator.errors import SourceChanged, StoreError
from migrator.store.wire import Answer, Lost, NotSent

OK = Answer(200, {}, b"<CopyObjectResult><ETag>e</ETag></CopyObjectResult>")
COPY = {"headers": {"x-amz-copy-source": "/from/a"}}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.copying.servers.BACKOFF_SECONDS", 0.0)


def send(*answers: Answer | Exception, once: bool = False, method: str = "PUT", **request: Any) -> tuple[Answer, int]:
    """The answer that comes out, and how many requests were sent."""
    wire = FakeWire(*answers)

    async def main() -> Answer:
        both = servers(FakeStore(), options=Options(once=once))
        try:
            named = {"size": 0, **COPY, **request}
            return await both.request(item(), wire, method, "data-lake", "to/a", **named)  # type: ignore[arg-type]
        finally:
            both.close()

    return asyncio.run(main()), len(wire.sent)


@pytest.mark.parametrize(
    "failure",
    [
        Lost("cut off"),
        NotSent("refused"),
        error("SlowDown", 503),
        error("InternalError", 500),
        error("RequestTimeout", 400),
        error("TooManyRequests", 429),
        error("InternalError", 200),  # a copy may fail after its status was sent
        Answer(200, {}, b"<CopyObjectResult><ETag>e</ET"),
    ],
)
def test_a_failure_that_may_pass_is_retried(failure: Answer | Exception) -> None:
    assert send(failure, failure, OK) == (OK, 3)


@pytest.mark.parametrize("answer", [OK, error("AccessDenied", 403), error("NoSuchKey", 404), error("Redirect", 301)])
def test_other_answers_are_the_caller_s(answer: Answer) -> None:
    assert send(answer) == (answer, 1)


def test_what_looks_like_an_error_is_data_if_it_was_asked_for() -> None:
    document = Answer(200, {}, b"<Error><Code>InternalError</Code></Error>")
    assert send(document, method="GET", headers={}) == (document, 1)


def test_a_failed_condition_is_a_changed_source() -> None:
    with pytest.raises(SourceChanged, match="s3://from/a changed since planning"):
        send(error("PreconditionFailed", 412))


def test_it_gives_up_at_last_and_says_why() -> None:
    with pytest.raises(StoreError, match=rf"gave up after {ATTEMPTS} attempts \(InternalError: why\)"):
        send(*[error("InternalError", 500)] * ATTEMPTS)


@pytest.mark.parametrize("failure", [Lost("cut off"), error("InternalError", 500)])
def test_a_copy_that_may_have_been_made_is_not_made_twice(failure: Answer | Exception) -> None:
    with pytest.raises(AnswerLost):
        send(failure, once=True)


@pytest.mark.parametrize("failure", [NotSent("refused"), error("SlowDown", 503)])
def test_a_copy_that_was_certainly_not_made_is_retried(failure: Answer | Exception) -> None:
    assert send(failure, OK, once=True) == (OK, 2)


def test_parts_and_questions_may_be_sent_twice() -> None:
    assert send(Lost("cut off"), OK, once=True, query=[("partNumber", "1")]) == (OK, 2)
    assert send(Lost("cut off"), OK, once=True, method="HEAD", headers={}) == (OK, 2)


def test_an_overloaded_server_gets_fewer_requests() -> None:
    async def main() -> tuple[float, float]:
        both = servers(FakeStore())
        before = both.limit.current
        wire = FakeWire(error("SlowDown", 503), OK)
        await both.request(item(), wire, "PUT", "data-lake", "to/a", size=0, **COPY)  # type: ignore[arg-type]
        both.close()
        return before, both.limit.current

    before, after = asyncio.run(main())
    assert after <= before / 2


def test_what_a_copy_showed_is_remembered() -> None:
    async def main() -> None:
        both = servers(FakeStore())
        both.learned(whole_keeps_etag=False)
        both.learned(take_checksum=False)
        assert both.part_copies == type(both.part_copies)(False, True, False)
        both.close()

    asyncio.run(main())
