"""The text: it has every metric, hostile names are unchanged, and unknown values are absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from migrator.monitoring import names
from migrator.monitoring.exposition import LakeCollector, Status, as_text, label, registry_of, write
from migrator.monitoring.measures import CountLimits, LakeMeasures, LayerMeasures, TableMeasures
from prometheus import promtool

HOSTILE = (
    'quote " backslash \\ end',
    "two\nlines\r",
    '"} 1\nmigrator_up 0\n#',
    "\\n is no line end",
    "ключ 数据 😀",
    "tab\t bell\x07 escape\x1b[31m",
    "{layer=~'$layer'}",
    "x" * 2_000,
)


def lake(*tables: TableMeasures, most_tables: int = 1_000, **layer: Any) -> LakeMeasures:
    one = LayerMeasures(**{"layer": "bronze", "kind": "layer", "objects": 3, "newest": 1_500, **layer})
    findings = {("old-path", "warn"): 2}
    limits = CountLimits(most_tables=most_tables)
    return LakeMeasures([one], list(tables), {"iceberg": True}, findings, True, True, limits)


def status(*tables: TableMeasures, **more: Any) -> Status:
    return Status(lake(*tables, **more), True, 3, 1, 20.0, 10.0, 0.5)


def named(name: str, **more: Any) -> TableMeasures:
    return TableMeasures("iceberg", "db", name, "", layer="bronze", **more)


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in parse(text) for s in family.samples}


def values(text: str, name: str) -> list[float]:
    return [value for (found, _), value in samples(text).items() if found == name]


def test_every_metric_is_exported_with_its_labels_and_nothing_else() -> None:
    exported = samples(as_text(status(named("t", current=1))))
    labels: dict[str, set[str]] = {}
    for name, pairs in exported:
        labels[name] = {key for key, _ in pairs}
    assert labels == {metric.name: set(metric.labels) for metric in names.LAKE}
    assert len(labels) == len(names.LAKE)


def test_series_of_a_table() -> None:
    """docs/metrics.md has this number."""
    assert sum(("table", "t") in pairs for _, pairs in samples(as_text(status(named("t", current=1))))) == 14


def test_times_are_in_seconds() -> None:
    text = as_text(status(named("t", current=2_500)))
    assert values(text, "migrator_layer_newest_object_timestamp_seconds") == [1.5]
    assert values(text, "migrator_table_current_snapshot_timestamp_seconds") == [2.5]
    assert values(text, "migrator_collection_last_success_timestamp_seconds") == [20.0]


def test_before_the_first_collection_there_is_only_that() -> None:
    found = {name: value for (name, _), value in samples(as_text(Status())).items()}
    assert found == {
        "migrator_build_info": 1,
        "migrator_up": 0,
        "migrator_collections_total": 0,
        "migrator_collection_failures_total": 0,
    }


def test_a_table_that_cannot_be_read_has_no_other_metric() -> None:
    text = as_text(status(named("bad", readable=False), named("good")))
    bad = {name for name, pairs in samples(text) if ("table", "bad") in pairs}
    assert bad == {"migrator_table_readable"}
    assert values(text, "migrator_tables_unreadable") == [1]
    assert len({name for name, pairs in samples(text) if ("table", "good") in pairs}) > 8


def test_orphans_of_a_layer_are_absent_while_a_table_in_it_cannot_be_read() -> None:
    assert values(as_text(status(orphans=4)), "migrator_layer_orphans") == [4]
    text = as_text(status(orphans=4, unreadable=1))
    assert values(text, "migrator_layer_orphans") == values(text, "migrator_layer_orphan_bytes") == []


def test_tables_beyond_the_limit_are_counted_and_those_that_cannot_be_read_come_first() -> None:
    tables = [named(f"t{n}", data_bytes=n) for n in range(5)]
    text = as_text(status(*tables, named("bad", readable=False), most_tables=3))
    shown = {dict(pairs)["table"] for name, pairs in samples(text) if name == "migrator_table_readable"}
    assert shown == {"bad", "t4", "t3"}
    assert values(text, "migrator_tables") == [6] and values(text, "migrator_tables_not_exported") == [3]


# -- hostile names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_arrives_as_it_is(name: str) -> None:
    one = TableMeasures(name, name, name, "", layer=name)
    told = status(one, layer=name)
    found = [dict(pairs) for metric, pairs in samples(as_text(told)) if metric == "migrator_table_readable"]
    assert found == [{"catalog": name, "namespace": name, "table": name, "layer": name}]
    assert values(as_text(told), "migrator_up") == [1]
    text = openmetrics(registry_of(LakeCollector(told))).decode()
    families = {family.name: family for family in parse_openmetrics(text)}
    assert [s.labels["table"] for s in families["migrator_table_readable"].samples] == [name]
    assert [s.labels["layer"] for s in families["migrator_layer_objects"].samples] == [name]


def test_what_no_format_can_carry_is_replaced() -> None:
    assert label("a\0b") == "a\N{REPLACEMENT CHARACTER}b"
    assert label("a\ud800b") == "a?b"
    assert label("s3://key:secret@bucket/t") == "s3://***@bucket/t"


def test_names_that_become_the_same_stay_two_series() -> None:
    text = as_text(status(named("a\ud800"), named("a\ud801"), named("a?")))
    tables = [dict(pairs)["table"] for name, pairs in samples(text) if name == "migrator_table_readable"]
    assert sorted(tables) == ["a?", "a? (2)", "a? (3)"]
    lines = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))


def test_promtool_finds_nothing_to_say() -> None:
    """It parses the text as Prometheus does, and knows what names of metrics should be like."""
    tables = [TableMeasures(name, name, name, "", layer=name, current=1) for name in HOSTILE]
    told = promtool("check", "metrics", stdin=as_text(status(*tables)))
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


# -- files -----------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_as_a_whole(tmp_path: Path) -> None:
    place = tmp_path / "lake.prom"
    place.write_text("old")
    reader = place.open()
    write(status(), place)
    assert reader.read() == "old", "whoever reads it now goes on reading the old one"
    assert place.read_text() == as_text(status())
    assert list(tmp_path.iterdir()) == [place]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        write(status(), tmp_path / "missing" / "lake.prom")
    assert list(tmp_path.iterdir()) == []


def test_the_text_has_no_times_of_its_own() -> None:
    """The textfile collector refuses samples with timestamps, and OpenMetrics' lines."""
    text = as_text(status(named("t")))
    assert "# EOF" not in text and "# UNIT" not in text
    assert all(s.timestamp is None for family in parse(text) for s in family.samples)


def test_help_is_one_line() -> None:
    assert all("\n" not in json.dumps(metric.means) for metric in (*names.LAKE, *names.MIGRATION))
    assert len({metric.name for metric in (*names.LAKE, *names.MIGRATION)}) == len(names.LAKE) + len(names.MIGRATION)
