"""The pictures: their numbers are those of the plan, and a name is always only text."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from migrator.reporting.html.charts import (
    Chart,
    cutover_chart,
    flow_chart,
    size_chart,
    snapshot_chart,
    spanning_chart,
)
from migrator.reporting.html.svg import svg_of
from migrator.reporting.html.timeline import last_cutover, steps_of
from reporting.html.made import entries, full_plan, full_table, verified

HOSTILE = "s3://b/<script>alert(1)</script>\"' onload=x &amp;\x1b[2J\u202e${datum}"
SVG = "{http://www.w3.org/2000/svg}"


def prefix(source: str, target: str | None, size: int, objects: int = 1) -> dict[str, Any]:
    return {"source": source, "target": target, "objects": objects, "bytes": size, "actions": {}}


def drawn(chart: Chart | None) -> ElementTree.Element:
    assert chart is not None
    return ElementTree.fromstring(svg_of(chart.spec))


def words(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


def test_the_flow_shows_each_prefix_with_its_bytes() -> None:
    prefixes = [
        prefix("s3://a/", "s3://lake/a/", 2048),
        prefix("s3://b/", "s3://lake/a/", 1),
        prefix("s3://c/", None, 9),
    ]
    chart = flow_chart(full_plan(prefixes=prefixes))  # type: ignore[arg-type]
    assert chart is not None and [row[0] for row in chart.rows] == ["s3://a/", "s3://b/"]
    said = words(drawn(chart))
    assert {"s3://a/", "s3://b/", "s3://lake/a/", "2.0 KiB", "1 B"} <= set(said) and "s3://c/" not in said


def test_of_many_prefixes_the_others_are_one_flow_and_no_byte_is_lost() -> None:
    prefixes = [prefix(f"s3://b{n}/", f"s3://lake/b{n}/", n * 1024, n) for n in range(1, 101)]
    chart = flow_chart(full_plan(prefixes=prefixes))  # type: ignore[arg-type]
    assert chart is not None and len(chart.rows) == 13
    assert sum(int(row[2].replace(",", "")) for row in chart.rows) == 5050
    assert chart.rows[-1][0] == "88 more prefixes" and chart.rows[-1][3] == f"{sum(range(1, 89)) / 1024:,.1f} MiB"


def test_the_map_shows_tables_in_their_prefix_and_the_rest() -> None:
    described = full_plan(
        prefixes=[prefix("s3://a/", "s3://lake/a/", 10_000), prefix("s3://a/b/", "s3://lake/a/b/", 700)],
        tables=[
            full_table(identifier="c.db.t", new_location="s3://lake/a/t", data_bytes=4000, delete_bytes=96),
            full_table(identifier="c.db.u", new_location="s3://lake/a/b/u", data_bytes=700),
            full_table(identifier="c.db.broken", new_location=None, data_bytes=None),
        ],
    )
    chart = size_chart(described)  # type: ignore[arg-type]
    assert chart is not None
    assert list(chart.rows) == [
        ("s3://lake/a/", "c.db.t", "4.0 KiB"),
        ("s3://lake/a/", "everything else", "5.8 KiB"),
        ("s3://lake/a/b/", "c.db.u", "700 B"),
    ]
    assert "c.db.t" in words(drawn(chart))


def test_only_tables_that_span_buckets_are_in_their_picture() -> None:
    one, two = {"files": 1, "bytes": 1024}, {"files": 2, "bytes": 2048}
    described = full_plan(
        tables=[
            full_table(identifier="c.a", buckets={"b": one}),
            full_table(identifier="c.b", buckets={"b": one, "": two}),
        ]
    )
    chart = spanning_chart(described)  # type: ignore[arg-type]
    assert chart is not None
    assert list(chart.rows) == [("c.b", "b", "1", "1.0 KiB"), ("c.b", "(not in S3)", "2", "2.0 KiB")]
    assert {"c.b", "b", "(not in S3)", "1.0 KiB", "2.0 KiB"} <= set(words(drawn(chart)))
    assert spanning_chart(full_plan(tables=[full_table()])) is None  # type: ignore[arg-type]


def test_every_snapshot_is_in_a_bar() -> None:
    days = {"2020-01-01": 3, "2026-11-27": 4, "2026-11-26": 1}
    chart = snapshot_chart(full_plan(tables=[full_table(snapshot_days=days), full_table(snapshot_days=days)]))  # type: ignore[arg-type]
    assert chart is not None and len(chart.rows) <= 60
    assert sum(int(row[1]) for row in chart.rows) == 16 and "16 snapshots from 2020-01-01 to 2026-11-27" in chart.says
    assert len(list(drawn(chart).iter(f"{SVG}path"))) > 2


@pytest.mark.parametrize("days", [{"9999-12-30": 1, "9999-12-31": 1}, {"0001-01-01": 1, "9999-12-31": 1}])
def test_times_that_no_calendar_goes_beyond_are_drawn(days: dict[str, int]) -> None:
    drawn(snapshot_chart(full_plan(tables=[full_table(snapshot_days=days)])))  # type: ignore[arg-type]


def test_one_day_is_no_picture() -> None:
    assert snapshot_chart(full_plan(tables=[full_table(snapshot_days={"2026-11-27": 9})])) is None  # type: ignore[arg-type]


def test_the_cutover_has_its_steps() -> None:
    run = ("started", "copied", "rewritten", "compared", "cutover-begun", "cutover-done", verified())
    chart = cutover_chart(last_cutover(steps_of(entries(*run))))
    assert chart is not None and [row[0] for row in chart.rows][-2:] == ["cutover", "verifying"]
    assert {"cutover", "1.0 s"} <= set(words(drawn(chart)))
    assert cutover_chart([]) is None


def test_nothing_to_draw_is_no_picture() -> None:
    nothing = full_plan(prefixes=[prefix("s3://a/", "s3://lake/a/", 0, 0)], tables=[])
    assert [chart(nothing) for chart in (flow_chart, size_chart, spanning_chart, snapshot_chart)] == [None] * 4  # type: ignore[arg-type]


def test_a_name_is_only_text() -> None:
    both = {HOSTILE: {"files": 1, "bytes": 1}, "b": {"files": 1, "bytes": 1}}
    bad = full_table(identifier=HOSTILE, new_location=f"{HOSTILE}/t", data_bytes=5, buckets=both)
    described = full_plan(prefixes=[prefix(HOSTILE, f"{HOSTILE}/", 10)], tables=[bad], target_bucket=HOSTILE)
    for make in (flow_chart, size_chart, spanning_chart):
        svg = drawn(make(described))  # type: ignore[arg-type]
        tags = {element.tag.removeprefix(SVG) for element in svg.iter()}
        assert tags <= {"svg", "g", "path", "text", "rect", "line", "defs", "clipPath", "title"}
        names = {name for element in svg.iter() for name in element.attrib}
        assert not {name for name in names if name.startswith("on") or "href" in name or name == "style"}
        assert any("<script>" in text for text in words(svg)) and "\x1b" not in "".join(words(svg))
