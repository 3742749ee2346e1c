"""Which proof is used, and what never counts as a proof."""

from __future__ import annotations

import asyncio
import base64
import zlib
from dataclasses import replace
from typing import Any

import pytest

from copying.fakes import MD5_OF_A, OTHER, FakeStore, item, servers
from migrator.copying.options import Options
from migrator.copying.outcomes import ContentDropped, Item, Unequal
from migrator.copying.proof import Prover
from migrator.planfile.copied import CHECKSUM, ETAG, KIND_CHANGED, LOST, MD5, NONE, SHA256, Copied
from migrator.store import Checksum, StoredObject

FULL = Checksum("CRC32", "x", "FULL_OBJECT")


def copy_with(etag: str, size: int = 1) -> dict[str, StoredObject]:
    return {"to/a": StoredObject("to/a", size, etag, 0)}


def prove(store: FakeStore, copied: Item, etag: str, verify: str = "auto", **known: Any) -> Copied:
    async def main() -> Copied:
        both = servers(store, options=Options(verify=verify))
        try:
            return await Prover(both).prove(copied, etag, **known)
        finally:
            both.close()

    return asyncio.run(main())


@pytest.mark.parametrize("verify", ["auto", "never", "always"])
@pytest.mark.parametrize("etag", [MD5_OF_A, OTHER])
def test_a_key_that_ends_in_a_slash_must_have_kept_its_content(verify: str, etag: str) -> None:
    """SeaweedFS answers with the ETag of the bytes that were sent, and drops them."""
    store = FakeStore({"to/a/": StoredObject("to/a/", 0, etag, 0)})
    with pytest.raises(ContentDropped, match="does not keep the content of an object whose key ends in /"):
        prove(store, item(key="a/"), etag, verify)
    empty = FakeStore({"to/a/": StoredObject("to/a/", 0, etag, 0)})
    assert prove(empty, item(etag, 0, "a/"), etag, "auto").proof == ETAG and not empty.asked
    store.objects["to/a/"] = StoredObject("to/a/", 1, MD5_OF_A, 0)
    assert prove(store, item(key="a/"), MD5_OF_A, "auto").proof == ETAG


@pytest.mark.parametrize("verify", ["auto", "never"])
def test_an_equal_etag_is_a_proof_that_costs_no_request(verify: str) -> None:
    store = FakeStore()
    assert prove(store, item(), MD5_OF_A, verify) == Copied(7, 1, MD5_OF_A, ETAG)
    assert store.asked == []


def test_always_reads_both_even_if_the_etags_are_equal() -> None:
    store = FakeStore(copy_with(MD5_OF_A), hashes={"a": "h", "to/a": "h"})
    assert prove(store, item(), MD5_OF_A, "always").proof == SHA256
    assert sorted(store.asked) == ["find", "sha256", "sha256"]
    store.hashes["to/a"] = "another"
    with pytest.raises(Unequal, match="has other bytes"):
        prove(store, item(), MD5_OF_A, "always")


def test_never_reads_nothing() -> None:
    store = FakeStore()
    assert prove(store, item(), OTHER, "never").proof == NONE and store.asked == []


@pytest.mark.parametrize(
    ("sent", "read", "proof"),
    [
        (OTHER, MD5_OF_A, MD5),
        (OTHER, None, SHA256),  # what was read is not known to be the source
        (OTHER, "1" * 32, SHA256),
        ("1" * 32, MD5_OF_A, SHA256),  # the target does not have what was sent
        (None, MD5_OF_A, SHA256),
    ],
)
def test_what_was_read_and_sent_is_a_proof_if_both_ends_agree(sent: str | None, read: str | None, proof: str) -> None:
    store = FakeStore(copy_with(OTHER), hashes={"a": "h", "to/a": "h"})
    assert prove(store, item(), OTHER, sent_etag=sent, read_etag=read).proof == proof


