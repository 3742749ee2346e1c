"""Waits until nobody writes to the old buckets: until the pointers of the tables, and the listings, have been still."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from migrator.catalogs import Catalog
from migrator.errors import PlanStale, first_names
from migrator.inventory.listing import list_sources
from migrator.progress import Progress
from migrator.store import Store

SHOWN = 5
POLLS = 4
"""How often the lake is read, at least, while it must be still."""


@dataclass(frozen=True)
class Stillness:
    """What must not change: the metadata file of each table, and (objects, bytes, digest) of each old bucket."""

    pointers: Mapping[str, str]
    buckets: Mapping[str, tuple[int, int, int]]

    def changed_since(self, before: Stillness) -> list[str]:
        """The names of the tables and buckets that have changed."""
        tables = {n for n, _ in self.pointers.items() ^ before.pointers.items()}
        buckets = {f"s3://{n}/" for n, _ in self.buckets.items() ^ before.buckets.items()}
        return [*sorted(tables), *sorted(buckets)]


def look(
    store: Store,
    catalogs: Mapping[str, Catalog],
    places: Sequence[tuple[str, str]],
    progress: Progress,
    others: Container[str] = (),
) -> Stillness:
    """The lake as it is now, in flat memory. ``others``: the identifiers of the tables that may be in use, because they
    are not part of this wave. Raises StoreError or CatalogError."""
    buckets = {bucket: (0, 0, 0) for bucket, _ in places}
    for bucket, page in list_sources(store, places, progress):
        count, size, digest = buckets[bucket]
        for found in page:  # a sum, because a listing has no order
            one = hashlib.blake2b(f"{found.key}\0{found.etag}\0{found.modified}".encode(), digest_size=8).digest()
            digest = (digest + int.from_bytes(one, "big")) & (1 << 64) - 1
        buckets[bucket] = (count + len(page), size + sum(found.size for found in page), digest)
    named = [table for catalog in catalogs.values() for table in catalog.tables()]
    return Stillness({t.identifier: t.metadata_location for t in named if t.identifier not in others}, buckets)


def wait_until_quiet(
    look_again: Callable[[], Stillness],
    quiet_for: float,
    wait: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> float:
    """Return since when the lake has been still, by ``clock``: the start of the first reading that equals all later
    ones. They equal it for at least ``quiet_for`` seconds after its end. Raises PlanStale, with what is still written
    to, if the lake is not still within ``wait`` seconds.
    """
    began = since = clock()
    seen, changed = look_again(), ["nothing was compared yet"]
    seen_at = clock()
    while True:
        sleep(quiet_for / POLLS)
        looked = clock()
        now = look_again()
        if now != seen:
            changed = now.changed_since(seen)
            seen, since, seen_at = now, looked, clock()
        elif looked - seen_at >= quiet_for:
            return since
        if clock() - began > wait + quiet_for:
            raise PlanStale(
                f"The lake is still written to, after {wait:,.0f} s: {first_names(changed, SHOWN)}. "
                "Nothing was cut over.",
                next_move="Stop the writers, and run the same command again; or wait longer with --wait.",
            )
