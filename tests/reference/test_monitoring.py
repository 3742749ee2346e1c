"""The alert rules and the dashboard: Prometheus understands them, they name only metrics that are exported, and each
alert fires when it should and not otherwise."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from migrator import reference
from migrator.monitoring import names
from migrator.progress.metrics_file import MetricsFile
from prometheus import promtool
from promql import metrics_in

PLACE = Path(reference.__file__).parent
RULES = PLACE / reference.RULES
RULE_TESTS = Path(__file__).with_name("prometheus-rules.test.yml")
EXPORTED = {metric.name for metric in (*names.LAKE, *names.MIGRATION)}
LABELS = {metric.name: set(metric.labels) | {"instance", "job"} for metric in (*names.LAKE, *names.MIGRATION)}
DASHBOARD: dict[str, Any] = json.loads(reference.text(reference.DASHBOARD))


def rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def targets() -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in panels():
        for target in panel["targets"]:
            yield panel["title"], target


def expressions() -> dict[str, str]:
    """Title or alert → expression; a number where there are several."""
    found = {f"{title} {target['refId']}": target["expr"] for title, target in targets()}
    return found | {rule["alert"]: rule["expr"] for rule in rules()}


# -- reading PromQL ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "metrics"),
    [
        ("up", {"up"}),
        ('sum by (layer) (a_b{layer=~"x|y", c!="{d}"})', {"a_b"}),
        ("rate(a_total[5m]) / on (x) group_left (y) b:c", {"a_total", "b:c"}),
        ("topk(10, a) > 2 * 86400 and b unless on (instance) c offset 5m", {"a", "b", "c"}),
        ("absent(a) or vector(1)", {"a"}),
        ("sum(a) without (b) == bool 0", {"a"}),
        ("1e3 + 0x1f + inf", set()),
        ('label_replace(a, "b", "$1", "c", "(d.*)")', {"a"}),
    ],
)
def test_the_metrics_of_an_expression(expression: str, metrics: set[str]) -> None:
    assert metrics_in(expression) == metrics


def test_a_name_that_cannot_be_seen_is_refused() -> None:
    with pytest.raises(ValueError, match="must stand before"):
        metrics_in('{__name__=~"migrator_.*"}')


# -- both -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", expressions())
def test_only_exported_metrics_are_named(place: str) -> None:
    named = metrics_in(expressions()[place])
    assert named and named <= EXPORTED


@pytest.mark.parametrize("place", expressions())
def test_labels_are_those_of_the_metrics(place: str) -> None:
    expression = expressions()[place]
    known = set().union(*(LABELS[name] for name in metrics_in(expression)))
    matched = re.findall(r"([A-Za-z_]\w*)\s*(?:=~|!~|!=|=(?!=))", "".join(re.findall(r"\{[^}]*\}", expression)))
    grouped = re.findall(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)", expression)
    assert {*matched, *(name.strip() for group in grouped for name in group.split(","))} <= known


def test_every_metric_of_the_lake_but_a_few_is_shown_or_alerted_on() -> None:
    named = set().union(*(metrics_in(expression) for expression in expressions().values()))
    unused = EXPORTED - named
    assert unused == {
        "migrator_build_info",
        "migrator_collection_last_failure_timestamp_seconds",
        "migrator_target_exists",
    }


# -- rules ----------------------------------------------------------------------------------------------------------


def test_promtool_accepts_the_rules() -> None:
    told = promtool("check", "rules", "--lint-fatal", RULES)
    assert told.returncode == 0 and f"{len(rules())} rules found" in told.stdout, told.stdout + told.stderr


def test_each_alert_fires_when_it_should() -> None:
    told = promtool("test", "rules", RULE_TESTS)
    assert told.returncode == 0, told.stdout + told.stderr


def test_each_alert_has_a_test_that_it_fires_and_one_that_it_does_not() -> None:
    tested: dict[str, set[bool]] = {}
    for group in yaml.safe_load(RULE_TESTS.read_text())["tests"]:
        for test in group["alert_rule_test"]:
            tested.setdefault(test["alertname"], set()).add(bool(test["exp_alerts"]))
    assert tested == {rule["alert"]: {True, False} for rule in rules()}


def test_each_alert_says_what_and_how_bad() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]


# -- the dashboard ----------------------------------------------------------------------------------------------------


def test_promtool_understands_every_panel(tmp_path: Path) -> None:
    recorded = [
        {"record": f"panel:{number}", "expr": re.sub(r"\$\w+", ".*", target["expr"])}
        for number, (_, target) in enumerate(targets())
    ]
    place = tmp_path / "panels.yml"
    place.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}))
    told = promtool("check", "rules", place)
    assert told.returncode == 0 and f"{len(recorded)} rules found" in told.stdout, told.stdout + told.stderr


def test_the_dashboard_is_one_that_grafana_imports() -> None:
    assert {"title", "uid", "schemaVersion", "panels", "templating", "time"} <= set(DASHBOARD)
    assert DASHBOARD["schemaVersion"] >= 36 and len(DASHBOARD["uid"]) <= 40 and "id" not in DASHBOARD
    kinds = {"stat", "timeseries", "table", "gauge", "bargauge"}
    for panel in panels():
        assert panel["type"] in kinds and panel["title"] and panel["targets"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(references) == len(set(references))
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])


def test_panels_have_ids_of_their_own_and_do_not_overlap() -> None:
    every = DASHBOARD["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    cells: set[tuple[int, int]] = set()
    for panel in every:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        covered = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & covered, panel["title"]
        cells |= covered


def test_variables_are_defined_and_are_labels_of_exported_metrics() -> None:
    defined = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    used = {name for _, target in targets() for name in re.findall(r"\$(\w+)", target["expr"])}
    assert used == set(defined) - {"datasource"}
    for name in used:
        found = re.fullmatch(r"label_values\((\w+), (\w+)\)", defined[name]["definition"])
        assert found and found[2] == name and name in LABELS[found[1]]
        assert defined[name]["query"]["query"] == defined[name]["definition"]


def test_columns_of_tables_have_names() -> None:
    for panel in panels():
        if panel["type"] == "table":
            renamed = panel["transformations"][1]["options"]["renameByName"]
            assert {f"Value #{target['refId']}" for target in panel["targets"]} <= set(renamed)


def test_migrate_exports_just_the_metrics_that_are_documented(tmp_path: Path) -> None:
    """Those of --metrics-file have their names twice: where they are written, and where they are described."""
    file = MetricsFile(tmp_path / "m.prom", "p.db")
    file.ticking = False
    with file.stage("copying", objects=2, size=10) as stage:
        stage.advance(1, 5)
        during = {family.name for family in file.collect()}
    file.finish(success=True)
    exported = during | {family.name for family in file.collect()}
    assert {name.removesuffix("_total") for name in exported} == {
        metric.name.removesuffix("_total") for metric in names.MIGRATION
    }
