"""Plans as text, compared with the content of a lake. There are no tables here, only objects."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from migrator.config import Settings
from migrator.cutover.source_changes import find_source_changes
from migrator.errors import AccessDenied, MigratorError, NotFound, PlanDamaged
from migrator.plan.build import build_plan
from migrator.planfile.file import PlanFile
from migrator.progress import Progress
from migrator.reporting.describe import describe_plan
from migrator.store import Content, Store
from migrator.target.ledger import Ledger, own, same
from plan.handmade import checksum

LAYOUT: dict[str, str | bool] = {
    "s3://bronze/": "bronze/",
    "s3://bronze/wh/": "warehouse/",
    "s3://warehouse/": "warehouse/",
}


def fill(store: Store, *uris: str, data: bytes = b"x") -> None:
    for uri in uris:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        store.create_bucket(bucket)
        if key:
            store.put(bucket, key, Content(data, ""))


def planned(store: Store, tmp_path: Path, **settings: Any) -> tuple[list[str], dict[str, Any]]:
    """The plan as sorted lines, and its description."""
    path = tmp_path / "plans" / f"{time.monotonic_ns()}.db"
    build_plan(path, Settings(**{"layout": LAYOUT, **settings}), store, {}, Progress())
    with PlanFile.open(path) as plan:
        lines = [f"{o.action} {o.place} -> {o.target}" for o in plan.objects()]
        return sorted(lines), describe_plan(plan)


def codes(described: dict[str, Any], severity: str = "block") -> list[str]:
    return sorted(f["code"] for f in described["findings"] if f["severity"] == severity)


@pytest.fixture
def lake(mock_store: Store) -> Store:
    fill(mock_store, "s3://bronze", "s3://warehouse", "s3://data-lake")
    return mock_store


def test_copies(lake: Store, tmp_path: Path) -> None:
    fill(
        lake, "s3://bronze/a", "s3://bronze/wh/t/x", "s3://bronze/wh-old/y", "s3://warehouse/u//v", "s3://bronze/ü %20+"
    )
    lines, described = planned(lake, tmp_path)
    assert lines == [
        "copy s3://bronze/a -> bronze/a",
        "copy s3://bronze/wh-old/y -> bronze/wh-old/y",
        "copy s3://bronze/wh/t/x -> warehouse/t/x",
        "copy s3://bronze/ü %20+ -> bronze/ü %20+",
        "copy s3://warehouse/u//v -> warehouse/u//v",
    ]
    assert described["changes_pending"] and not described["blocked"]
    assert {p["source"]: p["objects"] for p in described["prefixes"]} == {
        "s3://bronze/": 3,
        "s3://bronze/wh/": 1,
        "s3://warehouse/": 1,
    }


def test_same_overwrite_and_differs(lake: Store, tmp_path: Path) -> None:
    """Only objects that migrator has written, by its ledger, are overwritten. The age of an object proves nothing."""
    fill(lake, "s3://data-lake/bronze/ours", "s3://data-lake/bronze/older")
    fill(lake, *(f"s3://bronze/{name}" for name in ("same", "ours", "older", "clash", "rotten")), data=b"source")
    fill(lake, "s3://data-lake/bronze/same", data=b"source")
    fill(lake, "s3://data-lake/bronze/clash", data=b"somebody else's")
    fill(lake, "s3://data-lake/bronze/rotten", data=b"S0urce")  # of the same size: only the bytes can prove it
    Ledger(lake, "data-lake").write("earlier", [own("bronze/ours", lake.head("data-lake", "bronze/ours").etag)])
    lines, described = planned(lake, tmp_path)
    assert lines == [
        "conflict s3://bronze/clash -> bronze/clash",
        "conflict s3://bronze/older -> bronze/older",
        "conflict s3://bronze/rotten -> bronze/rotten",
        "overwrite s3://bronze/ours -> bronze/ours",
        "same s3://bronze/same -> bronze/same",
    ]
    assert codes(described) == ["target-differs"] * 3


@pytest.mark.parametrize(("data", "action"), [(b"old", "same"), (b"new", "conflict")])
def test_only_bytes_tell_where_etags_cannot(lake: Store, tmp_path: Path, data: bytes, action: str) -> None:
    """A multipart ETag depends on the parts. An equal size, or a younger copy, proves nothing."""
    upload = lake.uploads.begin("bronze", "a", {})
    lake.uploads.finish(upload, [lake.uploads.put_part(upload, 1, b"old")])
    fill(lake, "s3://data-lake/bronze/a", data=data)
    assert planned(lake, tmp_path)[0] == [f"{action} s3://bronze/a -> bronze/a"]


def test_what_was_proven_is_not_read_again(lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ledger of an earlier migration says that this is a proven copy. Its ETag does not matter."""
    upload = lake.uploads.begin("bronze", "a", {})
    source = lake.uploads.finish(upload, [lake.uploads.put_part(upload, 1, b"old")])
    fill(lake, "s3://data-lake/bronze/a", data=b"old")
    there = lake.head("data-lake", "bronze/a").etag
    Ledger(lake, "data-lake").write("earlier", [own("bronze/a", there), same("bronze/a", there, "bronze/a", source)])
    monkeypatch.setattr(Store, "same_content", lambda *_: pytest.fail("read again"))
    assert planned(lake, tmp_path)[0] == ["same s3://bronze/a -> bronze/a"]


