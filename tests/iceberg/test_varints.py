"""Integers of variable length, checked with the examples of the Protocol Buffers documentation, and by decoding what
was encoded."""

from __future__ import annotations

import pytest

from migrator.iceberg.malformed import Malformed
from migrator.iceberg.varints import read_varint, write_varint


@pytest.mark.parametrize(("number", "encoded"), [(0, "00"), (1, "01"), (127, "7f"), (128, "8001"), (150, "9601")])
def test_known_encodings(number: int, encoded: str) -> None:
    assert write_varint(number).hex() == encoded
    assert read_varint(bytes.fromhex(encoded), 0) == (number, len(encoded) // 2)


def test_every_width_comes_back_from_the_middle_of_the_data() -> None:
    for bits in range(65):
        for number in {(1 << bits) - 1, (1 << bits) // 2}:
            encoded = write_varint(number)
            assert read_varint(b"\xff" + encoded + b"\xff", 1) == (number, 1 + len(encoded))
            for cut in range(len(encoded)):
                with pytest.raises(IndexError):
                    read_varint(encoded[:cut], 0)


def test_more_than_64_bits_are_malformed() -> None:
    with pytest.raises(Malformed, match="more than 64 bits"):
        read_varint(write_varint(1 << 64), 0)
    with pytest.raises(Malformed, match="longer than ten bytes"):
        read_varint(b"\x80" * 10 + b"\0", 0)
