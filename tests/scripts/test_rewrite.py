"""For every text: only certain places change, a second run changes nothing, and the diff has the same changes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from migrator.layout import MEDALLION
from migrator.scripts import Rewritten, rewrite_text
from migrator.scripts.diff import unified_diff
from migrator.scripts.keys import NO_CHECKPOINTS
from scripts.lake import NAMES, names, rewritten
from scripts.test_spellings import REPORTED, REWRITTEN, UNTOUCHED

EXAMPLES = settings(max_examples=150, database=None)

NOISE = st.text(max_size=40).filter(lambda text: not re.search(r"s3|mc|arn|bucket|/|tmp|\0", text, re.IGNORECASE))
# Those without a longer rule, and without text before or after them that would have a meaning.
SURE = st.sampled_from([(old, new) for old, new in REWRITTEN.items() if "mc mb" not in old and "s3a.bucket" not in old])
STAYS = st.sampled_from([(text, text) for text in [*REPORTED, *UNTOUCHED] if "mc mb" not in text])

TEXT_OF_WORDS = """
s3a:// s3:// S3A:// bronze silver gold data-lake bronze-archive warehouse iceberg-warehouse raw_events / // \\/
.. ${ $x } { * " ' ` \\n \\ = : ( ) - . + %s %2F < > @ ? ; # é \ufeff s3a%3A%2F%2F arn:aws:s3:::
http://minio:9000/ https:// .minio:9000 myminio/ mc mb rb aws cp --ignore-existing checkpointLocation
/tmp/checkpoints/ /tmp/checkpoints file:// fs.defaultFS fs.s3a.bucket. .endpoint bucket Bucket= fs.open(
spark.sql.catalog.x.warehouse s3_bucket: s3_prefix: tmp
"""
WORDS = TEXT_OF_WORDS.split()
PATHS = [
    "s3a://bronze",
    "s3://silver/x",
    "s3a://bronze/iceberg-warehouse/",
    "myminio/gold",
    "mc mb myminio/bronze",
    "bronze/x",
]
SPACES = [" ", "\n", "\r\n", "\u2028", ", ", ": ", " + ", " && \\\n", ";\n", "\n- "]
TOKENS = st.one_of(st.sampled_from(WORDS), st.sampled_from(PATHS), st.sampled_from(SPACES))
SOUP = st.lists(TOKENS, max_size=30).map("".join)

STRONG = re.compile(
    r"://|arn:aws|myminio/|/tmp/checkpoints|^(?:bronze|silver|gold|warehouse|logs|checkpoints|scripts)\b|^[\w/.-]+$"
)
"""What every changed place contains: a bare word is changed only in a known setting."""


def replaced(text: str, done: Rewritten) -> str:
    """The new text, from the old one and its edits."""
    pieces, at = [], 0
    for edit in done.edits:
        assert at <= edit.start < edit.end
        pieces += [text[at : edit.start], edit.new or ""]
        at = edit.end
    return "".join([*pieces, text[at:]])


@EXAMPLES
@given(st.lists(st.one_of(NOISE.map(lambda text: (text, text)), SURE, STAYS), max_size=8))
def test_every_character_outside_the_certain_places_stays(parts: list[tuple[str, str]]) -> None:
    between = "\n;;\n"  # ends any command, call or list that the part before has begun
    done = rewritten(between.join(old for old, _ in parts))
    assert done.text == between.join(new for _, new in parts)


@EXAMPLES
@given(SOUP)
def test_whatever_the_text_a_second_run_changes_nothing(text: str) -> None:
    done = rewritten(text)
    assert done.text == replaced(text, done)
    assert len(done.changes) == len(done.edits)
    for edit in done.edits:
        assert STRONG.search(text[edit.start : edit.end]), text[edit.start : edit.end]
    for found in (*done.changes, *done.doubts):
        assert 1 <= found.line <= text.count("\n") + 1


@EXAMPLES
@given(SOUP)
def test_no_other_bucket_is_changed(text: str) -> None:
    for bucket in MEDALLION:
        text = text.replace(bucket, f"{bucket}-x")
    done = rewrite_text(text, NAMES)
    assert "/tmp/checkpoints-x" in text or not done.changes, done.changes


@EXAMPLES
@given(SOUP)
def test_the_diff_leads_from_the_old_text_to_the_new(text: str) -> None:
    done = rewrite_text(text, NAMES)
    assert applied(text, unified_diff("a", text, done.edits)) == done.text


def applied(text: str, diff: str) -> str:
    """A text with its diff, as patch would apply it."""
    old, new, at = text.split("\n"), [], 0
    ends_without = False
    for row in diff.split("\n")[2:-1] if diff else []:
        if match := re.match(r"@@ -(\d+),(\d+) \+\d+,\d+ @@$", row):
            start = int(match[1]) - (1 if int(match[2]) else 0)
            new, at = [*new, *old[at:start]], start
        elif row.startswith("\\"):
            ends_without = True
        else:
            assert row[0] == "+" or old[at] == row[1:], (row, old[at])
            new += [row[1:]] if row[0] in " +" else []
            at += row[0] in " -"
    result = "\n".join([*new, *old[at:]])
    assert not ends_without or not text.endswith("\n")
    return result


def test_a_long_text() -> None:
    text = "x = 1\n" * 100_000
    assert rewritten(text).text == text
    assert rewritten(f"{text}s3a://silver").text == f"{text}s3a://data-lake/silver"


def test_many_paths_in_one_line() -> None:
    line = '{"p": "s3a://silver/x"},' * 5_000
    assert rewritten(line).text == line.replace("://", "://data-lake/")


def test_the_longest_prefix_decides_not_the_bucket() -> None:
    known = names(
        {
            "s3://bronze/a/": "one/",
            "s3://bronze/a/b/": "two/",
            "s3://bronze/my data/": "three/",
            "s3://bronze/keep/": False,
            "s3://silver/": "",
        }
    )
    text = "s3://bronze/a/x s3://bronze/a/b/x s3://bronze/a/bc 's3://bronze/my data/x' s3://bronze/keep/x"
    done = rewritten(f"{text} s3://silver/x s3://silver", known)
    assert done.text == (
        "s3://data-lake/one/x s3://data-lake/two/x s3://data-lake/one/bc 's3://data-lake/three/x' s3://bronze/keep/x"
        " s3://data-lake/x s3://data-lake"
    )
    assert not done.doubts
    other = rewritten("s3://bronze/c/x s3://bronze/ s3://bronze/a/{x} s3://bronze/my%20data/x s3://bronze/k{x}", known)
    assert not other.changes and len(other.doubts) == 5


def test_a_bucket_that_stays_in_part_keeps_its_commands_and_settings() -> None:
    known = names({"s3://bronze/": "bronze/", "s3://bronze/tmp/": False})
    text = "mc mb myminio/bronze\nspark.hadoop.fs.s3a.bucket.bronze.endpoint=x\ns3a://bronze/tmp/x s3a://bronze/{x}\n"
    done = rewritten(text, known)
    assert not done.changes and [doubt.line for doubt in done.doubts] == [1, 2, 3]


def test_paths_that_tables_record_are_reported() -> None:
    known = names({"s3://bronze/": "bronze/", "hdfs://nn:8020/wh/": "bronze/wh/", "file:///data/wh/": "bronze/wh/"})
    done = rewritten("hdfs://nn:8020/wh/t file:/data/wh/t file:///data/wh hdfs://nn:8020/wh-old", known)
    assert [doubt.text for doubt in done.doubts] == ["hdfs://nn:8020/wh", "file:/data/wh", "file:///data/wh"]


def test_a_rule_for_the_local_checkpoints_decides_where_they_go() -> None:
    known = names({"s3://bronze/": "bronze/", "file:///tmp/checkpoints/": "ckpt/"})
    done = rewritten(
        "checkpoint: /tmp/checkpoints/a\ncheckpoint: /tmp/checkpoints/{x}\ncheckpoint: /tmp/checkpoints", known
    )
    assert done.text.split("\n") == [
        "checkpoint: s3a://data-lake/ckpt/a",
        "checkpoint: s3a://data-lake/ckpt/{x}",
        "checkpoint: s3a://data-lake/ckpt",
    ]
    assert not done.doubts
    elsewhere = names({"s3://bronze/": "bronze/"})
    assert [doubt.reason for doubt in rewritten("checkpoint: /tmp/checkpoints/a", elsewhere).doubts] == [NO_CHECKPOINTS]


@pytest.mark.parametrize(
    "unit",
    ["s3", "a.", "mc ", "bucket", "fs", "x", "s3a://", "s3a://bronze/", "checkpoint ", "write.data.path ", "a/", "\\"],
)
def test_no_text_takes_time_in_proportion_to_the_square_of_its_length(unit: str) -> None:
    """With such an expression, these took minutes: the test would end by its time limit."""
    rewrite_text("s3a://silver " + unit * (200_000 // len(unit)), NAMES)


def test_urls_are_not_mapped_to_another_server() -> None:
    known = names({"s3://bronze/": "bronze/"}, other_server=True)
    done = rewritten("http://minio:9000/bronze/x s3a://bronze/x", known)
    assert done.text == "http://minio:9000/bronze/x s3a://data-lake/bronze/x" and len(done.doubts) == 1
