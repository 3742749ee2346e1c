"""Which files a checkpoint must have."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.carriers.checkpoints import (
    COMMITS,
    METADATA,
    NARROW,
    OFFSETS,
    SOURCES,
    Checkpoint,
    Part,
    missing_between,
    part_of,
)

KEYS = {
    "metadata": Part("", METADATA),
    "c/metadata": Part("c", METADATA),
    "c/offsets/0": Part("c", OFFSETS, 0),
    "a/b c/commits/12": Part("a/b c", COMMITS, 12),
    "offsets/7": Part("", OFFSETS, 7),
    "c/sources/0/offsets/0": None,
    "sources/12/offsets/0": None,
    "c/offsets/.0.crc": None,
    "c/offsets/.3.4f2a.tmp": None,
    "c/offsets/": None,
    "c/offsets/1/2": None,
    "c/offsets/" + "9" * 30: None,
    "t/metadata/v1.metadata.json": None,
    "metadata.json": None,
    "c/sources/0/0": Part("c", SOURCES),
    "sources/3/19.compact": Part("", SOURCES),
    "c/sources/0/.0.crc": None,
    "c/sources/x/0": None,
}


@pytest.mark.parametrize(("key", "part"), KEYS.items())
def test_parts_by_their_keys(key: str, part: Part | None) -> None:
    assert part_of(key) == part


@pytest.mark.parametrize("key", [key for key, part in KEYS.items() if part is not None])
def test_the_condition_selects_every_part(key: str) -> None:
    with closing(sqlite3.connect(":memory:")) as db:
        assert db.execute(f"SELECT 1 FROM (SELECT ? AS key) WHERE {NARROW}", (key,)).fetchone()


def whole(*offsets: int, commits: tuple[int, ...], metadata: bool = True) -> Checkpoint:
    return Checkpoint(set(offsets), set(commits), metadata)


@pytest.mark.parametrize(
    "checkpoint",
    [
        whole(commits=()),
        whole(0, commits=()),
        whole(0, commits=(0,)),
        whole(0, 1, commits=(0,)),
        whole(0, 1, 2, commits=(0, 1, 2)),
        whole(7, 8, 9, commits=(7, 8)),
        whole(7, 8, 9, commits=(5, 6, 7, 8, 9)),
    ],
)
def test_a_stream_can_continue_from_these(checkpoint: Checkpoint) -> None:
    assert checkpoint.trouble() == ""


@pytest.mark.parametrize(
    ("checkpoint", "trouble"),
    [
        (whole(0, commits=(0,), metadata=False), "no file metadata"),
        (whole(0, 2, commits=(0, 1, 2)), "lacks offsets/1"),
        (whole(0, 1, 2, 3, commits=(0, 3)), "lacks commits/1, commits/2"),
        (whole(commits=(0,)), "has commits/0, but no offsets/0"),
        (whole(0, 1, commits=(0, 1, 2)), "has commits/2, but no offsets/2"),
        (whole(0, 1, 2, commits=(0,)), "has offsets/2, but no commits/1"),
        (whole(3, 4, commits=()), "has offsets/4, but no commits/3"),
        (whole(1, commits=()), "has offsets/1, but no commits/0"),
    ],
)
def test_a_stream_cannot_continue_from_these(checkpoint: Checkpoint, trouble: str) -> None:
    assert trouble in checkpoint.trouble()


@given(st.integers(0, 10**9), st.integers(0, 150), st.booleans())
def test_what_spark_leaves_is_whole(first: int, count: int, begun: bool) -> None:
    """Spark removes the oldest batches; the newest one may have no commit."""
    offsets = set(range(first, first + count + 1))
    commits = offsets - ({first + count} if begun and count else set())
    assert Checkpoint(offsets, commits, True).trouble() == ""


@given(st.sets(st.integers(0, 30), min_size=1))
def test_gaps(numbers: set[int]) -> None:
    missing = set(range(min(numbers), max(numbers))) - numbers
    assert missing_between(numbers) == sorted(missing)[:3]


def test_one_part_alone_is_no_checkpoint() -> None:
    assert not whole(1, 2, commits=(), metadata=False).is_one
    assert not whole(commits=()).is_one
    assert Checkpoint({1}, set(), has_sources=True).is_one and not Checkpoint(set(), set(), has_sources=True).is_one
    assert whole(1, commits=()).is_one and whole(1, commits=(1,), metadata=False).is_one
    assert whole(3, 5, commits=(4,)).newest == 5 and whole(commits=()).newest == -1