def test_a_finished_lake_has_nothing_pending(lake: Store, tmp_path: Path) -> None:
    fill(lake, "s3://bronze/a", "s3://data-lake/bronze/a")
    _, described = planned(lake, tmp_path)
    assert not described["changes_pending"]


def test_what_an_earlier_copy_left_behind_is_named(lake: Store, tmp_path: Path) -> None:
    fill(
        lake,
        "s3://bronze/kept",
        "s3://data-lake/bronze/kept",
        "s3://data-lake/bronze/dropped",
        "s3://data-lake/other/x",
    )
    _, described = planned(lake, tmp_path)
    (extra,) = [f for f in described["findings"] if f["code"] == "extra-at-target"]
    assert (extra["place"], extra["count"]) == ("s3://data-lake/bronze/dropped", 1)
    assert "data-lake/bronze/dropped" in {f"data-lake/{o.key}" for o in lake.list("data-lake")}


def test_collisions_block(lake: Store, tmp_path: Path) -> None:
    fill(lake, "s3://bronze/wh/db/t", "s3://warehouse/db/t", "s3://warehouse/f", "s3://bronze/wh/f/g")
    lines, described = planned(lake, tmp_path)
    assert "conflict s3://bronze/wh/db/t -> warehouse/db/t" in lines
    assert "conflict s3://warehouse/db/t -> warehouse/db/t" in lines
    assert codes(described) == ["file-and-directory", "key-collision"]
    (collision,) = [f for f in described["findings"] if f["code"] == "key-collision"]
    assert "s3://bronze/wh/db/t" in collision["place"] and "s3://warehouse/db/t" in collision["place"]


def test_many_collisions_are_counted_not_listed(lake: Store, tmp_path: Path) -> None:
    fill(lake, *(f"s3://{place}/{n}" for n in range(30) for place in ("warehouse", "bronze/wh")))
    _, described = planned(lake, tmp_path)
    found = [f for f in described["findings"] if f["code"] == "key-collision"]
    assert len(found) == 20 and sum(f["count"] for f in found) == 30


def test_directory_markers(lake: Store, tmp_path: Path) -> None:
    fill(lake, "s3://bronze/wh/db/", "s3://warehouse/db/", "s3://bronze/x_$folder$", data=b"")
    fill(lake, "s3://bronze/y_$folder$")
    lines, described = planned(lake, tmp_path)
    assert "copy s3://bronze/y_$folder$ -> bronze/y_$folder$" in lines, "what has bytes is data"
    assert sorted(line.split()[0] for line in lines) == ["copy", "copy", "skip", "skip"]
    assert not described["blocked"] and "skipped-markers" in codes(described, "info")


