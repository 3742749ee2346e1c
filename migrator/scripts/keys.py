"""Finds settings whose keys show that the value is a place of the lake, in files of any kind. Pure: no I/O."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from migrator.scripts.found import CHECKPOINT_BUCKET, Found, Names, alternatives
from migrator.scripts.paths import TEMPLATE_KEY, PathInText, judge, read_path

DIFFERENT_VALUES = "settings of several old buckets would become one, and their values differ"
TWICE = "settings of several old buckets would become the same key twice"
STAYS_IN_PART = "a part of this bucket stays, so its settings are still needed"
NO_PREFIX = "the prefix would be empty, which may mean another one"
LOCAL_CHECKPOINTS = "the local folder of checkpoints, in a setting that may not be a checkpoint location"
NO_CHECKPOINTS = "no rule of the layout says where checkpoints go"

_SEPARATOR = r"[\"']?\s*(?:=>|[=:,]|[ \t])\s*(?:[frbu]?[\"'])?"
_KNOWN_KEYS = re.compile(
    r"(?:spark\.sql\.catalog\.[\w-]+\.warehouse|spark\.sql\.warehouse\.dir|write\.(?:data|metadata)\.path"
    r"|spark\.sql\.streaming\.checkpointLocation|checkpointLocation|spark\.eventLog\.dir"
    r"|spark\.history\.fs\.logDirectory|spark\.jars|spark\.files|default-warehouse-dir"
    rf"|external_root|remote_base_log_folder){_SEPARATOR}"
)


def find_known_keys(text: str, names: Names) -> Iterator[Found]:
    """Values of known keys that name an old bucket without a scheme: ``warehouse=bronze/iceberg-warehouse/``.

    A bare ``bronze`` does not count: it may be the name of a warehouse, a namespace or a folder."""
    for match in _KNOWN_KEYS.finditer(text):
        path = read_path(text, match.end(), names.layout)
        if path.key is not None and path.bucket in names.old_buckets:
            new, reason = judge(path, names)
            yield Found(match.end(), path.end, new, reason)


# In TOML, YAML and JSON a key must be unique; in properties and on command lines it need not be.
_IN_A_MAPPING = re.compile(r"\\?[\"']\s*[=:]|:\s")


def find_bucket_settings(text: str, names: Names) -> Iterator[Found]:
    """Hadoop's settings for one bucket, ``fs.s3a.bucket.bronze.endpoint``. Those of several buckets become one, which
    is certain only if their values are the same."""
    buckets = alternatives((*names.old_buckets, names.layout.target_bucket))
    pattern = re.compile(rf"(?<=fs\.s3a\.bucket\.)({buckets})\.([A-Za-z][\w.-]*)")
    values: dict[str, set[str]] = defaultdict(set)
    buckets_of: dict[str, set[str]] = defaultdict(set)
    settings = []
    for match in pattern.finditer(text):
        values[match[2]].add(_value(text, match.end()))
        buckets_of[match[2]].add(match[1])
        settings.append(match)
    for match in settings:
        if match[1] == names.layout.target_bucket:
            continue
        if not names.is_whole(match[1]):
            yield Found(match.start(1), match.end(), reason=STAYS_IN_PART)
        elif len(values[match[2]]) > 1:
            yield Found(match.start(1), match.end(), reason=DIFFERENT_VALUES)
        elif len(buckets_of[match[2]]) > 1 and _IN_A_MAPPING.match(text, match.end()):
            yield Found(match.start(1), match.end(), reason=TWICE)
        else:
            yield Found(match.start(1), match.end(), f"{names.layout.target_bucket}.{match[2]}")


_LONGEST_VALUE = 300


def _value(text: str, at: int) -> str:
    """The value of a setting, for comparing two of them: the rest of the line, the content of an XML element, or the
    next string."""
    rest = re.compile(r"[\"']?(?:</name>)?\s*(?:=>|[=:,)]|\s|<value>)*\s*(.*?)[\s\"',;)\]}\\]*(?:</value>.*)?$", re.M)
    match = rest.match(text[at : at + _LONGEST_VALUE])
    return match[1] if match else ""


def find_dagster_buckets(text: str, names: Names) -> Iterator[Found]:
    """``s3_bucket`` with its ``s3_prefix`` on the same line or the one after: both change together."""
    value = r"(?P<{0}>[A-Za-z0-9._/-]+)(?![A-Za-z0-9._/{{$%-])"
    pair = (
        r"\bs3_bucket[\"']?\s*[:=]\s*[\"']?" + value.format("bucket") + r"[\"']?[ \t]*,?[ \t]*(?:\r?\n)?[ \t]*[\"']?"
        r"s3_prefix[\"']?\s*[:=]\s*[\"']?" + value.format("prefix")
    )
    for match in re.finditer(pair, text):
        if match["bucket"] not in names.old_buckets:
            continue
        path = read_path(f"{match['bucket']}/{match['prefix']}", 0, names.layout)
        new, reason = judge(path, names)
        if new is None:
            yield Found(match.start("bucket"), match.end("bucket"), reason=reason)
            yield Found(match.start("prefix"), match.end("prefix"))
            continue
        bucket, _, key = new.partition("/")
        if not key:
            yield Found(match.start(), match.end(), reason=NO_PREFIX)
            continue
        yield Found(match.start("bucket"), match.end("bucket"), bucket)
        yield Found(match.start("prefix"), match.end("prefix"), key)


# -- local checkpoints -------------------------------------------------------------------------------------

# A key, what separates it from its value, and nothing else. "checkpoints:/tmp/…" without a blank is a volume of Docker.
_CHECKPOINT_KEY = re.compile(
    r"(?:[\w.-]*checkpoint[\w.-]*\\?[\"'`]?\s*(?::\s*[A-Za-z]+\s*=|:-|=|,|\||\(|(?<=[\"'`]):|:(?=\s))\s*(?:default\s*=\s*)?"
    r"|(?:--|[\w-]+\.)[\w.-]*checkpoint[\w.-]*[ \t]+)[(\[]?[frbu]{0,2}[\\\"'`]{0,2}$",
    re.IGNORECASE,
)
_LOOK_BACK = 160


def find_checkpoints(text: str, names: Names) -> Iterator[Found]:
    """The local folder of checkpoints. It is a path of the lake only in a setting for a checkpoint location; there it
    becomes an ``s3a://`` URI."""
    folder = re.escape("/" + names.checkpoints.strip("/"))
    pattern = re.compile(rf"(?<![\w./${{}}~])(?:file:(?://)?)?(?P<folder>{folder})(?![A-Za-z0-9._-])")
    for match in pattern.finditer(text):
        as_bucket = CHECKPOINT_BUCKET + text[match.end() : match.end() + 1000]
        path = read_path(as_bucket, 0, names.layout)
        end = match.end() + path.end - len(CHECKPOINT_BUCKET)
        if not _CHECKPOINT_KEY.search(text[max(0, match.start() - _LOOK_BACK) : match.start()]):
            yield Found(match.start(), end, reason=LOCAL_CHECKPOINTS)
            continue
        recorded = names.layout.recorded_rule(f"file://{match['folder']}")
        if recorded is not None:
            yield _by_recorded_rule(text, match, end, path, names)
            continue
        if CHECKPOINT_BUCKET not in names.layout.buckets:
            yield Found(match.start(), end, reason=NO_CHECKPOINTS)
            continue
        new, reason = judge(path, names)
        yield Found(match.start(), end, f"s3a://{new}" if new is not None else None, reason)


def _by_recorded_rule(text: str, match: re.Match[str], end: int, path: PathInText, names: Names) -> Found:
    """A checkpoint whose folder has its own rule: ``"file:///tmp/checkpoints/" = "checkpoints/"``."""
    folder = f"file://{match['folder']}"
    below = [rule for rule in names.layout.recorded if rule.prefix.startswith(f"{folder}/")]
    if path.cut and (below or path.key is None):
        return Found(match.start(), end, reason=TEMPLATE_KEY)
    new = names.layout.map_uri(folder + text[match.end() : end])
    return Found(match.start(), end, f"s3a://{new.partition('://')[2]}" if new is not None else None)
