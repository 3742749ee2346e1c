"""Recognizes files other than Iceberg's that may contain absolute paths: Delta logs, streaming checkpoints and others.
Pure.

:func:`carrier_of` says by its key what a file may be. :func:`places_in` and :func:`places_in_checkpoint` read from its
bytes which places in S3 it names. Whether these places move is decided elsewhere.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO
from urllib.parse import unquote_to_bytes

DELTA, SINK, SOURCE = "delta-log", "sink-log", "file-source-log"
SYMLINK, FLINK, HUDI, PAIMON = "symlink-manifest", "flink-checkpoint", "hudi-log", "paimon-schema"
SAID = {
    DELTA: "is part of the log of a Delta table",
    SINK: "is part of the log of a streaming file sink",
    SOURCE: "is part of the checkpoint of a stream that reads files",
    SYMLINK: "is a manifest that lists data files",
    FLINK: "is part of a checkpoint or savepoint of Flink",
    HUDI: "is part of the log of a Hudi table",
    PAIMON: "is a schema of a Paimon table",
}
"""Code of the finding → how findings describe such a file."""

FLINK_MAGIC = b"\x49\x60\x67\x2d"
"""The first bytes of a Flink checkpoint's ``_metadata``; Parquet has files of that name, too."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """The kind of a file, as its key suggests."""

    code: str
    root: str
    """The folder of the table, the output or the checkpoint that it belongs to; "" is the bucket itself."""
    unit: str
    """The folder whose files get one finding together."""
    version: int
    """Newer files have higher ones."""
    first: bool = False
    """True if other files depend on it: a checkpoint of a Delta log, a Hudi table's properties."""
    minor: bool = False
    """True if it is only history: the table can be read without it."""
    sign: bytes = b""
    """The first bytes of a file of this kind."""

    @property
    def folder(self) -> str:
        """The folder with all files of a log or manifest, without a slash at its end; "" is the bucket itself."""
        return self.unit.removesuffix("/*") if self.root else ""


NARROW = " OR ".join(
    (
        "key GLOB '*_delta_log/*'",
        "key GLOB '*_spark_metadata/*'",
        "key GLOB '*sources/[0-9]*/*'",
        "key LIKE '%symlink%'",
        "key LIKE '%manifest%'",
        "key GLOB '*_metadata'",
        "key GLOB '*completedCheckpoint*'",
        "key GLOB '*submittedJobGraph*'",
        "key GLOB '*.hoodie/*'",
        "key GLOB '*schema/schema-[0-9]*'",
    )
)
"""SQL: selects all keys that :func:`carrier_of` may recognize, and others. SQLite must evaluate it for millions of
keys, so each condition is a fast one."""

_DELTA = re.compile(r"(?:(.*?)/)?_delta_log/((?:[^/]+/)*[^/]*\.(?:json|parquet))")
_SINK = re.compile(r"(?:(.*?)/)?_spark_metadata/([0-9]+)(?:\.compact)?")
_SOURCE = re.compile(r"(?:(.*)/)?sources/([0-9]+)/([0-9]+)(?:\.compact)?")
_SYMLINK = re.compile(r"(?:(.*?)/)?(_symlink_format_manifest[^/]*)/(?:.*/)?(?!\.[^/]*\.crc$)[^/]+")
_LISTED = re.compile(r"(?:(.*)/)?(?=[^/]*(?:symlink|manifest))(?![^/]*\.(?:avro|parquet|orc|crc)$)[^/]+", re.IGNORECASE)
_SYMLINK_FOLDER = re.compile(r"(?:(.*)/)?[^/]*symlink[^/]*/(?!\.[^/]*\.crc$)[^/]+", re.IGNORECASE)
_FLINK = re.compile(r"(?:(.*)/)?(_metadata|(?:completedCheckpoint|submittedJobGraph)[^/]*)")
_HUDI = re.compile(r"(?:(.*?)/)?\.hoodie/(hoodie\.properties|\.aux/\.bootstrap/.+|(?:timeline/)?[0-9][^/]*)")
_PAIMON = re.compile(r"(?:(.*)/)?schema/schema-([0-9]+)")


def carrier_of(key: str) -> Carrier | None:
    """The kind of file that the key suggests; None for any other key."""
    for kind in _KINDS:
        if (carrier := kind(key)) is not None:
            return carrier
    return None


