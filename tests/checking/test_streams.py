"""Which folders are checkpoints, and which of them lack something."""

from __future__ import annotations

import pytest

from migrator.checking import streams
from migrator.checking.streams import Stream, Streams


def found(*keys: str) -> list[Stream]:
    collected = Streams()
    for key in sorted(keys):
        collected.add(key)
    return collected.finish()


def spark(folder: str = "s", offsets: range = range(3), commits: range = range(3)) -> list[str]:
    return [f"{folder}/metadata", *batches(folder, "offsets", offsets), *batches(folder, "commits", commits)]


def batches(folder: str, name: str, numbers: range) -> list[str]:
    return [f"{folder}/{name}/{number}" for number in numbers]


WHOLE = {
    "three batches": spark(),
    "older batches were removed": spark(offsets=range(900, 1000), commits=range(900, 1000)),
    "the query is in the middle of a batch": spark(commits=range(2)),
    "its first batch": spark(offsets=range(1), commits=range(0)),
    "no batch yet": ["s/metadata"],
    "temporary files and checksums beside": [*spark(), "s/offsets/.3.f00.tmp", "s/commits/.2.crc", "s/offsets/x"],
    "a source and a state": [*spark(), "s/sources/0/0", "s/state/0/0/1.delta", "s/state/0/_metadata/metadata"],
    "one of Flink": ["s/chk-7/_metadata", "s/shared/a"],
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_one(case: str) -> None:
    (stream,) = found(*WHOLE[case])
    assert stream.folder == "s" and stream.trouble == ""


BROKEN = {
    "no metadata": (spark()[1:], "has no file metadata"),
    "no offsets": (spark(offsets=range(0)), "has commits/2, but no offsets/"),
    "the last offsets are gone": (spark(offsets=range(2)), "has commits/2, but no offsets/"),
    "a gap in the offsets": (
        ["s/metadata", "s/offsets/1", "s/offsets/4", *batches("s", "commits", range(1, 5))],
        "lacks offsets/2, offsets/3",
    ),
    "a gap in the commits": (
        ["s/metadata", *batches("s", "offsets", range(4)), "s/commits/0", "s/commits/3"],
        "lacks commits/1, commits/2",
    ),
    "commits are gone": (spark(offsets=range(9)), "has offsets/8, but no commits/7"),
    "all commits are gone": (spark(commits=range(0)), "has offsets/2, but no commits/1"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_one_that_is_not_whole(case: str) -> None:
    keys, trouble = BROKEN[case]
    (stream,) = found(*keys)
    assert stream.trouble.startswith(trouble), stream.trouble


def test_several_and_how_many_batches() -> None:
    keys = [*spark("bronze/raw"), *spark("bronze/views", range(9), range(8)), *spark("gold"), "metadata"]
    assert [(stream.folder, stream.batches) for stream in found(*keys)] == [
        ("", 0),
        ("bronze/raw", 3),
        ("bronze/views", 8),
        ("gold", 3),
    ]


def test_what_is_none() -> None:
    assert found("a/b.parquet", "a/metadata/v1.metadata.json", "metadata.txt", "offsets", "x/_metadata") == []


def test_memory_stays_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_STREAMS", 2)
    assert [stream.folder for stream in found(*spark("a"), *spark("b"), *spark("c"))] == ["a", "b"]
