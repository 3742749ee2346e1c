"""One upload in parts: the parts are put together in their order, and nothing is left of an upload that fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from copying.fakes import FakeStore, item, refuse, servers
from migrator.copying.options import Options
from migrator.copying.outcomes import AnswerLost, Unequal
from migrator.copying.responses import Refused
from migrator.copying.upload import upload_in_parts
from migrator.errors import AccessDenied, SourceChanged, Unreachable
from migrator.store import Upload
from migrator.store.uploads import WrongChecksums

RANGES = [(0, 4), (5, 9), (10, 10)]


async def write_part(upload: Upload, number: int, start: int, end: int) -> Mapping[str, str]:
    await asyncio.sleep(0)
    return {"ETag": f"{number}"}


def upload(store: FakeStore, write: Any = write_part, attributes: Any = None, *, once: bool = False) -> str:
    async def main() -> str:
        both = servers(store, options=Options(once=once))
        try:
            return await upload_in_parts(both, item(), attributes or {}, RANGES, write)
        finally:
            both.close()

    return asyncio.run(main())


def raises(error: Exception) -> Any:
    def finish() -> str:
        raise error

    return finish


def test_all_parts_are_put_together_in_their_order() -> None:
    store = FakeStore()
    assert upload(store) == "etag-1"
    assert store.asked == ["begin", "finish [1, 2, 3]"]


def test_a_part_that_fails_leaves_nothing() -> None:
    async def fail(_: Upload, number: int, *__: int) -> Mapping[str, str]:
        if number == 2:
            raise SourceChanged("it changed")
        await asyncio.sleep(3600)
        raise AssertionError

    store = FakeStore()
    with pytest.raises(SourceChanged):
        upload(store, fail)
    assert store.asked == ["begin", "abort"]


@pytest.mark.parametrize("error", [AccessDenied("no"), SourceChanged("no"), Unreachable("no")])
def test_what_the_server_says_at_the_end_is_passed_on(error: Exception) -> None:
    store = FakeStore(finish=raises(error))
    with pytest.raises(type(error)):
        upload(store)
    assert store.asked[-1] == "abort"


def test_parts_that_do_not_fit_together_are_an_unequal_copy() -> None:
    with pytest.raises(Unequal, match="could not be put together: it says no"):
        upload(FakeStore(finish=lambda: refuse("it says no")))


def test_a_lost_answer_is_reported_where_nothing_may_be_there_twice() -> None:
    with pytest.raises(AnswerLost):
        upload(FakeStore(finish=raises(Unreachable("away"))), once=True)


def test_a_server_that_takes_no_checksum_of_parts_is_remembered() -> None:
    store = FakeStore(finish=raises(WrongChecksums("whose are these?")))
    with pytest.raises(Refused) as refusal:
        upload(store, attributes={"ChecksumAlgorithm": "CRC32"})
    assert refusal.value.code == "InvalidRequest" and not store.part_copies.take_checksum
    with pytest.raises(Unequal):  # without one, it is about the parts
        upload(store)