def _delta(key: str) -> Carrier | None:
    found = _DELTA.fullmatch(key)
    if found is None:
        return None
    root, name = found[1] or "", found[2]
    checkpoint = ".checkpoint." in name or name.startswith("_sidecars/")
    return Carrier(DELTA, root, f"{root}/_delta_log", _number(name), first=checkpoint)


def _sink(key: str) -> Carrier | None:
    found = _SINK.fullmatch(key)
    return found and Carrier(SINK, found[1] or "", f"{found[1] or ''}/_spark_metadata", int(found[2]))


def _source(key: str) -> Carrier | None:
    found = _SOURCE.fullmatch(key)
    return found and Carrier(SOURCE, found[1] or "", f"{found[1] or ''}/sources/{found[2]}", int(found[3]))


def _symlink(key: str) -> Carrier | None:
    if found := _SYMLINK.fullmatch(key):
        folder = f"{found[1]}/{found[2]}" if found[1] else found[2]
        return Carrier(SYMLINK, folder, folder, 0)
    if found := _SYMLINK_FOLDER.fullmatch(key) or _LISTED.fullmatch(key):
        folder = key.rpartition("/")[0]
        return Carrier(SYMLINK, folder, f"{folder}/*", 0, minor="symlink" not in key.lower())
    return None


def _flink(key: str) -> Carrier | None:
    found = _FLINK.fullmatch(key)
    if found is None:
        return None
    sign = FLINK_MAGIC if found[2] == "_metadata" else b""
    return Carrier(FLINK, found[1] or "", f"{found[1] or ''}/{'' if sign else '*'}", 0, sign=sign)


def _hudi(key: str) -> Carrier | None:
    found = _HUDI.fullmatch(key)
    if found is None:
        return None
    root, name = found[1] or "", found[2]
    first = not name[0].isdigit() and not name.startswith("timeline/")
    # The timeline gets a separate finding from the files that readers need.
    return Carrier(HUDI, root, f"{root}/{'.hoodie' if first else 'timeline'}", _number(name), minor=not first)


def _paimon(key: str) -> Carrier | None:
    found = _PAIMON.fullmatch(key)
    return found and Carrier(PAIMON, found[1] or "", f"{found[1] or ''}/schema", _number(found[2]))


def sink_log(key: str) -> tuple[str, int] | None:
    """The folder of the log of a file sink, and the number of this file of it; None for any other key."""
    found = _SINK.fullmatch(key)
    return (f"{found[1]}/_spark_metadata" if found[1] else "_spark_metadata", int(found[2])) if found else None


_KINDS: tuple[Callable[[str], Carrier | None], ...] = (_delta, _hudi, _paimon, _sink, _symlink, _source, _flink)


def _number(name: str) -> int:
    found = re.search(r"[0-9]+", name)
    return int(found[0][:30]) if found else 0


# -- what is in them ---------------------------------------------------------------------------------------