def test_left_out(lake: Store, tmp_path: Path) -> None:
    fill(lake, "s3://bronze/tmp/x", "s3://bronze/y")
    lines, described = planned(lake, tmp_path, layout={**LAYOUT, "s3://bronze/tmp/": False})
    assert lines == ["copy s3://bronze/y -> bronze/y", "skip s3://bronze/tmp/x -> None"]
    assert "left-out" in codes(described, "info")


@pytest.mark.parametrize("folder", ["", "out/"])
def test_unfinished_work(lake: Store, tmp_path: Path, folder: str) -> None:
    keys = [
        f"{folder}{name}" for name in ("_temporary/0/part", "__magic/job/x.pending", "__magic_job-1/y", "z.pendingset")
    ]
    fill(lake, *(f"s3://bronze/{key}" for key in keys))
    _, described = planned(lake, tmp_path)
    (found,) = [f for f in described["findings"] if f["severity"] == "warn"]
    assert (found["code"], found["count"]) == ("unfinished-work", 4)


@pytest.mark.parametrize("root", ["", "/cp"])
def test_a_kafka_checkpoint_is_just_copied(lake: Store, tmp_path: Path, root: str) -> None:
    names = ("metadata", "offsets/0", "commits/0", "sources/0/0", "sources/0/offsets/0")
    fill(lake, *(f"s3://bronze{root}/{name}" for name in names))
    _, described = planned(lake, tmp_path)
    assert codes(described) == codes(described, "warn") == []
    change = {"what": "checkpointLocation", "before": f"s3a://bronze{root}", "after": f"s3a://data-lake/bronze{root}"}
    assert change in described["changes"]


def test_only_harmless_codes_can_be_accepted(lake: Store, tmp_path: Path) -> None:
    with pytest.raises(MigratorError, match="cannot include 'key-collision'"):
        planned(lake, tmp_path, accept=("key-collision",))
    assert list((tmp_path / "plans").glob("*")) == []  # no incomplete plan is left


def test_too_long_a_key_blocks(lake: Store, tmp_path: Path) -> None:
    fill(lake, "s3://bronze/" + "k" * 1020)
    _, described = planned(lake, tmp_path)
    assert codes(described) == ["key-too-long"]


def test_missing_buckets(mock_store: Store, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="Bucket 'bronze', which \\[layout\\] names"):
        planned(mock_store, tmp_path)
    with pytest.raises(NotFound, match="None of the buckets warehouse, bronze"):
        planned(mock_store, tmp_path, layout=None)


def test_an_existing_plan_is_never_overwritten(lake: Store, tmp_path: Path) -> None:
    path = tmp_path / "lake.db"
    path.write_text("precious")
    with pytest.raises(PlanDamaged, match="exists already"):
        build_plan(path, Settings(layout=LAYOUT), lake, {}, Progress())
    assert path.read_text() == "precious"


# -- other buckets and folders -----------------------------------------------------------------------------


def found(described: dict[str, Any], code: str) -> list[tuple[str, str]]:
    return [(f["place"], f["message"]) for f in described["findings"] if f["code"] == code]


