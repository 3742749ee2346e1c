from __future__ import annotations

from typing import Any

import pytest

from migrator.errors import ConfigError
from migrator.layout import Layout
from migrator.layout.choice import choose, together

LAKE: dict[str, str | bool] = {
    "s3://bronze/": "bronze/",
    "s3://bronze/iceberg/": "warehouse/",
    "s3://gold/": "gold/",
    "s3://old/": False,
    "hdfs://nn:8020/gold/": "gold/",
}


def chosen(*names: str, lake: dict[str, Any] = LAKE) -> Layout:
    return choose(Layout.from_mapping("lake", lake), names)


def test_the_other_rules_leave_their_places_and_are_known() -> None:
    layout = chosen("s3://bronze/")
    moves = {k: v for k, v in layout.to_mapping().items() if v is not False}
    assert moves == {"s3://bronze/": "bronze/"} and set(layout.to_mapping()) == set(LAKE)
    assert [rule.source for rule in layout.later] == ["s3://bronze/iceberg/", "s3://gold/", "hdfs://nn:8020/gold/"]
    assert [rule.source for rule in layout.chosen] == ["s3://bronze/"]
    assert layout.moved_buckets == ("bronze",) and layout.stays("s3://bronze/iceberg/t/x")
    assert layout.whole.to_mapping() == LAKE and layout.whole.later == ()


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("s3a://gold/x", "s3://gold/"),
        ("s3://bronze/iceberg/x", "s3://bronze/iceberg/"),
        ("hdfs://nn:8020/gold/t", "hdfs://nn:8020/gold/"),
        ("s3://bronze/x", None),
        ("s3://old/x", None),
        ("s3://lake/gold/x", None),
    ],
)
def test_the_rule_of_another_plan(path: str, source: str | None) -> None:
    rule = chosen("s3://bronze/").later_rule(path)
    assert (rule.source if rule else None) == source


def test_what_another_plan_has_moved() -> None:
    layout = chosen("s3://bronze/")
    rule = layout.later_target("s3://lake/warehouse/t")
    assert rule is not None and rule.source == "s3://bronze/iceberg/"
    assert layout.later_target("s3://lake/bronze/t") is None and layout.later_target("s3://gold/t") is None


def test_recorded_paths_go_with_the_rule_that_moves_their_objects() -> None:
    assert [rule.source for rule in chosen("s3://gold").chosen] == ["s3://gold/", "hdfs://nn:8020/gold/"]


def test_all_rules_together_are_the_whole_layout() -> None:
    layout = chosen("s3://bronze/", "s3://gold/", "s3://bronze/iceberg")
    assert layout == Layout.from_mapping("lake", LAKE) and layout.chosen == ()


@pytest.mark.parametrize("name", ["s3://brnze/", "s3://bronze/x/", "bronze", "", "s3://old/"])
def test_a_name_that_is_no_rule_lists_the_rules(name: str) -> None:
    with pytest.raises(ConfigError, match="--rule") as caught:
        chosen(name)
    for source in ("s3://bronze/", "s3://bronze/iceberg/", "s3://gold/"):
        assert source in (caught.value.next_move or "")


@pytest.mark.parametrize(
    "lake",
    [
        {"s3://aaa/": "data/", "s3://bbb/": "data/"},
        {"s3://aaa/": "", "s3://bbb/": "data/"},
        {"s3://aaa/": "data/x/", "s3://bbb/": "data/"},
        {"s3://aaa/": "data/", "file:///tmp/b/": "data/x/", "s3://bbb/": "data/x/y/"},
    ],
)
def test_rules_for_one_part_of_the_target_are_planned_together(lake: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="same part of the target") as caught:
        chosen("s3://aaa/", lake=lake)
    assert "--rule s3://aaa/ --rule s3://bbb/" in caught.value.next_move
    chosen("s3://aaa/", "s3://bbb/", lake=lake)


def test_a_local_folder_is_a_rule_of_its_own() -> None:
    lake = {"s3://aaa/": "a/", "file:///tmp/checkpoints/": "checkpoints/"}
    assert [rule.source for rule in chosen("s3://aaa/", lake=lake).later] == ["file:///tmp/checkpoints/"]
    assert [rule.source for rule in chosen("file:///tmp/checkpoints", lake=lake).later] == ["s3://aaa/"]


def test_the_options_that_name_rules() -> None:
    assert together(["s3://aaa/", "s3://bbb/", "s3://aaa/"]) == "--rule s3://aaa/ --rule s3://bbb/"
    assert together(["s3://bronze/a b/"]) == "--rule 's3://bronze/a b/'"
