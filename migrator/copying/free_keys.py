"""Finds which of many target keys are free, with one listing.

Some servers ignore conditions on CopyObject (MinIO), so before each copy we must check whether its target key has an
object. One short listing for a group of copies costs the server far less than a HeadObject for each. Only a key that
the listing proves to be free counts as free; every other key gets its own request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from migrator.store.answers import Absurd
from migrator.store.listing import Page
from migrator.store.wire import Lost

GROUP = 64
"""How many copies share a listing. With more, more time would pass between the listing and the last copy."""
LEAST_GROUP = 8
"""Fewer copies are not worth a listing."""
MAX_AGE_SECONDS = 1.0
"""A listing older than this proves nothing. So with a slow or overloaded server, we send one request for each key."""
SLOW = 4.0
"""A listing that takes this many times as long as a copy costs more than it saves: MinIO reads a whole folder for
it."""
PAUSE_GROUPS = 16
"""After a slow listing, this many groups get one request for each key."""
_SMOOTHING = 0.1

AskPage = Callable[[Mapping[str, str]], Awaitable[Page | None]]
"""The parameters of a ListObjectsV2 request → a page of the target, as :func:`migrator.store.listing.ask_page`."""


@dataclass
class _Group:
    """Copies that share a listing."""

    targets: list[str]
    free: frozenset[str] | None = None
    """Those that are proven free; None: not listed yet."""
    asked: float = 0.0
    """When the listing was asked for, by time.monotonic()."""
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class FreeKeys:
    """Knows which keys of the target are free. Belongs to one event loop."""

    def __init__(self, ask_page: AskPage) -> None:
        self._ask_page = ask_page
        self._groups: dict[int, _Group] = {}
        self._copy_seconds: float | None = None
        self._pause = 0

    def expect(self, targets: Mapping[int, str]) -> None:
        """Announce the next copies, in this order. ``targets``: id of the copy → key of the target."""
        ids = list(targets)
        for start in range(0, len(ids), GROUP):
            if len(ids) - start >= LEAST_GROUP:
                some = ids[start : start + GROUP]
                group = _Group([targets[id] for id in some])
                self._groups |= dict.fromkeys(some, group)

    def copy_took(self, seconds: float) -> None:
        """Note how many seconds a copy with one request took."""
        before = seconds if self._copy_seconds is None else self._copy_seconds
        self._copy_seconds = before + (seconds - before) * _SMOOTHING

    async def is_free(self, id: int, target: str) -> bool:
        """True if a listing that was just made proves that nothing is at ``target``; False if that is not known. Call
        this once for each copy."""
        group = self._groups.pop(id, None)
        if group is None:
            return False
        async with group.asking:
            if group.free is None:
                group.asked = time.monotonic()
                group.free = await self._list(group)
        return target in group.free and time.monotonic() - group.asked < MAX_AGE_SECONDS

    async def _list(self, group: _Group) -> frozenset[str]:
        """List the part of the target where the keys of the group are; return those that are proven free."""
        if self._pause:
            self._pause -= 1
            return frozenset()
        first, last = min(group.targets), max(group.targets)
        after = first[:-1]
        # All keys between two keys begin with the common prefix of both. MinIO lists nothing if StartAfter lacks the
        # prefix.
        common = takewhile(lambda pair: pair[0] == pair[1], zip(after, last, strict=False))
        parameters = {
            "prefix": "".join(letter for letter, _ in common),
            "start-after": after,
            "max-keys": str(GROUP),
        }
        try:
            page = await self._ask_page(parameters)
        except (Lost, Absurd):
            page = None
        took = time.monotonic() - group.asked
        if page is None or (self._copy_seconds is not None and took > SLOW * self._copy_seconds):
            self._pause = PAUSE_GROUPS
        if page is None:
            return frozenset()
        return proven_free(group.targets, after, page)


def proven_free(targets: Sequence[str], after: str, page: Page) -> frozenset[str]:
    """The ``targets`` that a listing of all keys after ``after`` proves to be free: those that are not on this page,
    and not after its last key. Empty if the page is not in the order of the keys' UTF-8 bytes, or has folders."""
    keys = [entry.key.encode() for entry in page.entries]
    if keys != sorted(set(keys)) or page.folders:
        return frozenset()
    if page.token is not None and not keys:
        return frozenset()
    listed, last = set(keys), keys[-1] if page.token is not None else None
    return frozenset(
        target
        for target in targets
        if target > after and (key := target.encode()) not in listed and (last is None or key < last)
    )