# Separators may be percent-encoded, or escaped as in JSON (s3:\/\/) and in Java's properties (s3\://).
_SLASH = rb"(?:\\?/|%2[fF])"
_URI = re.compile(
    rb"[sS]3[aAnN]?(?:\\?:|%3[aA])" + _SLASH * 2 + rb"([a-zA-Z0-9][a-zA-Z0-9._-]{1,254})"
    rb"((?:" + _SLASH + rb"[^\s\"'<>\x00-\x1f]{0,2048})?)"
)
_AT_BEGINNING = re.compile(rb"(?:^|(?<!\\)[\"'])\s*(?=[sS]3[aAnN]?(?:\\?:|%3[aA]))", re.MULTILINE)
PATH = re.compile(rb'"(?:path|pathOrInlineDv)"\s*:\s*"((?:[^"\\]|\\.)*)')
"""The paths in a log, in their JSON."""
_ACTIONS = ("add", "remove", "cdc", "sidecar")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in S3 that a file names. ``uri`` is spelled as in the file."""

    uri: str
    bucket: str
    key: str


def places_in(carrier: Carrier, data: bytes) -> Iterator[Place]:
    """Each place in S3 that the file names as its own absolute paths; ``data`` may be a piece of the file.

    Data of users that looks like a path, such as the statistics in a Delta log, does not count.
    """
    if _URI.search(data) is None:
        return
    if carrier.code in (DELTA, SINK, SOURCE):
        yield from _in_lines(data)
    elif carrier.code == PAIMON:
        yield from _in_options(data)
    elif carrier.code == SYMLINK or (carrier.code == HUDI and data[:1] == b"{"):
        for begin in _AT_BEGINNING.finditer(data):
            yield from _first(data[begin.end() : begin.end() + 4096])
    else:
        for found in _URI.finditer(data):
            yield _place(found)


def _in_lines(data: bytes) -> Iterator[Place]:
    """The places under "path" in lines of JSON."""
    for line in data.splitlines():
        if _URI.search(line) is None:
            continue
        try:
            document = json.loads(line)
        except (ValueError, RecursionError):  # a piece of a line, or a line of something else
            texts = [found[1] for found in PATH.finditer(line)]
        else:
            texts = [text.encode() for text in _paths_of(document)]
        for text in texts:
            yield from _first(text)


def _in_options(data: bytes) -> Iterator[Place]:
    """The places in the options of a schema of Paimon, such as ``data-file.external-paths``; one may list several.

    "path" does not count: readers replace it by the place in which they found the table.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):  # a piece of it, or something else of that name
        return
    options = document.get("options") if isinstance(document, dict) and "fields" in document else None
    for name, text in options.items() if isinstance(options, dict) else ():
        if name != "path" and isinstance(text, str):
            for one in text.split(","):
                yield from _first(one.strip().encode())


def _paths_of(document: Any) -> Iterator[str]:
    entries = [document, *(document.get(name) for name in _ACTIONS)] if isinstance(document, dict) else []
    for entry in entries:
        if isinstance(entry, dict):
            vector = entry.get("deletionVector")
            texts = [entry.get("path"), vector.get("pathOrInlineDv") if isinstance(vector, dict) else None]
            yield from (text for text in texts if isinstance(text, str))


def _first(text: bytes) -> Iterator[Place]:
    found = _URI.match(text)
    if found is not None:
        yield _place(found)


def _place(found: re.Match[bytes]) -> Place:
    plain = unquote_to_bytes(found[2].replace(b"\\/", b"/")).decode("utf-8", "replace")
    return Place(found[0].decode("utf-8", "replace"), found[1].decode(), plain.lstrip("/"))


_LEAVES = {
    *(f"{action}.path" for action in _ACTIONS),
    *(f"{action}.deletionVector.pathOrInlineDv" for action in ("add", "remove")),
}


class Unread(Exception):
    """The file is larger than may be read; ``str()`` says which part was not read."""


def places_in_checkpoint(file: BinaryIO, most: int) -> Iterator[Place]:
    """Each place that a Delta checkpoint in Parquet names. Only columns with paths are read, and only if their
    statistics do not exclude a path in S3.

    Raises Unread, after the places that could be read, if a column has more than ``most`` bytes, and ValueError for a
    file that is not Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    left_out = 0
    try:
        parquet = pq.ParquetFile(file, pre_buffer=False)
        for number in range(parquet.metadata.num_row_groups):
            group = parquet.metadata.row_group(number)
            for column in (group.column(index) for index in range(group.num_columns)):
                if column.path_in_schema not in _LEAVES or not _may_hold(column.statistics):
                    continue
                if max(column.total_compressed_size, column.total_uncompressed_size) > most:
                    left_out += 1
                    continue
                for text in _strings(parquet.read_row_group(number, columns=[column.path_in_schema])):
                    yield from _first(text.encode())
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"it is no Parquet file that can be read: {error}") from error
    if left_out:
        raise Unread(f"{left_out} columns of paths have more than {most:,} bytes")


def _may_hold(statistics: Any) -> bool:
    """False only if the statistics show that no value begins with "s3"."""
    if statistics is None:
        return True
    if not statistics.has_min_max:
        return not (statistics.has_null_count and statistics.num_values == 0)
    low, high = statistics.min, statistics.max
    if not isinstance(low, str) or not isinstance(high, str):
        return True
    return any(low[:2] <= scheme <= high[:2] for scheme in ("s3", "S3"))


def _strings(table: Any) -> Iterator[str]:
    """All texts of a table with one, perhaps nested, column."""
    pending = [value for row in table.to_pylist() for value in row.values()]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, str):
            yield value
