from __future__ import annotations

import random

import pytest

from migrator.errors import ConfigError
from migrator.layout import MEDALLION, Layout, Location

MEDALLION_LAYOUT = Layout.medallion("data-lake", MEDALLION)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3a://warehouse", "s3a://data-lake/warehouse"),  # iceberg#15172: a path equal to the prefix
        ("s3a://warehouse/", "s3a://data-lake/warehouse/"),
        ("s3://bronze/iceberg-warehouse", "s3://data-lake/warehouse"),
        ("s3://bronze/iceberg-warehouse/", "s3://data-lake/warehouse/"),
        (
            "s3n://bronze/iceberg-warehouse/db/t/metadata/v1.metadata.json",
            "s3n://data-lake/warehouse/db/t/metadata/v1.metadata.json",
        ),
        ("s3://bronze/iceberg-warehouse-old/x", "s3://data-lake/bronze/iceberg-warehouse-old/x"),
        ("s3://bronze-archive/x", None),  # a boundary, not a string prefix
        ("s3://bronze.backup/x", None),
        ("s3://bronze/a//b", "s3://data-lake/bronze/a//b"),
        ("s3://bronze/a%20b?c#d+e", "s3://data-lake/bronze/a%20b?c#d+e"),  # opaque: nothing is decoded
        ("s3://bronze/(.*)+/x", "s3://data-lake/bronze/(.*)+/x"),  # apache/iceberg PR 17521: no regex
        ("s3a://data-lake/bronze/x", "s3a://data-lake/bronze/x"),  # mapping twice is mapping once
        ("hdfs://bronze/x", None),
        ("/tmp/x", None),
        ("", None),
    ],
)
def test_map_uri(uri: str, expected: str | None) -> None:
    assert MEDALLION_LAYOUT.map_uri(uri) == expected


def test_longest_prefix_wins_whatever_the_order() -> None:
    rules: dict[str, str | bool] = {
        "s3://bbb/": "all/",
        "s3://bbb/x/y/": "deep/",
        "s3://bbb/x/": False,
        "s3://ccc/": "",
    }
    for mapping in (rules, dict(reversed(rules.items()))):
        layout = Layout.from_mapping("ttt", mapping)
        assert layout.map_key("bbb", "z") == "all/z"
        assert layout.map_key("bbb", "x/1") is None
        assert layout.map_key("bbb", "x/y/1") == "deep/1"
        assert layout.map_key("bbb", "x/yy") is None
        assert layout.map_key("ccc", "k") == "k"
        assert layout.map_key("d", "k") is None
        assert Layout.from_mapping("ttt", layout.to_mapping()) == layout


@pytest.mark.parametrize("uri", ["s3a://ccc", "s3a://ccc/", "s3a://ccc/k"])
def test_a_rule_to_the_root_of_the_target(uri: str) -> None:
    assert Layout.from_mapping("ttt", {"s3://ccc/": ""}).map_uri(uri) == uri.replace("//ccc", "//ttt")


@pytest.mark.parametrize("prefix", ["a+b(c", "[x]*", "a.b^$|{2}\\d", "100%_", "%2F", "ü 😀"])
def test_a_prefix_is_text(prefix: str) -> None:
    """apache/iceberg PR 17521: a prefix taken for a regular expression."""
    layout = Layout.from_mapping("data-lake", {f"s3://bronze/{prefix}/": "wh/"})
    assert layout.map_uri(f"s3a://bronze/{prefix}") == "s3a://data-lake/wh"
    assert layout.map_uri(f"s3a://bronze/{prefix}/{prefix}") == f"s3a://data-lake/wh/{prefix}"
    for other in (f"{prefix}x", f"x{prefix}", "aabc", "x", "a0b^$|{2}9", "100xy", "/"):
        assert layout.map_uri(f"s3a://bronze/{other}/y") is None


def test_medallion_covers_only_what_exists() -> None:
    layout = Layout.medallion("data-lake", ["silver", "logs", "other"])
    assert layout.to_mapping() == {"s3://silver/": "silver/", "s3://logs/": "logs/"}


def test_location_keeps_the_key_literally() -> None:
    location = Location.parse("s3a://b//a\nb/ü%2F")
    assert location == Location("s3a", "b", "/a\nb/ü%2F")
    assert location is not None and location.uri == "s3a://b//a\nb/ü%2F"


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ({"bronze": "bronze/"}, "not a place in S3"),
        ({"s3://bronze/": "s3://x/"}, "not a plain prefix"),
        ({"s3://bronze/": "/x"}, "not a plain prefix"),
        ({"s3://bronze/": "a/../b"}, "not a plain prefix"),
        ({"s3://bronze/": True}, "must lead to a prefix"),
        ({"s3://bronze/": "a/", "s3a://bronze": "b/"}, "twice"),
        ({"s3://data-lake/x/": "y/"}, "lies in the target bucket"),
    ],
)
def test_bad_rules_are_named(mapping: dict[str, str | bool], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Layout.from_mapping("data-lake", mapping)


def plainly(layout: Layout, uri: str) -> str | None:
    """What ``map_uri`` promises, in the words of Location and Rule."""
    location = Location.parse(uri)
    if location is None:
        return None
    if location.bucket == layout.target_bucket:
        return uri
    covering = [r for r in layout.rules if r.bucket == location.bucket and r.covers(location.key)]
    if not covering:
        return None
    key = max(covering, key=lambda rule: len(rule.prefix)).move(location.key)
    if key is None:
        return None
    slash = "/" if not location.key and uri.endswith("/") and key else ""
    return f"{location.scheme}://{layout.target_bucket}" + (f"/{key}{slash}" if key or uri.endswith("/") else "")


def test_any_uri_is_mapped_as_the_parts_say() -> None:
    chance = random.Random(7)
    words = ["a", "ab", "abc", "a b", "%2F", "?q=1", "#x", "ü", "\n", "s3:", ""]
    buckets = ["bkt", "bkt2", "ttt", "other"]

    def path(most: int) -> str:
        return "/".join(chance.choices(words, k=chance.randint(0, most)))

    mapped = 0
    for _ in range(300):
        targets: list[str | bool] = ["", "x/", "x/y", "bkt/", False]
        rules = {f"s3://{chance.choice(buckets[:2])}/{path(3)}": chance.choice(targets) for _ in range(5)}
        try:
            layout = Layout.from_mapping("ttt", rules)
        except ConfigError:
            continue  # two of them have the same source
        for _ in range(100):
            scheme = chance.choice(["s3", "s3", "s3a", "s3n", "s3x", "S3", "hdfs", ""])
            uri = chance.choice([f"{scheme}://{chance.choice([*buckets, ''])}/{path(5)}", path(3), *rules])
            uri = uri.replace("//", "/", 1) if chance.random() < 0.05 else uri.removesuffix("/")
            uri += chance.choice(["", "/", "//"])
            assert layout.map_uri(uri) == plainly(layout, uri), (rules, uri)
            mapped += layout.map_uri(uri) is not None
    assert mapped > 5_000
