"""Table metadata JSON: read it, and map the paths in it.

Only the strings that hold a path change in the text (:mod:`migrator.iceberg.json_text`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timezone

from migrator.errors import UnmappedPath, Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.json_text import (
    Object,
    Path,
    Token,
    label,
    parse,
    read_object,
    read_text,
    replace_strings,
    strings,
)

_FORMAT_VERSIONS = (1, 2, 3)
"""Drafts of version 4 have paths in other places, so their tables are refused: some paths could be missed."""


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

    def __str__(self) -> str:
        """For messages: its id, its time, and the writer in its summary."""
        try:
            at = datetime.fromtimestamp(self.timestamp_ms / 1000, timezone.utc).isoformat(timespec="seconds")
        except (ValueError, OverflowError, OSError):  # not a valid date
            at = f"{self.timestamp_ms} ms"
        rows, said = self.summary.get("added-records"), self.summary
        writer = " ".join(said[key] for key in ("engine-name", "app-id", "spark.app.id") if key in said)
        parts = (said.get("operation", "unknown operation"), f"{rows} rows added" if rows else "", writer)
        return f"snapshot {self.snapshot_id} of {at} ({', '.join(part for part in parts if part)})"


@dataclass(frozen=True)
class TableMetadata:
    """The fields of a table metadata file that a migration needs."""

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
    """True if the last segment of a path is a usual name of a table metadata file.

    ``v7.metadata.json``, ``00007-<uuid>.metadata.json``, ``<anything>.metadata.json``, each also with
    ``.gz`` or ``.zstd`` before ``.metadata.json`` or at the end.
    """
    return _METADATA_NAME.fullmatch(name) is not None


def table_folder(key: str) -> str:
    """The folder of the table that a metadata file belongs to, without a slash at its end; "" for a whole bucket.
    ``key``: that of the metadata file."""
    folder = key.rpartition("/")[0]
    return "" if folder == "metadata" else folder.removesuffix("/metadata")


def metadata_version(name: str) -> int | None:
    """The version in the name of a metadata file, 7 in ``v7.metadata.json``; None if it has none."""
    found = _VERSIONED_NAME.fullmatch(name)
    return int(found["hadoop"] or found["catalog"]) if found else None


# --- reading ---------------------------------------------------------------------------------------


def read_metadata(data: bytes, place: str) -> TableMetadata:
    """The fields of a table metadata file, compressed or not.

    Raises Unreadable if it is truncated, no JSON object, of an unknown format version, or if a key that the
    spec demands is missing or of a wrong type.
    """
    top = read_object(data, place)
    version = top.integer("format-version")
    if version not in _FORMAT_VERSIONS:
        reason = f"its format-version is {version}, and only versions 1, 2 and 3 of the table format are supported"
        raise Unreadable(place, reason, next_move="Have its engine write it in one of these versions.")
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


def _snapshot(of: Object) -> Snapshot:
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


# --- rewriting -------------------------------------------------------------------------------------


def rewrite_metadata(data: bytes, mapping: Mapping, place: str) -> bytes:
    """The same file with its paths mapped, in the same compression; the same bytes if none changes.

    Mapped are ``location``, manifest lists, inline manifests, the metadata log, the paths of statistics
    files, and each property whose value is, as a whole, one path. Raises UnmappedPath if no rule covers the
    location, a manifest list or a manifest; the others then stay as they are. Raises Unreadable as
    :func:`read_metadata` does.
    """
    # Validate first: a path in an unexpected place must raise, not be missed.
    read_metadata(data, place)
    text, compress = read_text(data, place)

    def edit(token: Token) -> str | None:
        rule = _rule(token.path)
        if rule is None:
            return None
        new = map_property(token.value, mapping) if rule is _PROPERTY else mapping(token.value)
        if new is None and rule is _MUST_MOVE:
            raise UnmappedPath(place, token.value)
        return new

    edited = replace_strings(text, edit)
    return data if edited is text else compress(edited.encode())


def map_property(value: str, mapping: Mapping) -> str | None:
    """The new value of a property of a table or view whose value is, as a whole, one path; else None."""
    return mapping(value) if value.count("://") < 2 else None  # two: a list of paths


def paths_in(data: bytes, place: str) -> list[tuple[str, str]]:
    """Every value in the file that is or may be a path, as (label, value), in the file's order.

    All positions that :func:`rewrite_metadata` maps, all properties, and those values of snapshot summaries
    that look like ``scheme://…``. A label reads like ``snapshots[3].manifest-list``. Raises Unreadable if
    the file is truncated or no JSON.
    """
    text, _ = read_text(data, place)
    parse(text, place)
    found = []
    for token in strings(text):
        if _rule(token.path) is None and not _is_summary(token.path):
            continue
        value = token.value
        if not _is_summary(token.path) or _SCHEME.match(value):
            found.append((label(token.path), value))
    return found


_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")

_MUST_MOVE, _MAY_MOVE, _PROPERTY = "must move", "may move", "property"


def _rule(path: Path) -> str | None:
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


def _is_summary(path: Path) -> bool:
    return len(path) == 4 and path[0] == "snapshots" and path[2] == "summary"
