"""A key counts as free only if a listing proves it, on any server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from urllib.parse import quote

import pytest

from migrator.copying import free_keys
from migrator.copying.free_keys import GROUP, LEAST_GROUP, PAUSE_GROUPS, FreeKeys, proven_free
from migrator.store.listing import Page, StoredObject, parse_page
from migrator.store.wire import Lost

ALPHABET = ("a", "b", "/", "-", "0", "é", "😀", "\uffff")


@pytest.fixture(autouse=True)
def _listings_stay_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listing stays valid for the whole test, also on a busy machine."""
    monkeypatch.setattr(free_keys, "MAX_AGE_SECONDS", float("inf"))


def some_keys(chance: random.Random, count: int) -> list[str]:
    below = "".join(chance.choices(ALPHABET, k=chance.randint(0, 3)))
    return list({below + "".join(chance.choices(ALPHABET, k=chance.randint(1, 4))) for _ in range(count)})


def utf8(key: str) -> bytes:
    return key.encode()


class Target:
    """A target in memory. ``order``: in which its server lists; ``broken``: what it answers instead."""

    def __init__(self, keys: set[str], order: Callable[[str], object] = utf8, broken: bytes | None = None) -> None:
        self.keys, self.order, self.broken = keys, order, broken
        self.asked: list[Mapping[str, str]] = []
        self.cut = False

    async def list(self, parameters: Mapping[str, str]) -> Page | None:
        self.asked.append(dict(parameters))
        await asyncio.sleep(0)
        if self.broken is not None:
            return parse_page(self.broken)
        prefix, after, most = parameters["prefix"], parameters["start-after"], int(parameters["max-keys"])
        if after and not after.startswith(prefix):
            return parse_page(listing([], False))  # MinIO
        found = sorted((key for key in self.keys if key.startswith(prefix)), key=self.order)
        found = [key for key in found if self.order(key) > self.order(after)]  # type: ignore[operator]
        self.cut = self.cut or len(found) > most
        return parse_page(listing(found[:most], len(found) > most))


def listing(keys: list[str], more: bool) -> bytes:
    entries = "".join(
        f"<Contents><Key>{quote(key)}</Key><Size>1</Size><ETag>e</ETag>"
        "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
        for key in keys
    )
    rest = "<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
    if not more:
        rest = "<IsTruncated>false</IsTruncated>"
    return f"<ListBucketResult><EncodingType>url</EncodingType>{entries}{rest}</ListBucketResult>".encode()


def free(target: Target, keys: list[str], *, took: float | None = None) -> set[str]:
    """The ``keys`` that are reported as free, if they are asked for in groups. ``took``: the time of a copy."""

    async def ask() -> set[str]:
        looked = FreeKeys(target.list)
        looked.expect(dict(enumerate(keys)))
        if took is not None:
            looked.copy_took(took)
        found: list[bool] = []
        for start in range(0, len(keys), GROUP):
            some = range(start, min(start + GROUP, len(keys)))
            found += await asyncio.gather(*(looked.is_free(id, keys[id]) for id in some))
        assert not any([await looked.is_free(id, key) for id, key in enumerate(keys)])  # asked once for each copy
        return {key for key, known in zip(keys, found, strict=True) if known}

    return asyncio.run(ask())


@pytest.mark.parametrize("seed", range(200))
def test_a_key_that_is_reported_as_free_is_free(seed: int) -> None:
    chance = random.Random(seed)
    keys = some_keys(chance, chance.choice((10, 40, 100)))
    there = set(chance.sample(keys, chance.randint(0, len(keys) // 2))) | set(some_keys(chance, 150))
    target = Target(there)
    told = free(target, keys)
    assert not told & there
    for asked in target.asked:
        assert asked["start-after"].startswith(asked["prefix"])
    assert len(target.asked) <= -(-len(keys) // GROUP)
    rest = len(keys) % GROUP
    asked = keys if rest >= LEAST_GROUP or not rest else keys[:-rest]
    assert told == set(asked) - there or target.cut


def test_one_listing_is_enough_for_a_whole_group_in_an_empty_target() -> None:
    keys = [f"bronze/t/part-{n:04}" for n in range(2 * GROUP)]
    target = Target(set())
    assert free(target, keys) == set(keys) and len(target.asked) == 2


def test_what_lies_beyond_the_end_of_a_page_is_not_known() -> None:
    keys = [f"t/{n:03}" for n in range(GROUP)]
    crowd = {f"t/009.{n}" for n in range(3 * GROUP)}
    told = free(Target(crowd), keys)
    assert {"t/000", "t/009"} <= told and "t/031" not in told


def test_a_listing_without_order_or_that_is_none_proves_nothing() -> None:
    keys = [f"t/{n:03}" for n in range(GROUP)]
    assert free(Target({"t/001", "t/0020", "t/0030"}, order=lambda key: key[::-1]), keys) == set()
    assert free(Target(set(), broken=b"<html>log in</html>"), keys) == set()

    class Refusing(Target):
        async def list(self, parameters: Mapping[str, str]) -> None:
            return None

    class Away(Target):
        async def list(self, parameters: Mapping[str, str]) -> Page | None:
            raise Lost("no answer")

    assert free(Refusing(set()), keys) == free(Away(set()), keys) == set()
    entries = [StoredObject(key, 1, "e", 0) for key in ("t/002", "t/001")]
    assert proven_free(keys, "t/", Page(entries, [], None)) == frozenset()
    assert proven_free(keys, "t/", Page([], [], "more")) == frozenset()
    assert proven_free(keys, "t/", Page([], ["t/0/"], None)) == frozenset()


def test_slow_listings_are_replaced_by_requests_for_a_while() -> None:
    keys = [f"t/{n:05}" for n in range((PAUSE_GROUPS + 2) * GROUP)]
    target = Target(set())
    told = free(target, keys, took=0.0)  # any listing takes longer than this
    assert len(target.asked) == 2
    assert told == set(keys[:GROUP]) | set(keys[-GROUP:])


def test_an_old_listing_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(free_keys, "MAX_AGE_SECONDS", 0.0)
    assert free(Target(set()), [f"t/{n}" for n in range(GROUP)]) == set()


def test_a_cancelled_copy_leaves_the_others_of_its_group_their_answer() -> None:
    async def ask(first: int) -> list[object]:
        target = Target(set())
        looked = FreeKeys(target.list)
        keys = {n: f"t/{n:02}" for n in range(GROUP)}
        looked.expect(keys)
        tasks = [asyncio.ensure_future(looked.is_free(id, key)) for id, key in keys.items()]
        await asyncio.sleep(0)
        tasks[first].cancel()
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    for first in (0, 5):  # the one that lists, and one that waits
        answers = asyncio.run(ask(first))
        assert isinstance(answers.pop(first), asyncio.CancelledError)
        assert set(answers) == {True}
