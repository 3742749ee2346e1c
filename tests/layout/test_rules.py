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
    """apache/iceberg PR 17521: a prefix was used as a regular expression."""
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
        ({"s3://bronze/": True}, "must map to a prefix"),
        ({"s3://bronze/": "a/", "s3a://bronze": "b/"}, "twice"),
        ({"s3://data-lake/x/": "y/"}, "lies in the target bucket"),
    ],
)
def test_bad_rules_are_named(mapping: dict[str, str | bool], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Layout.from_mapping("data-lake", mapping)


def plainly(layout: Layout, uri: str) -> str | None:
    """The contract of ``map_uri``, in terms of Location and Rule."""
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


HDFS: dict[str, str | bool] = {
    "s3://copy/": "copy/",
    "hdfs://nn:8020/wh/": "copy/wh/",
    "hdfs://nn:8020/wh/tmp/": False,
    "file:///data/": "s3a://data-lake/local/",
    "gs://bucket/": "",
    "abfss://box@account.dfs.core.windows.net/lake/": "azure/",
    "/user/hive/": "hive/",
    "db/wh/": "relative/",
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("hdfs://nn:8020/wh/t/a", "s3://data-lake/copy/wh/t/a"),
        ("hdfs://nn:8020/wh", "s3://data-lake/copy/wh"),
        ("hdfs://nn:8020/wh/", "s3://data-lake/copy/wh/"),
        ("hdfs://nn:8020/whx/t", None),
        ("hdfs://nn:8020/wh/tmp/t", None),
        ("hdfs://nn:8020/wh/tmpx", "s3://data-lake/copy/wh/tmpx"),
        ("hdfs://nn/wh/t", None),  # perhaps another port
        ("hdfs:///wh/t", None),
        ("file:/data/x", "s3a://data-lake/local/x"),
        ("file:///data/x", "s3a://data-lake/local/x"),
        ("file://host/data/x", None),
        ("/data/x", None),
        ("gs://bucket/a//b", "s3://data-lake/a//b"),
        ("gs://bucket", "s3://data-lake"),
        ("abfss://box@account.dfs.core.windows.net/lake/x", "s3://data-lake/azure/x"),
        ("abfs://box@account.dfs.core.windows.net/lake/x", None),
        ("/user/hive/t", "s3://data-lake/hive/t"),
        ("user/hive/t", None),
        ("db/wh/t", "s3://data-lake/relative/t"),
        ("s3a://copy/wh/t", "s3a://data-lake/copy/wh/t"),
    ],
)
def test_recorded_paths_that_are_not_in_s3(path: str, expected: str | None) -> None:
    layout = Layout.from_mapping("data-lake", HDFS)
    assert layout.map_uri(path) == expected
    assert layout.is_source(path) == (expected is not None)
    assert Layout.from_mapping("data-lake", layout.to_mapping()) == layout
    assert layout.buckets == ("copy",)


def test_a_file_system_as_a_whole() -> None:
    for root in ("file:/", "file:///"):
        layout = Layout.from_mapping("data-lake", {root: "local/"})
        assert layout.map_uri("file:/x/y") == layout.map_uri("file:///x/y") == "s3://data-lake/local/x/y"
        assert layout.map_uri("file://host/x") is None
        assert Layout.from_mapping("data-lake", layout.to_mapping()) == layout


@pytest.mark.parametrize(
    ("rules", "path", "place"),
    [
        ({"s3://copy/": "copy/"}, "hdfs://nn:8020/wh/t", "s3://copy/wh/t"),
        ({"s3://copy/wh/": "copy/wh/", "s3://copy/": "other/"}, "hdfs://nn:8020/wh", "s3://copy/wh"),
        ({"s3://all/": ""}, "hdfs://nn:8020/wh/t//x", "s3://all/copy/wh/t//x"),
        ({"s3://all/": "", "s3://some/a/": "copy/wh/t/"}, "hdfs://nn:8020/wh/t/x", "s3://some/a/x"),
        ({"s3://all/": "copy/", "s3://all/wh/": False}, "hdfs://nn:8020/wh/t", None),
        ({"s3://all/": "else/"}, "hdfs://nn:8020/wh/t", None),
        ({"s3://all/": "copy/"}, "hdfs://other/wh/t", None),
        ({"s3://all/": "else/"}, "s3a://all/x", "s3a://all/x"),
    ],
)
def test_where_the_object_of_a_recorded_path_lies(rules: dict[str, str | bool], path: str, place: str | None) -> None:
    at = Layout.from_mapping("data-lake", {**rules, "hdfs://nn:8020/wh/": "copy/wh/"}).place_of(path)
    assert (at and at.uri) == place


@pytest.mark.parametrize(
    "rules",
    [
        {"file:/x": "a/", "file:///x/": "b/"},
        {"hdfs://user:secret@nn/x/": "a/"},
        {"abfs://box:secret@account/x/": "a/"},
        {"hdfs://nn/x/": "s3a://another-bucket/a/"},
        {"hdfs://nn/x/": "/a"},
        {"hdfs://nn/x/": True},
        {"bronze/": "bronze/"},  # s3:// is missing
        {"bronze": "bronze/"},
        {"/": "a/"},
        {"": "a/"},
    ],
)
def test_impossible_recorded_places(rules: dict[str, str | bool]) -> None:
    with pytest.raises(ConfigError) as caught:
        Layout.from_mapping("data-lake", rules)
    assert "secret" not in str(caught.value)
