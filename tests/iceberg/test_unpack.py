"""Bounded decompression of zstandard and snappy, which several file formats share."""

from __future__ import annotations

import pyarrow as pa
import pytest
import zstandard

from migrator.iceberg import bounds
from migrator.iceberg.malformed import Malformed
from migrator.iceberg.unpack import unsnappy, unzstd

TEXT = b"s3://bronze/orders/data/a.parquet " * 40


def test_all_frames_of_zstandard_are_read() -> None:
    frame = zstandard.ZstdCompressor().compress(TEXT)
    assert unzstd(frame) == TEXT
    assert unzstd(frame + frame) == TEXT * 2
    with pytest.raises(Malformed, match="ends too early"):
        unzstd(frame + frame[:-2])


def test_zstandard_stops_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = zstandard.ZstdCompressor().compress(TEXT)
    monkeypatch.setattr(bounds, "ALWAYS", len(TEXT) - 1)
    monkeypatch.setattr(bounds, "MOST", len(TEXT) - 1)
    with pytest.raises(Malformed, match="unpacks to more than 1,359 bytes"):
        unzstd(frame)


def test_snappy_comes_back() -> None:
    for text in (TEXT, b"", b"x", b"x" * 100_000):
        packed = pa.Codec("snappy").compress(text, asbytes=True)
        assert unsnappy(packed, len(text)) == text


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda packed: b"", "ends too early"),
        (lambda packed: b"\x80", "ends too early"),
        (lambda packed: packed[:-1], "is damaged"),
        (lambda packed: b"\x01" + packed[2:], "is damaged"),
        (lambda packed: b"\xff\xff\xff\xff\x7f" + packed[2:], "announces 34359738367 bytes"),
        (lambda packed: packed, "announces 1360 bytes"),
    ],
)
def test_damaged_snappy_is_malformed(change, reason) -> None:
    packed = pa.Codec("snappy").compress(TEXT, asbytes=True)
    with pytest.raises(Malformed, match=reason):
        unsnappy(change(packed), len(TEXT) - 1 if change(packed) == packed else 1 << 40)