@pytest.mark.parametrize(
    ("keys", "merged"),
    [
        (["warehouse/sales/2024/a", "bronze/wh/audit/2024/b"], []),  # no more than the prefix is shared
        (["warehouse/a", "bronze/wh/b"], []),  # nor that is
        (["warehouse/raw/events/a", "bronze/wh/raw/events/b"], ["raw/events"]),
        (["warehouse/raw/x/a", "bronze/wh/raw/y/b", "warehouse/raw/z/1/a", "bronze/wh/raw/z/2/b"], []),  # only parents
        # one below the other, whichever rule has fewer objects
        (["warehouse/ev/a", "bronze/wh/ev/2024/b"], ["ev"]),
        (["warehouse/ev/a", "bronze/wh/ev/2024/05/b", "bronze/wh/u/1", "bronze/wh/u/2"], ["ev"]),
        (["warehouse/ev/a", "warehouse/u/1", "warehouse/u/2", "bronze/wh/ev/2024/05/b"], ["ev"]),
        (
            ["warehouse/raw/a", "warehouse/raw/x/y/z", "warehouse/raw0", "bronze/wh/raw/b", "bronze/wh/raw/x/z"],
            ["raw", "raw/x"],
        ),
        # partitions
        (["warehouse/raw/events/day=1/a", "bronze/wh/raw/events/day=2/b"], ["raw/events"]),
        (["warehouse/raw/events/a", "bronze/wh/raw/events/day=1/b"], ["raw/events"]),
        (["warehouse/e/y=1/x/m=2/a", "bronze/wh/e/y=1/m=3/b", "bronze/wh/e/y=2/b"], ["e"]),
        (["warehouse/e/z/y=1/a", "bronze/wh/e/y=1/b", "warehouse/u/1", "warehouse/u/2"], ["e"]),
        (["warehouse/e/y=1/a", "bronze/wh/e/z/y=1/b", "warehouse/u/1", "warehouse/u/2"], ["e"]),
        (["warehouse/a/y=1/x", "bronze/wh/b/y=1/x"], []),
        (["warehouse/a/=1/x", "warehouse/a/x==/x", "bronze/wh/a/=2/x", "bronze/wh/a/y==/x"], []),  # no partitions
        # right in the prefix: that is shared on purpose
        (["warehouse/day=1/a", "bronze/wh/day=2/b", "warehouse/a", "bronze/wh/u/v/b"], []),
        (["warehouse/day=1/h=1/a", "bronze/wh/day=1/h=2/b"], ["day=1"]),
        ([f"warehouse/r/{n:03}/x" for n in range(50)] + ["warehouse/r/zz", "bronze/wh/r/a"], ["r"]),
    ],
)
def test_folders_of_two_buckets_that_become_one(
    lake: Store, tmp_path: Path, keys: list[str], merged: list[str]
) -> None:
    fill(lake, *(f"s3://{key}" for key in keys))
    _, described = planned(lake, tmp_path)
    assert not described["blocked"]
    places = found(described, "merged-folders")
    assert [place for place, _ in places] == [f"s3://data-lake/warehouse/{folder}/" for folder in merged]
    for (_, message), folder in zip(places, merged, strict=True):
        assert f"s3://warehouse/{folder}/" in message and f"s3://bronze/wh/{folder}/" in message


def test_a_rule_inside_the_prefix_of_another_one(lake: Store, tmp_path: Path) -> None:
    fill(lake, "s3://warehouse/bronze/x/a", "s3://bronze/x/b", "s3://bronze/wh/c")
    layout: dict[str, str | bool] = {"s3://warehouse/": "", "s3://bronze/": "bronze/", "s3://bronze/wh/": "bronze/wh/"}
    _, described = planned(lake, tmp_path, layout=layout)
    assert [place for place, _ in found(described, "merged-folders")] == ["s3://data-lake/bronze/x/"]


@pytest.mark.parametrize("larger", ["warehouse", "bronze"])
def test_a_folder_of_two_buckets_counts_only_what_its_own_rule_moves(lake: Store, tmp_path: Path, larger: str) -> None:
    """Other rules move the rest; a marker without content has nothing to read."""
    layout: dict[str, str | bool] = {
        "s3://warehouse/": "",
        "s3://bronze/": "",
        "s3://bronze/ev/2024/": "other/",
        "s3://bronze/ev/tmp/": False,
        "s3://bronze/old/": "new/",
    }
    fill(lake, "s3://warehouse/ev/a", "s3://bronze/ev/2024/b", "s3://bronze/ev/tmp/c", "s3://bronze/old/x/b")
    fill(lake, "s3://warehouse/u/a", "s3://bronze/u/2024/", data=b"")
    fill(lake, "s3://warehouse/u/b", *(f"s3://{larger}/z/{n}" for n in range(9)))
    _, described = planned(lake, tmp_path, layout=layout)
    assert not found(described, "merged-folders")
    fill(lake, "s3://bronze/ev/2025/b", "s3://warehouse/new/y/day=1/a", "s3://bronze/old/y/day=2/b")
    _, described = planned(lake, tmp_path, layout=layout)
    assert [place for place, _ in found(described, "merged-folders")] == ["s3://data-lake/ev/", "s3://data-lake/new/y/"]
    assert "s3://bronze/old/y/" in found(described, "merged-folders")[1][1]


