"""How a copy is proven equal to its source.

The ETag of an object that was put in one request is its MD5, so a copy in one request has its source's ETag. The ETag
of an object that was uploaded in parts depends on the parts: a copy in the same parts has the same ETag. If ETags prove
nothing, checksums may, then the bytes of the copy, then the bytes of both. No object is copied again just for a proof.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from migrator.copying.outcomes import ContentDropped, Item, Unequal
from migrator.copying.servers import Servers
from migrator.copying.verify_modes import ALWAYS, NEVER
from migrator.planfile.copied import CHECKSUM, ETAG, KIND_CHANGED, LOST, MD5, NONE, SHA256, Copied
from migrator.store import Checksum, StoredObject, is_md5, part_count, same_by_etag
from migrator.store.checksums import POLYNOMIALS, whole_crc

MAX_PARTS_ASKED = 1_000
"""The most parts whose checksums are requested, one by one. For more parts, reading the object is cheaper."""

WholeChecksum = asyncio.Future[Checksum | None]
"""The checksum over all bytes of a source, which has been requested."""


class Prover:
    """Proves copies equal to their sources."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._etags_are_hashes = True
        """True while the source's ETags seem to be computed from the bytes: those of encrypted objects are not."""

    async def prove(
        self,
        item: Item,
        etag: str,
        *,
        sent_etag: str | None = None,
        read_etag: str | None = None,
        source_checksum: WholeChecksum | None = None,
    ) -> Copied:
        """Try proofs from cheapest to most expensive. Raises Unequal if the copy differs, and ContentDropped.

        ``etag``: what the server answered for the copy. ``sent_etag``: the ETag computed from what we sent.
        ``read_etag``: the ETag computed from what we read, in the source's part layout; None if that is unknown.
        ``source_checksum``: the source's, which has been requested already.
        """
        stored, verify = item.stored, self._servers.options.verify
        if item.is_folder_with_content:
            await self._check_content(item)
        if verify != ALWAYS and same_by_etag(etag, stored.etag):
            return Copied(item.id, stored.size, etag, ETAG)
        done = Copied(item.id, stored.size, etag, NONE)
        if verify != ALWAYS and sent_etag is not None and etag == sent_etag and read_etag == stored.etag:
            return replace(done, proof=MD5)
        if verify == NEVER:
            return done
        copy = await self._servers.find_copy(item)
        if copy is None or copy.size != stored.size:
            what = "is not there" if copy is None else f"has {copy.size} bytes"
            raise Unequal(item, self._servers.bucket, what, copy.etag if copy else None)
        proof = await self.proof_of(item, copy, source_checksum)
        if proof is None:
            raise Unequal(item, self._servers.bucket, "has other bytes", copy.etag)
        return replace(done, etag=copy.etag, proof=proof)  # the answer to the copy request may have had another ETag

    async def proof_of(
        self, item: Item, copy: StoredObject, source_checksum: WholeChecksum | None = None
    ) -> str | None:
        """The proof (one of PROOFS) that ``copy``, an object at the target, has the source's bytes. None if it has
        other bytes."""
        if copy.size != item.stored.size:
            return None
        if self._servers.options.verify != ALWAYS:
            if same_by_etag(copy.etag, item.stored.etag):
                return ETAG
            if await self._same_checksum(item, source_checksum):
                return CHECKSUM
            if await self._copy_hashes_to_source_etag(item):
                return MD5
        return SHA256 if await self._same_bytes(item) else None

    async def checksum_of_source(self, item: Item, algorithm: str | None = None) -> Checksum | None:
        """The checksum over all bytes of the source: the one that its server keeps, or one computed from the checksums
        of its parts. None if there is neither, or if it is of another algorithm than ``algorithm``."""
        kept = await self._servers.in_thread(self._servers.source.checksum, item.bucket, item.stored.key)
        if kept is None or algorithm not in (None, kept.algorithm):
            return None
        if kept.kind == "FULL_OBJECT":
            return kept
        if kept.algorithm not in POLYNOMIALS:
            return None
        value = await self._combined_checksum(item, kept.algorithm)
        return None if value is None else replace(kept, kind="FULL_OBJECT", value=value)

    async def changed_checksum(self, item: Item, kind: str | None) -> str:
        """How the source's checksum changed: one of CHECKSUMS, or "" if the copy has it. ``kind``: FULL_OBJECT or
        COMPOSITE, or None if the source has no checksum."""
        if kind is None:
            return ""
        kept = await self._servers.in_thread(self._servers.target.checksum, self._servers.bucket, item.target)
        if kept is None:
            return LOST
        return "" if kept.kind == kind else KIND_CHANGED

    async def _check_content(self, item: Item) -> None:
        """SeaweedFS stores a key that ends in ``/`` as a directory: its ETag is that of the bytes that were sent, and
        the bytes are dropped. Raises ContentDropped then."""
        copy = await self._servers.find_copy(item)
        if copy is not None and copy.size == 0:
            raise ContentDropped(item, self._servers.bucket)

    # -- single proofs -------------------------------------------------------------------------------

    async def _same_checksum(self, item: Item, source_checksum: WholeChecksum | None) -> bool:
        """True if the server keeps a checksum over all bytes of the copy, and that of the source equals it."""
        kept = await self._servers.in_thread(self._servers.target.checksum, self._servers.bucket, item.target)
        if kept is None or kept.kind != "FULL_OBJECT":
            return False
        return bool(kept == await (source_checksum or self.checksum_of_source(item, kept.algorithm)))

    async def _copy_hashes_to_source_etag(self, item: Item) -> bool:
        """Read the copy, and compare the ETag that its bytes would have at the source with the source's."""
        etag = item.stored.etag
        part_size = await self._servers.source_part_size(item)
        if not self._etags_are_hashes or not is_md5(etag) or (part_size is None and "-" in etag):
            return False
        async with self._servers.limit.slot():
            read = await self._servers.in_thread(
                self._servers.target.etag_in_parts, self._servers.bucket, item.target, part_size
            )
        self._etags_are_hashes = bool(read == etag)
        return self._etags_are_hashes

    async def _same_bytes(self, item: Item) -> bool:
        """Read and hash both objects."""
        servers = self._servers
        async with servers.limit.slot():
            source, copy = await asyncio.gather(
                servers.in_thread(servers.source.sha256, item.bucket, item.stored.key, etag=item.stored.etag),
                servers.in_thread(servers.target.sha256, servers.bucket, item.target),
            )
        return bool(source == copy)

    async def _combined_checksum(self, item: Item, algorithm: str) -> str | None:
        """The checksum over all bytes of the source, computed from those of its parts. None if the server does not
        return these."""
        count = part_count(item.stored.etag)
        if not 0 < count <= MAX_PARTS_ASKED:
            return None
        read = self._servers.source.part_checksum
        parts = await asyncio.gather(
            *(self._servers.in_thread(read, item.bucket, item.stored.key, n + 1) for n in range(count))
        )
        known = [(size, checksum.value) for size, checksum in parts if checksum and checksum.algorithm == algorithm]
        if len(known) != count or sum(size for size, _ in known) != item.stored.size:
            return None
        return whole_crc(algorithm, known)
