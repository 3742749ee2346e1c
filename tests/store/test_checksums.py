"""Checksums of a whole object, from those of its parts."""

from __future__ import annotations

import base64
import random
import zlib

import pytest

from migrator.store.checksums import whole_crc


def written(crc: int) -> str:
    return base64.b64encode(crc.to_bytes(4, "big")).decode()


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(("name", "of"), [("CRC32", zlib.crc32), ("CRC32C", crc32c)])
def test_the_checksum_of_all_bytes_follows_from_those_of_the_parts(name, of):
    chance = random.Random(7)
    for sizes in (
        [1],
        [5, 3],
        [1000, 1000, 1],
        [0, 4, 0],
        [1 << 10] * 5 + [17],
        [chance.randrange(900) for _ in range(9)],
    ):
        parts = [chance.randbytes(size) for size in sizes]
        for order in (parts, parts[::-1]):
            given = [(len(part), written(of(part))) for part in order]
            assert whole_crc(name, given) == written(of(b"".join(order)))


def test_crc32c_is_the_one_of_rfc_3720():
    assert crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", written(1) + "-3"])
def test_what_is_no_checksum_is_refused(text):
    with pytest.raises(ValueError):
        whole_crc("CRC32", [(4, text)])


def test_other_algorithms_cannot_be_combined():
    with pytest.raises(KeyError):
        whole_crc("SHA256", [(4, written(1))])