def test_a_copy_that_is_missing_or_has_another_size_is_unequal() -> None:
    with pytest.raises(Unequal, match="is not there") as missing:
        prove(FakeStore(), item(), OTHER)
    assert missing.value.etag is None
    with pytest.raises(Unequal, match="has 2 bytes") as longer:
        prove(FakeStore(copy_with("1" * 32, 2)), item(), OTHER)
    assert longer.value.etag == "1" * 32


def test_the_etag_of_the_copy_is_what_the_target_says_at_last() -> None:
    store = FakeStore(copy_with(MD5_OF_A))
    assert prove(store, item(), OTHER) == Copied(7, 1, MD5_OF_A, ETAG)


@pytest.mark.parametrize(
    ("source", "copy", "proof"),
    [
        (FULL, FULL, CHECKSUM),
        (FULL, replace(FULL, value="y"), SHA256),
        (FULL, replace(FULL, algorithm="SHA1"), SHA256),
        (replace(FULL, kind="COMPOSITE"), replace(FULL, kind="COMPOSITE"), SHA256),
        (None, FULL, SHA256),
        (FULL, None, SHA256),
    ],
)
def test_checksums_are_compared_only_if_they_are_over_all_bytes(
    source: Checksum | None, copy: Checksum | None, proof: str
) -> None:
    kept = {key: checksum for key, checksum in (("a", source), ("to/a", copy)) if checksum}
    store = FakeStore(copy_with("e-1"), checksums=kept, hashes={"a": "h", "to/a": "h"})
    assert prove(store, item("opaque"), "e-1").proof == proof


def crc(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def test_the_checksums_of_the_parts_give_the_one_of_the_whole() -> None:
    parts = [(3, Checksum("CRC32", crc(b"abc"), "")), (2, Checksum("CRC32", crc(b"de"), ""))]
    kept = {"a": Checksum("CRC32", "x-2", "COMPOSITE"), "to/a": Checksum("CRC32", crc(b"abcde"), "FULL_OBJECT")}
    store = FakeStore(copy_with(OTHER, 5), checksums=kept, part_checksums=list(parts), hashes={"a": "h", "to/a": "h"})
    parted = item(f"{OTHER}-2", 5)
    assert prove(store, parted, OTHER).proof == CHECKSUM
    # The parts are not those of this object, or one of them has no checksum.
    for wrong in ([parts[0], parts[0]], [parts[0], (2, None)]):
        store.part_checksums = wrong
        assert prove(store, parted, OTHER).proof == SHA256


def test_a_copy_is_read_if_its_bytes_can_have_the_source_s_etag() -> None:
    store = FakeStore(copy_with("opaque"), hashes={"a": "h", "to/a": MD5_OF_A})
    assert prove(store, item(), "opaque").proof == MD5
    assert "sha256" not in store.asked


def test_once_etags_turn_out_to_be_no_hashes_they_are_not_tried_again() -> None:
    store = FakeStore(copy_with("opaque"), hashes={"a": "h", "to/a": "h"})

    async def main() -> None:
        both = servers(store)
        prover = Prover(both)
        assert (await prover.prove(item(), "opaque")).proof == SHA256
        assert (await prover.prove(item(), "opaque")).proof == SHA256
        both.close()

    asyncio.run(main())
    assert store.asked.count("etag_in_parts") == 1


def test_the_etag_of_parts_of_unknown_size_is_not_compared() -> None:
    store = FakeStore(copy_with("opaque"), hashes={"a": "h", "to/a": "h"})
    assert prove(store, item(f"{OTHER}-3"), "opaque").proof == SHA256
    assert "etag_in_parts" not in store.asked


@pytest.mark.parametrize(
    ("kind", "copy", "expected"),
    [
        (None, FULL, ""),
        ("FULL_OBJECT", FULL, ""),
        ("COMPOSITE", FULL, KIND_CHANGED),
        ("FULL_OBJECT", None, LOST),
    ],
)
def test_what_became_of_the_checksum(kind: str | None, copy: Checksum | None, expected: str) -> None:
    async def main() -> str:
        both = servers(FakeStore(checksums={"to/a": copy} if copy else {}))
        try:
            return await Prover(both).changed_checksum(item(), kind)
        finally:
            both.close()

    assert asyncio.run(main()) == expected
