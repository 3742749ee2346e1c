"""When an object is copied, copied again, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from copying.fakes import MD5_OF_A, OTHER, FakeStore, FakeWire, error, item
from migrator.copying import copier as module
from migrator.copying.copier import Copier
from migrator.copying.options import Options
from migrator.copying.outcomes import Item, Unequal
from migrator.errors import MigratorError, Occupied, SourceChanged
from migrator.planfile.copied import ETAG, Copied
from migrator.store import StoredObject
from migrator.store.conditional import ANYTHING
from migrator.store.wire import Answer


class Way:
    """Replaces the copying itself: returns these outcomes, one for each copy."""

    def __init__(self, *outcomes: Copied | MigratorError) -> None:
        self.outcomes = list(outcomes)
        self.copied: list[Item] = []

    async def copy(self, item: Item) -> Copied:
        self.copied.append(item)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, MigratorError):
            raise outcome
        return outcome


DONE = Copied(7, 1, MD5_OF_A, ETAG)
CHANGED = SourceChanged("s3://from/a changed since planning.")


def at(key: str, etag: str, size: int = 1) -> dict[str, StoredObject]:
    return {key: StoredObject(key, size, etag, 0)}


def copy(store: FakeStore, way: Way, one: Item | None = None, options: Options | None = None) -> Copied:
    async def main() -> Copied:
        copier = Copier(store, store, "data-lake", options or Options())  # type: ignore[arg-type]
        copier._way = way  # type: ignore[assignment]
        try:
            return await copier.copy(one or item())
        finally:
            copier.close()

    return asyncio.run(main())


def test_nothing_is_asked_where_the_write_itself_is_conditional() -> None:
    store, way = FakeStore(), Way(DONE)
    assert copy(store, way) == DONE
    assert way.copied == [item()] and store.asked == []


def test_where_it_is_not_the_target_is_looked_at_first() -> None:
    way = Way(DONE)
    assert copy(FakeStore(), way, options=Options(look_first=True)) == DONE and way.copied == [item()]
    occupied = FakeStore({**at("to/a", OTHER, 2)})
    with pytest.raises(Occupied, match=r"s3://data-lake/to/a was written by somebody else.*it is not overwritten"):
        copy(occupied, way := Way(), options=Options(look_first=True))
    assert way.copied == []


def test_an_object_that_may_be_replaced_is_replaced() -> None:
    way, replacing = Way(DONE), item(replaces=OTHER)
    assert copy(FakeStore(at("to/a", OTHER)), way, replacing, Options(look_first=True)) == DONE
    assert way.copied == [replacing]


@pytest.mark.parametrize(
    ("answer", "copied"),
    [(Answer(404, {}, b""), 1), (Answer(200, {"etag": f'"{OTHER}"'}, b""), 0), (error("AccessDenied", 403), 1)],
)
def test_a_head_request_is_enough_to_look(answer: Answer, copied: int) -> None:
    async def main() -> int:
        store, way = FakeStore(), Way(DONE)
        copier = Copier(store, store, "data-lake", Options(look_first=True))  # type: ignore[arg-type]
        copier._servers.writer = wire = FakeWire(answer)  # type: ignore[assignment]
        copier._way = way  # type: ignore[assignment]
        try:
            await copier.copy(item())
        except SourceChanged:
            pass
        finally:
            copier._servers.writer = None
            copier.close()
        assert wire.sent == ["HEAD data-lake/to/a"]
        return len(way.copied)

    assert asyncio.run(main()) == copied


def test_our_own_copy_whose_answer_was_lost_is_recognized() -> None:
    store = FakeStore(at("to/a", MD5_OF_A))
    assert copy(store, Way(CHANGED)) == DONE


def test_a_changed_source_is_not_copied() -> None:
    store = FakeStore(at("a", OTHER))
    with pytest.raises(SourceChanged):
        copy(store, way := Way(CHANGED))
    assert len(way.copied) == 1


def test_a_folder_that_the_server_takes_for_an_object_is_no_obstacle() -> None:
    """Both are as planned, and still the condition failed: it is left out."""
    store, way = FakeStore(at("a", MD5_OF_A)), Way(CHANGED, DONE)
    assert copy(store, way) == DONE
    assert way.copied == [item(), item(replaces=ANYTHING)]


def test_a_copy_that_differs_is_made_again_over_itself() -> None:
    way = Way(Unequal(item(), "data-lake", "has other bytes", OTHER), DONE)
    assert copy(FakeStore(), way) == DONE
    assert way.copied == [item(), item(replaces=OTHER)]


@pytest.mark.parametrize(("once", "attempts"), [(False, module.PROOF_ATTEMPTS), (True, 1)])
def test_it_ends_with_an_error_if_it_stays_so(once: bool, attempts: int) -> None:
    way = Way(*[Unequal(item(), "data-lake", "has other bytes", OTHER)] * 9)
    with pytest.raises(Unequal):
        copy(FakeStore(), way, options=Options(once=once))
    assert len(way.copied) == attempts


@pytest.fixture
def folder() -> Iterator[Item]:
    """An object whose key ends in a slash."""
    yield item(key="f/")


def test_the_etag_of_the_object_replaces_that_of_a_listing(folder: Item) -> None:
    store, way = FakeStore(at("f/", OTHER)), Way(CHANGED, replace(DONE, etag=OTHER))
    assert copy(store, way, folder).etag == OTHER
    assert [one.stored.etag for one in way.copied] == [MD5_OF_A, OTHER]


@pytest.mark.parametrize("now", [StoredObject("f/", 2, OTHER, 0), StoredObject("f/", 1, OTHER, 1000)])
def test_but_not_if_the_object_is_another_one(folder: Item, now: StoredObject) -> None:
    with pytest.raises(SourceChanged):
        copy(FakeStore({"f/": now}), Way(CHANGED), folder)


def test_markers_of_folders_replace_nothing_that_has_bytes() -> None:
    marker, way = item(size=0, key="f/"), Way(DONE)
    assert copy(FakeStore(at("to/f/", OTHER, 0)), way, marker) == DONE
    assert way.copied[0].replaces == ANYTHING
    with pytest.raises(Occupied):
        copy(FakeStore(at("to/f/", OTHER, 1)), Way(), marker)
