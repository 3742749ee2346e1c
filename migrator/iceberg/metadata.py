"""Table metadata JSON: read it, and move the paths in it.

The text is edited, not the document: only the string tokens that hold a path are replaced, so unknown keys,
the order of keys, number text, escapes and white space stay as their writer left them. Compression is told
by the first bytes, not by the name, and stays what it was.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import zstandard

from migrator.errors import UnmappedPath, Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.avro import Malformed, unzstd

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"

_FORMAT_VERSIONS = (1, 2, 3)
"""Version 4 drafts put paths elsewhere; a table that might be moved by halves is refused instead."""


@dataclass(frozen=True)
class Snapshot:
    """One element of ``snapshots``."""

    snapshot_id: int
    parent_id: int | None
    sequence_number: int
    """0 in tables of format version 1, which have none."""
    timestamp_ms: int
    manifest_list: str | None
    """None only in old tables of format version 1, which name their manifests inline."""
    manifests: tuple[str, ...]
    """The manifests named inline; empty where there is a manifest list."""
    summary: dict[str, str]
    key_id: str | None


@dataclass(frozen=True)
class TableMetadata:
    """What a move must know of a table metadata file."""

    format_version: int
    table_uuid: str | None
    location: str
    last_updated_ms: int
    current_snapshot_id: int | None
    """None for an empty table, written as -1, as null, or not at all."""
    snapshots: tuple[Snapshot, ...]
    refs: dict[str, tuple[str, int]]
    """Name of a branch or tag → ("branch" or "tag", snapshot id)."""
    metadata_log: tuple[str, ...]
    statistics: tuple[str, ...]
    """Paths of table statistics and of partition statistics files."""
    properties: dict[str, str]
    row_lineage: bool
    """True if rows have ids: always in format version 3, never before."""
    encryption_keys: bool
    """True if the table is encrypted: it has encryption keys, or a snapshot names one."""


# --- names -----------------------------------------------------------------------------------------

_COMPRESSED = r"(?:\.(?:gz|gzip|zst|zstd))?"
_METADATA_NAME = re.compile(rf"[^/]+{_COMPRESSED}\.metadata\.json{_COMPRESSED}")
_VERSIONED_NAME = re.compile(
    rf"(?:v(?P<hadoop>\d+)|(?P<catalog>\d+)-[^/]+?){_COMPRESSED}\.metadata\.json{_COMPRESSED}", re.ASCII
)


def is_metadata_file(name: str) -> bool:
    """True if the last segment of a path is a name that table metadata files have.

    ``v7.metadata.json``, ``00007-<uuid>.metadata.json``, ``<anything>.metadata.json``, each also with
    ``.gz`` or ``.zstd`` before ``.metadata.json`` or at the end.
    """
    return _METADATA_NAME.fullmatch(name) is not None


def is_compressed(data: bytes) -> bool:
    """True if the bytes of a metadata file are compressed. The name does not tell."""
    return data.startswith((_GZIP_MAGIC, _ZSTD_MAGIC))


def metadata_version(name: str) -> int | None:
    """The version in the name of a metadata file, 7 in ``v7.metadata.json``; None if it has none."""
    found = _VERSIONED_NAME.fullmatch(name)
    return int(found["hadoop"] or found["catalog"]) if found else None


# --- reading ---------------------------------------------------------------------------------------


def read_metadata(data: bytes, place: str) -> TableMetadata:
    """The facts of a table metadata file, compressed or not.

    Raises Unreadable if it is truncated, no JSON object, of an unknown format version, or if a key that the
    spec demands is missing or of a wrong type.
    """
    top = _Object(_parse(_text(data, place)[0], place), place, "")
    version = top.integer("format-version")
    if version not in _FORMAT_VERSIONS:
        raise Unreadable(place, f"its format-version is {version}")
    snapshots = tuple(_snapshot(s) for s in top.objects("snapshots"))
    current = top.integer("current-snapshot-id", -1)
    refs = top.object("refs")
    statistics = [*top.objects("statistics"), *top.objects("partition-statistics")]
    return TableMetadata(
        format_version=version,
        table_uuid=top.optional_text("table-uuid"),
        location=top.text("location"),
        last_updated_ms=top.integer("last-updated-ms"),
        current_snapshot_id=None if current == -1 else current,
        snapshots=snapshots,
        refs={r: (refs.object(r).text("type"), refs.object(r).integer("snapshot-id")) for r in refs.names()},
        metadata_log=tuple(e.text("metadata-file") for e in top.objects("metadata-log")),
        statistics=tuple(s.text("statistics-path") for s in statistics),
        properties=top.texts("properties"),
        row_lineage=top.get("next-row-id", int, None) is not None,
        encryption_keys=bool(top.objects("encryption-keys")) or any(s.key_id is not None for s in snapshots),
    )


def _snapshot(of: _Object) -> Snapshot:
    manifest_list = of.optional_text("manifest-list")
    manifests = of.get("manifests", list, None)
    if manifest_list is None and manifests is None:
        raise Unreadable(of.place, f"{of.label}manifest-list is missing")
    for path in manifests or ():
        if not isinstance(path, str):
            raise Unreadable(of.place, f"{of.label}manifests holds {path!r}")
    return Snapshot(
        snapshot_id=of.integer("snapshot-id"),
        parent_id=of.get("parent-snapshot-id", int, None),
        sequence_number=of.integer("sequence-number", 0),
        timestamp_ms=of.integer("timestamp-ms"),
        manifest_list=manifest_list,
        manifests=tuple(manifests or ()),
        summary=of.texts("summary"),
        key_id=of.optional_text("key-id"),
    )


_MISSING = object()


class _Object:
    """A JSON object whose values are read with the type that they must have; null counts as missing."""

    def __init__(self, value: Any, place: str, label: str) -> None:
        if not isinstance(value, dict):
            raise Unreadable(place, f"{label.rstrip('.') or 'the document'} is no JSON object")
        self._value = value
        self.place = place
        self.label = label
        """What leads to this object, with a dot at its end: ``snapshots[3].``"""

    def names(self) -> list[str]:
        return list(self._value)

    def get(self, key: str, kind: type, default: Any = _MISSING) -> Any:
        value = self._value.get(key)
        if value is None and default is not _MISSING:
            return default
        if value is None:
            raise Unreadable(self.place, f"{self.label}{key} is missing")
        if type(value) is not kind:  # not isinstance: true is no integer
            raise Unreadable(self.place, f"{self.label}{key} is {str(value)[:80]!r}")
        return value

    def integer(self, key: str, default: Any = _MISSING) -> int:
        number: int = self.get(key, int, default)
        return number

    def text(self, key: str) -> str:
        value: str = self.get(key, str)
        return value

    def optional_text(self, key: str) -> str | None:
        value: str | None = self.get(key, str, None)
        return value

    def object(self, key: str) -> _Object:
        return _Object(self.get(key, dict, {}), self.place, f"{self.label}{key}.")

    def objects(self, key: str) -> list[_Object]:
        values = self.get(key, list, [])
        return [_Object(v, self.place, f"{self.label}{key}[{i}].") for i, v in enumerate(values)]

    def texts(self, key: str) -> dict[str, str]:
        of = self.object(key)
        return {name: of.text(name) for name in of.names()}


# --- rewriting -------------------------------------------------------------------------------------


def rewrite_metadata(data: bytes, mapping: Mapping, place: str) -> bytes:
    """The same file with its paths mapped, in the same compression; the same bytes if none changes.

    Mapped are ``location``, manifest lists, inline manifests, the metadata log, the paths of statistics
    files, and each property whose value is, as a whole, one path. Raises UnmappedPath if no rule covers the
    location, a manifest list or a manifest; the others then stay as they are. Raises Unreadable as
    :func:`read_metadata` does.
    """
    read_metadata(data, place)  # a path in a shape that the positions below do not foresee must not slip by
    text, compress = _text(data, place)
    pieces: list[str] = []
    kept = 0
    for token in _strings(text):
        rule = _rule(token.path)
        if rule is None:
            continue
        old = json.loads(token.text)
        new = mapping(old) if rule is not _PROPERTY or old.count("://") < 2 else None  # two: a list of paths
        if new is None and rule is _MUST_MOVE:
            raise UnmappedPath(place, old)
        if new is not None and new != old:
            # Escapes stay in the style of their writer.
            pieces += text[kept : token.start], json.dumps(new, ensure_ascii="\\u" in token.text)
            kept = token.start + len(token.text)
    if not pieces:
        return data
    return compress("".join([*pieces, text[kept:]]).encode())


def paths_in(data: bytes, place: str) -> list[tuple[str, str]]:
    """Every place in the file where a path stands or may stand, as (label, value), in the file's order.

    All positions that :func:`rewrite_metadata` maps, all properties, and those values of snapshot summaries
    that look like ``scheme://…``. A label reads like ``snapshots[3].manifest-list``. Raises Unreadable if
    the file is truncated or no JSON.
    """
    text, _ = _text(data, place)
    _parse(text, place)
    found = []
    for token in _strings(text):
        if _rule(token.path) is None and not _is_summary(token.path):
            continue
        value = json.loads(token.text)
        if not _is_summary(token.path) or _SCHEME.match(value):
            found.append((_label(token.path), value))
    return found


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

_MUST_MOVE, _MAY_MOVE, _PROPERTY = "must move", "may move", "property"

_Path = tuple[str | int, ...]
"""Keys and indexes that lead to a value of the document."""


def _rule(path: _Path) -> str | None:
    """What to do with the string at this position; None to leave it alone."""
    match path:
        case ("location",) | ("snapshots", int(), "manifest-list") | ("snapshots", int(), "manifests", int()):
            return _MUST_MOVE
        case ("metadata-log", int(), "metadata-file") | (
            "statistics" | "partition-statistics",
            int(),
            "statistics-path",
        ):
            return _MAY_MOVE
        case ("properties", str()):
            return _PROPERTY
    return None


def _is_summary(path: _Path) -> bool:
    return len(path) == 4 and path[0] == "snapshots" and path[2] == "summary"


def _label(path: _Path) -> str:
    return "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path).removeprefix(".")


@dataclass(frozen=True, slots=True)
class _Token:
    """A string value in the text of the document: where it is, and its text, quotes included."""

    path: _Path
    start: int
    text: str


_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]')


def _strings(text: str) -> Iterator[_Token]:
    """All string values of a text that is known to be JSON. Keys are no values."""
    path: list[str | int] = []  # the last one: the key or the index in the innermost object or array
    in_key = False
    for found in _TOKEN.finditer(text):
        token = found[0]
        match token:
            case "{":
                path.append("")
                in_key = True
            case "[":
                path.append(0)
            case "}" | "]":
                path.pop()
                in_key = False
            case ",":
                last = path[-1]
                in_key = isinstance(last, str)
                if isinstance(last, int):
                    path[-1] = last + 1
            case ":":
                in_key = False
            case _ if in_key:
                path[-1] = json.loads(token)
            case _:
                yield _Token(tuple(path), found.start(), token)


# --- text and compression --------------------------------------------------------------------------


def _text(data: bytes, place: str) -> tuple[str, Callable[[bytes], bytes]]:
    """The text of the file, and the function that compresses a text the same way."""
    compress = _verbatim
    try:
        if data.startswith(_GZIP_MAGIC):
            data, compress = gzip.decompress(data), _gzip
        elif data.startswith(_ZSTD_MAGIC):
            data, compress = unzstd(data), _zstd
        return data.decode(), compress
    except (OSError, EOFError, zlib.error, zstandard.ZstdError, Malformed) as fault:
        raise Unreadable(place, f"it cannot be decompressed: {fault}") from fault
    except UnicodeDecodeError as fault:
        raise Unreadable(place, f"it is not UTF-8: {fault.reason} at byte {fault.start}") from fault


def _verbatim(data: bytes) -> bytes:
    return data


def _gzip(data: bytes) -> bytes:
    # Not gzip.compress: zlib's own header has no time and is the same under every version of Python.
    stream = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return stream.compress(data) + stream.flush()


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def _parse(text: str, place: str) -> Any:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as fault:
        raise Unreadable(place, f"it is not JSON: {fault}") from fault
    if not isinstance(document, dict):
        raise Unreadable(place, "it is no JSON object")
    return document
