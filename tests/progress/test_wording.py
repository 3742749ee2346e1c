"""Lines that fit, with any text in them."""

from __future__ import annotations

import pytest

from migrator.progress.pace import Stage
from migrator.progress.wording import interval, last_line, plain_line, shortened, size, speed, terminal_line

LONG = "deleting from a-bucket-whose-name-is-as-long-as-names-of-buckets-may-be-63"
STAGES = [
    Stage("copying", "objects", 2118, 9_000_000, 0),
    Stage("copying", "objects", 98_765_432, 700 * 1024**4, 0),
    Stage(LONG, "objects", 98_765_432, 9_000_000_000, 0),
    Stage(LONG, "metadata files", None, None, 0),
    Stage("trying what is allowed", "", None, None, 0),
    Stage(LONG * 3, "", None, None, 0),
]


@pytest.mark.parametrize("width", [79, 59, 39, 20, 5])
@pytest.mark.parametrize("stage", STAGES, ids=range(len(STAGES)))
@pytest.mark.parametrize("seconds", [1, 100, 123_456])
def test_every_line_fits(stage: Stage, width: int, seconds: int) -> None:
    for done, bytes_done in ((0, 0), (1, 1), (12_345_678, 512 * 1024**4)):
        moved = Stage(stage.name, stage.unit, stage.total, stage.size_total, 0)
        moved.done, moved.size = (done, bytes_done) if stage.unit else (0, 0)
        left, right, with_bar = terminal_line(moved, moved.pace(seconds), width)
        assert len(left) + len(right) + (5 if with_bar else 0) <= width, left + right


def at(name: str, unit: str, total: int | None, of_size: int | None, done: int, bytes_done: int, now: float) -> Stage:
    stage = Stage(name, unit, total, of_size, 0)
    stage.done, stage.size = done, bytes_done
    stage.sample(now)
    return stage


def test_what_how_far_how_fast_how_long() -> None:
    copying = at("copying", "objects", 2118, 9_000_000, 952, 4_400_000, 15)
    assert terminal_line(copying, copying.pace(15), 79) == (
        "copying 44% ",
        " 952 of 2,118 objects, 4.2 MiB, 63/s, 19 s left",
        True,
    )
    listing = at("listing the target", "versions", None, None, 12_345, 0, 15)
    assert "".join(terminal_line(listing, listing.pace(15), 79)[:2]) == (
        "listing the target: 12,345 versions, 823/s, for 15 s"
    )
    trying = Stage("trying what is allowed", "", None, None, 0)
    assert "".join(terminal_line(trying, trying.pace(3), 79)[:2]) == "trying what is allowed: for 3 s"
    large = at("copying", "objects", 100, 100 * 1024**3, 3, 10 * 1024**3, 100)
    assert terminal_line(large, large.pace(100), 79)[1] == (
        "3 of 100 objects, 10.0 GiB of 100.0 GiB, 102.4 MiB/s, 15 min left"
    )


def test_what_matters_least_goes_first_where_there_is_no_room() -> None:
    copying = at("copying", "objects", 2118, 9_000_000, 952, 4_400_000, 15)
    shown = {width: "".join(terminal_line(copying, copying.pace(15), width)[:2]) for width in (59, 50, 45, 25)}
    assert shown[59].endswith("952 of 2,118 objects, 4.2 MiB, 63/s, 19 s left")
    assert shown[50] == "copying 44% 952 of 2,118 objects, 63/s, 19 s left"
    assert shown[45] == "copying 44% 952 of 2,118 objects, 19 s left"
    assert shown[25] == "copying 44% 19 s left"


def test_a_long_name_is_cut_in_the_middle_and_the_time_stays() -> None:
    stage = at(LONG, "objects", 1000, None, 500, 0, 50)
    left, right, _ = terminal_line(stage, stage.pace(50), 79)
    assert left.startswith("deleting from a-bu") and "…" in left and "may-be-63 50% " in left
    assert right.endswith("500 of 1,000 objects, 10/s, 50 s left")
    assert "..." in terminal_line(stage, stage.pace(50), 79, "...")[0]


def test_plain_lines_have_all_of_it() -> None:
    stage = at("rewriting manifest", "manifests", 200, None, 50, 0, 50)
    assert plain_line(stage, stage.pace(50)) == (
        "rewriting manifest: 25%, 50 of 200 manifests, 1.0 manifests/s, 2 min 30 s left"
    )
    assert last_line(stage, stage.mean_pace(50), "KeyError") == (
        "rewriting manifest: stopped by KeyError after 50 s, 50 of 200 manifests, 1.0 manifests/s"
    )
    stage.done = 200
    assert last_line(stage, stage.mean_pace(100)) == (
        "rewriting manifest: finished after 1 min 40 s, 200 manifests, 2.0 manifests/s"
    )


def test_numbers() -> None:
    assert [interval(s) for s in (0, 0.4, 59, 60, 61, 3600, 3660, 90_000)] == [
        "0 s", "0 s", "59 s", "1 min", "1 min 1 s", "1 h", "1 h 1 min", "1 d 1 h",
    ]  # fmt: skip
    assert [speed(rate) for rate in (1234.5, 10, 6.44, 1, 0.251, 0)] == ["1,234", "10", "6.4", "1.0", "0.25", "0"]
    assert [size(count) for count in (0, 1023, 1024, 5 * 1024**6)] == ["0 B", "1,023 B", "1.0 KiB", "5,120.0 PiB"]
    assert shortened("abcdefghij", 5) == "ab…ij" and shortened("abc", 3) == "abc" and shortened("abc", 1) == "…"
