"""The logs of Spark's streams: only paths change, and the timestamps of a file source. Anything unusual is an error."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migrator.carriers.logs import (
    Modified,
    check_links,
    log_time,
    paths_of_log,
    rewrite_log,
    rewrite_manifest_of_links,
)
from migrator.errors import Unreadable
from migrator.layout import Layout

LAYOUT = Layout.from_mapping(
    "data-lake",
    {"s3://bronze/": "bronze/", "s3://silver/": "a b/ü%/", "s3://bronze/stays/": False, "hdfs://nn/wh/": "bronze/wh/"},
)
JAVA = "-_.!~'()*,;:$&+=@/"


def java_uri(path: str) -> str:
    """As ``java.net.URI`` writes a path: letters such as ü stay."""
    scheme, _, rest = path.partition("://")
    return f"{scheme}://" + "".join(char if ord(char) > 127 else quote(char, safe=JAVA) for char in rest)


def entry(path: str, **more: object) -> str:
    return json.dumps({"path": path, **more}, separators=(",", ":"), ensure_ascii=False)


def source_entry(path: str, timestamp: int = 1_700_000_000_000, batch: int = 0) -> str:
    return entry(path, timestamp=timestamp, batchId=batch)


def sink_entry(path: str, time: int = 7) -> str:
    more = {"isDir": False, "modificationTime": time, "blockReplication": 1, "blockSize": 33554432, "action": "add"}
    return entry(path, size=10, **more)


def kept(_: str) -> None:
    """There is no copy, so no time changes."""


def rewritten(text: str, modified: Modified = kept, key: str = "modificationTime") -> str:
    sink = io.BytesIO()
    rewrite_log(io.BytesIO(text.encode()), sink, LAYOUT.new_path, "s3://b/log", key, modified)
    return sink.getvalue().decode()


def test_only_the_paths_change() -> None:
    before = "\n".join(["v1", sink_entry("s3a://bronze/out/p%201.json"), sink_entry("s3a://elsewhere/out/p.json")])
    after = "\n".join(["v1", sink_entry("s3a://data-lake/bronze/out/p%201.json"), before.splitlines()[2]])
    assert rewritten(before) == after
    assert rewritten(before + "\n") == after + "\n"
    assert rewritten("v1") == "v1"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("s3a://bronze/in/a%20b.json", "s3a://data-lake/bronze/in/a%20b.json"),
        ("s3://bronze/in/a%2520b.json", "s3://data-lake/bronze/in/a%2520b.json"),
        ("s3n://bronze/größe%202+%23%3F=x.json", "s3n://data-lake/bronze/größe%202+%23%3F=x.json"),
        ("s3a://silver/x/y", "s3a://data-lake/a%20b/ü%25/x/y"),
        ("s3a://bronze/stays/x", "s3a://bronze/stays/x"),
        ("hdfs://nn/wh/x%20y", "s3://data-lake/bronze/wh/x%20y"),
        ("file:///tmp/x", "file:///tmp/x"),
        ("s3a://data-lake/bronze/x", "s3a://data-lake/bronze/x"),
        ("s3a://bronze-old/x", "s3a://bronze-old/x"),
    ],
)
def test_paths(old: str, new: str) -> None:
    assert rewritten(f"v1\n{sink_entry(old)}") == f"v1\n{sink_entry(new)}"


KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20).filter(
    lambda key: "//" not in f"/{key}/" and "." not in key.split("/") and ".." not in key.split("/")
)


@given(KEYS, st.sampled_from(["s3", "s3a", "s3n"]), st.sampled_from(["bronze", "silver"]))
def test_any_key(key: str, scheme: str, bucket: str) -> None:
    """The new path is the one that the layout gives, its end is spelled as before, and it is a URI as Java writes
    it."""
    old = java_uri(f"{scheme}://{bucket}/{key}")
    line = rewritten(f"v1\n{source_entry(old)}", key="timestamp").split("\n", 1)[1]
    new = json.loads(line)["path"]
    assert unquote(new) == LAYOUT.new_path(f"{scheme}://{bucket}/{key}")
    if "/" in key or bucket == "bronze":
        assert new == java_uri(unquote(new))
    assert line == source_entry(new)


def test_logs_get_the_times_of_the_copies() -> None:
    times: Mapping[str, int] = {"s3a://data-lake/bronze/a b": 1_900_000_000_000}
    before = "\n".join(["v1", source_entry("s3a://bronze/a%20b"), source_entry("s3a://bronze/gone", 5, 1)])
    after = "\n".join(
        [
            "v1",
            source_entry("s3a://data-lake/bronze/a%20b", 1_900_000_000_000),
            source_entry("s3a://data-lake/bronze/gone", 5, 1),
        ]
    )
    assert rewritten(before, times.get, "timestamp") == after
    before = f"v1\n{sink_entry('s3a://bronze/a%20b')}"
    assert rewritten(before, times.get) == f"v1\n{sink_entry('s3a://data-lake/bronze/a%20b', 1_900_000_000_000)}"


def test_a_path_that_holds_the_word_timestamp() -> None:
    name = 'x","timestamp":7,"y'
    before = source_entry(java_uri(f"s3a://bronze/{name}"))
    line = rewritten(f"v1\n{before}", lambda _: 9000, "timestamp").split("\n")[1]
    assert json.loads(line) == {"path": java_uri(f"s3a://data-lake/bronze/{name}"), "timestamp": 9000, "batchId": 0}


@pytest.mark.parametrize(("modified", "timestamp"), [(1000, 1000), (1001, 2000), (1999, 2000), (0, 0)])
def test_times_are_never_earlier_than_those_that_spark_reads(modified: int, timestamp: int) -> None:
    assert log_time(modified) == timestamp


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("v2\n{}", "only logs of version 1"),
        ("\0v1\n{}", "only logs of version 1"),
        ("", "only logs of version 1"),
        ("x" * 1000, "only logs of version 1"),
        ("v1\n{", "line 2 cannot be read: it is not JSON"),
        ("v1\n[]", "it is no JSON object"),
        ('v1\n{"a":1}', "it names no path"),
        ('v1\n{"path":1}', "it names no path"),
        (f"v1\n{entry('s3a://bronze/%FF', timestamp=1)}", "is not UTF-8"),
        (f"v1\n{entry('s3a://bronze/x')}", "it has no timestamp"),
        (f"v1\n{entry('s3a://bronze/x', timestamp='1')}", "it has no timestamp"),
        ('v1\n{"path":"s3a://bronze/x","timestamp":1,"more":{"timestamp":2}}', "more than once"),
    ],
)
def test_unusual_logs_are_errors(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        rewritten(text, lambda _: 1000, "timestamp")


def test_a_line_that_is_not_utf8() -> None:
    with pytest.raises(Unreadable, match="line 2 cannot be read: it is not UTF-8"):
        rewrite_log(io.BytesIO(b"v1\n\xff"), io.BytesIO(), LAYOUT.new_path, "s3://b/log", "timestamp", kept)


def test_the_paths_of_a_log() -> None:
    text = "\n".join(["v1", source_entry("s3a://bronze/a%20b"), "", source_entry("s3a://x/ü")])
    assert list(paths_of_log(io.BytesIO(text.encode()), "s3://b/log")) == ["s3a://bronze/a b", "s3a://x/ü"]


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_manifests_of_links(end: str) -> None:
    before = "s3a://bronze/t/a%20b.parquet\r\n\ns3://elsewhere/x\nrelative/x\ns3://bronze/stays/x" + end
    after = "s3a://data-lake/bronze/t/a%20b.parquet\r\n\ns3://elsewhere/x\nrelative/x\ns3://bronze/stays/x" + end
    sink = io.BytesIO()
    rewrite_manifest_of_links(io.BytesIO(before.encode()), sink, LAYOUT.new_path, "s3://b/manifest")
    assert sink.getvalue().decode() == after


def test_other_manifests_are_not_taken_for_links() -> None:
    check_links(b"s3://b/x\n\ns3a://b/y\n", "s3://b/manifest")
    for data in (b'{"entries":[{"url":"s3://b/x"}]}', b"s3://b/x\n# s3://b/y\ns3://b/z", b'"s3://b/x"\n"s3://b/y"'):
        with pytest.raises(Unreadable):
            check_links(data, "s3://b/manifest")
