"""One object copied, in an event loop among many others, and proven equal to its source.

The bytes are copied by :mod:`~migrator.copying.within_server` or :mod:`~migrator.copying.between_servers`, and the copy
is proven by :mod:`~migrator.copying.proof`. This module decides whether an object is copied at all: an object that was
written at the target since planning is never overwritten, and a source that changed is not copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from migrator.copying.between_servers import CopyBetweenServers
from migrator.copying.concurrency_limit import ConcurrencyLimit
from migrator.copying.free_keys import FreeKeys
from migrator.copying.options import Options
from migrator.copying.outcomes import ContentDropped, Item, Unequal
from migrator.copying.proof import Prover
from migrator.copying.servers import Servers
from migrator.copying.within_server import CopyWithinServer
from migrator.errors import PLAN_AGAIN, Occupied, SourceChanged
from migrator.planfile.copied import Copied
from migrator.progress.counts import RETRIES
from migrator.store import Store
from migrator.store.conditional import ANYTHING
from migrator.store.listing import Page, ask_page

PROOF_ATTEMPTS = 3
"""How often an object is copied if the copy differs from it."""


class Copier:
    """Copies from one store to a bucket of another, or of the same one. Belongs to one event loop."""

    def __init__(self, source: Store, target: Store, bucket: str, options: Options) -> None:
        self._options = options
        self._servers = Servers(source, target, bucket, options)
        self._prover = Prover(self._servers)
        self._free_keys = FreeKeys(self._list_target)
        self._way: CopyWithinServer | CopyBetweenServers
        if self._servers.are_two:
            self._way = CopyBetweenServers(self._servers, self._prover)
        else:
            self._way = CopyWithinServer(self._servers, self._prover, self._free_keys)

    @property
    def limit(self) -> ConcurrencyLimit:
        """The limit for the requests of all copies."""
        return self._servers.limit

    @property
    def requests(self) -> int:
        """How many requests were sent, without those of boto3."""
        return self._servers.requests

    def expect(self, items: Sequence[Item]) -> None:
        """Announce the next items to be copied, in this order."""
        if self._options.look_in_groups and self._servers.writer is not None:
            self._free_keys.expect({item.id: item.target for item in items if not item.is_marker})

    def give_up(self) -> None:
        """Call this when copies are cancelled: boto3's requests in threads cannot be cancelled."""
        self._servers.give_up()

    def close(self) -> None:
        """Close all connections."""
        self._servers.close()

    async def copy(self, item: Item) -> Copied:
        """Copy one object and prove it equal to its source.

        Raises SourceChanged if the source is no longer the object that was planned, Occupied if something else is at
        the target, MigrationFailed if the copy differs from its source (the copy may stay at the target), and other
        StoreErrors. No upload is left behind.
        """
        if item.is_marker:
            # SeaweedFS 4.48 answers for every folder as if it were such a marker. Only an object with bytes was written
            # by somebody.
            existing = await self._servers.find_copy(item)
            if existing is not None and existing.size and existing.etag != item.replaces:
                return await self._accept_existing(item)
            item = replace(item, replaces=ANYTHING)
        elif self._options.look_first and await self._is_occupied(item):
            return await self._accept_existing(item)
        try:
            return await self._copy_until_equal(item)
        except SourceChanged as error:
            corrected = await self._with_etag_of_head(item)
            if corrected is None:
                return await self._accept_existing(item, error)
        try:
            return await self._copy_until_equal(corrected)
        except SourceChanged as error:
            return await self._accept_existing(corrected, error)

    async def _copy_until_equal(self, item: Item) -> Copied:
        """Copy, and copy again over a copy that differs."""
        attempts = 1 if self._options.once else PROOF_ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                return await self._way.copy(item)
            except Unequal as error:
                if attempt == attempts:
                    raise
                RETRIES.add()
                item = replace(item, replaces=error.etag or item.replaces)
        raise AssertionError

    async def _with_etag_of_head(self, item: Item) -> Item | None:
        """The item with the ETag that HeadObject gives, if that is all that differs from the listing. MinIO with
        encryption lists a key that ends in a slash with an ETag that is not the object's."""
        stored = item.stored
        if not stored.key.endswith("/"):
            return None
        now = await self._servers.in_thread(self._servers.source.find, item.bucket, stored.key)
        if now is None or now.size != stored.size or abs(now.modified - stored.modified) >= 1000:
            return None  # HeadObject gives whole seconds
        return None if now.etag == stored.etag else replace(item, stored=replace(stored, etag=now.etag))

    # -- what is at the target -----------------------------------------------------------------------

    async def _is_occupied(self, item: Item) -> bool:
        """True if there is something at the target which this item may not replace."""
        servers = self._servers
        if await self._free_keys.is_free(item.id, item.target):
            return False
        if servers.writer is not None:
            answer = await servers.request(
                item, servers.writer, "HEAD", servers.bucket, item.target, size=0, headers={}
            )
            if answer.status in (200, 404):
                return answer.status == 200 and answer.headers.get("etag", "").strip('"') != item.replaces
        existing = await servers.find_copy(item)
        return existing is not None and existing.etag != item.replaces

    async def _list_target(self, parameters: Mapping[str, str]) -> Page | None:
        """One page of the target; see :func:`migrator.store.listing.ask_page`."""
        assert self._servers.writer is not None
        async with self.limit.slot():
            return await ask_page(self._servers.writer, self._servers.bucket, parameters)

    async def _accept_existing(self, item: Item, error: SourceChanged | None = None) -> Copied:
        """Accept what is at the target if it is equal to the source: it may be our own copy, whose answer was lost or
        which a killed run did not journal. Else raise Occupied, or SourceChanged.

        ``error``: the error of the copy, because a condition on the target or on the source did not hold. If the target
        has no object and the source is as planned, the server counts folders as objects: then copy without a condition.
        """
        servers = self._servers
        existing = await servers.find_copy(item)
        if existing is None or existing.etag == item.replaces:
            source = await servers.in_thread(servers.source.find, item.bucket, item.stored.key)
            if source is None or source.etag != item.stored.etag or existing is not None:
                raise error or SourceChanged(f"{item.place} changed since planning.")
            return await self._way.copy(replace(item, replaces=ANYTHING))
        proof = await self._prover.proof_of(item, existing)
        if proof is not None:
            return Copied(item.id, existing.size, existing.etag, proof, dropped=await servers.dropped(item))
        if item.is_folder_with_content and not existing.size:
            raise ContentDropped(item, servers.bucket)
        raise Occupied(
            f"s3://{servers.bucket}/{item.target} was written by somebody else since planning; it is not overwritten.",
            next_move=PLAN_AGAIN,
        )
