"""ETags as S3 makes them. The server is moto, which follows the documentation of S3."""

from __future__ import annotations

import itertools
import random

import pytest

from migrator.store import MAX_PARTS, Content, RunningETag, Store, part_count, part_ranges, parts_to_make

MIB = 1 << 20
PLAIN, IN_ONE, IN_FOUR = "0" * 32, "0" * 32 + "-1", "0" * 32 + "-4"


@pytest.mark.parametrize("pieces", [1, 999_983, 16 * MIB])
@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 12 * MIB, 12 * MIB + 1])
def test_as_the_server_makes_it(mock_store: Store, size: int, pieces: int) -> None:
    data = random.Random(size).randbytes(size)
    mock_store.create_bucket("old")
    made = {None: mock_store.put("old", "whole", Content(data, ""))}
    for part_size in (5 * MIB, 6 * MIB) if size else ():
        upload = mock_store.uploads.begin("old", f"{part_size}", {})
        parts = [
            mock_store.uploads.put_part(upload, number, data[first : last + 1])
            for number, (first, last) in enumerate(part_ranges(size, part_size), 1)
        ]
        made[part_size] = mock_store.uploads.finish(upload, parts)
    for known, etag in made.items():
        running = RunningETag.like(etag, known)
        assert running is not None
        for start in range(0, size, max(pieces, size // 50 or 1)):
            running.update(data[start : start + max(pieces, size // 50 or 1)])
        assert running.etag() == etag


def test_parts_of_unknown_size() -> None:
    assert RunningETag.like(IN_FOUR, None) is None
    assert RunningETag.like(PLAIN, None) is not None
    assert [part_count(etag) for etag in (PLAIN, IN_ONE, IN_FOUR, "x-4")] == [0, 1, 4, 0]


@pytest.mark.parametrize(
    ("etag", "known", "expected"),
    [
        (IN_FOUR, 8 * MIB, (8 * MIB, True)),
        (IN_FOUR, 65 * MIB, (16 * MIB, False)),  # too much for the memory
        (IN_FOUR, 4 * MIB, (16 * MIB, False)),  # S3 takes no such parts
        (IN_ONE, 4 * MIB, (4 * MIB, True)),  # but as the last one
        (IN_FOUR, None, (16 * MIB, False)),
        (PLAIN, None, (16 * MIB, False)),
    ],
)
def test_the_parts_to_make(etag: str, known: int | None, expected: tuple[int, bool]) -> None:
    assert parts_to_make(etag, known, 16 * MIB, 64 * MIB, 5 * MIB) == expected


def test_part_ranges_cover_every_byte_once() -> None:
    assert list(part_ranges(10, 4)) == [(0, 3), (4, 7), (8, 9)]
    assert list(part_ranges(8, 4)) == [(0, 3), (4, 7)]
    parts = list(part_ranges(5 * 1024**4, 256 * 1024**2))  # 5 TiB, S3's largest object
    assert len(parts) <= MAX_PARTS
    assert parts[-1][1] == 5 * 1024**4 - 1
    assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(parts))