def test_buckets_that_no_rule_names(lake: Store, tmp_path: Path) -> None:
    fill(lake, "s3://landing", "s3://archive")
    _, described = planned(lake, tmp_path)
    assert [place for place, _ in found(described, "bucket-beside")] == ["s3://archive/", "s3://landing/"]
    _, described = planned(lake, tmp_path, layout={**LAYOUT, "s3://landing/": False, "s3://archive/x/": "archive/"})
    assert not found(described, "bucket-beside")


def test_where_buckets_may_not_be_listed_nothing_is_said(
    lake: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(self: Store) -> list[str]:
        raise AccessDenied("access denied")

    monkeypatch.setattr(Store, "bucket_names", denied)
    _, described = planned(lake, tmp_path)
    assert not found(described, "bucket-beside")


# -- what changes until the cutover ------------------------------------------------------------------------


def late(store: Store, folder: Path) -> tuple[int, int, int]:
    (path,) = (folder / "plans").glob("*.db")
    with PlanFile.open(path) as plan:
        found = find_source_changes(plan, store, Progress())
    return found.added, found.changed, found.removed


def test_a_late_checksum_file_of_what_is_rewritten_is_not_missed_but_data_of_that_name_are(
    lake: Store, tmp_path: Path
) -> None:
    fill(lake, "s3://bronze/out/_spark_metadata/0", data=(log := b'v1\n{"path":"s3://bronze/in/a"}'))
    planned(lake, tmp_path)
    fill(lake, "s3://bronze/out/_spark_metadata/.0.crc", data=checksum(log))
    assert late(lake, tmp_path) == (0, 0, 0)
    fill(lake, "s3://bronze/out/_spark_metadata/.0.crc", data=b"somebody's")
    assert late(lake, tmp_path) == (1, 0, 0)


def test_what_is_left_where_it_is_may_change_until_the_cutover(lake: Store, tmp_path: Path) -> None:
    fill(lake, "s3://bronze/tmp/a", "s3://bronze/tmp/b", "s3://bronze/kept", "s3://bronze/data_$folder$")
    fill(lake, "s3://bronze/x_$folder$", "s3://bronze/y_$folder$", data=b"")
    planned(lake, tmp_path, layout={**LAYOUT, "s3://bronze/tmp/": False})
    for key in ("tmp/a", "x_$folder$"):
        lake.client.delete_object(Bucket="bronze", Key=key)
    fill(lake, "s3://bronze/tmp/b", "s3://bronze/tmp/c", data=b"2")
    fill(lake, "s3://bronze/z_$folder$", data=b"")
    assert late(lake, tmp_path) == (0, 0, 0)
    fill(lake, "s3://bronze/y_$folder$", data=b"what has bytes is data")
    fill(lake, "s3://bronze/data_$folder$", data=b"")
    assert late(lake, tmp_path) == (0, 2, 0)
    lake.client.delete_object(Bucket="bronze", Key="y_$folder$")
    fill(lake, "s3://bronze/data_$folder$")
    fill(lake, "s3://bronze/kept", "s3://bronze/wh/new", "s3://bronze/.kept.crc", data=b"3")
    assert late(lake, tmp_path) == (2, 1, 0)
    lake.client.delete_object(Bucket="bronze", Key="kept")
    assert late(lake, tmp_path) == (2, 0, 1)
