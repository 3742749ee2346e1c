"""View metadata JSON (Iceberg view spec, version 1): read it, and map the paths in it.

Only the strings that hold a path change in the text (:mod:`migrator.iceberg.json_text`). SQL is not edited:
a path in it, as in ``SELECT * FROM parquet.`s3a://…` ``, cannot be reliably distinguished from other text. The
plan reports the old buckets that it names.
"""

from __future__ import annotations

from dataclasses import dataclass

from migrator.errors import UnmappedPath, Unreadable
from migrator.iceberg import Mapping
from migrator.iceberg.json_text import Token, parse, read_object, read_text, replace_strings
from migrator.iceberg.metadata import map_property


@dataclass(frozen=True)
class ViewMetadata:
    """The fields of a view metadata file that a migration needs."""

    format_version: int
    view_uuid: str
    location: str
    properties: dict[str, str]
    sql: tuple[tuple[str, str], ...]
    """(label, SQL text) of every version and dialect; a label reads ``versions[0].representations[1].sql``."""


def is_view_metadata(data: bytes, place: str) -> bool:
    """True for the metadata of a view, False for that of a table. Raises Unreadable if it is no JSON object."""
    found = parse(read_text(data, place)[0], place)
    return "view-uuid" in found or ("current-version-id" in found and "versions" in found)


def read_view(data: bytes, place: str) -> ViewMetadata:
    """The fields of a view metadata file, compressed or not.

    Raises Unreadable if it is truncated, no JSON object, of an unknown format version, or if a key that the
    spec demands is missing or of a wrong type.
    """
    top = read_object(data, place)
    version = top.integer("format-version")
    if version != 1:
        reason = f"it is a view, and its format-version is {version}; only version 1 of the view format is supported"
        raise Unreadable(place, reason, next_move="Have its engine write it in this version.")
    if top.optional_text("view-uuid") is None:
        move = "Have its engine create it again."
        raise Unreadable(place, "it is a view whose view-uuid is missing, which the format demands", next_move=move)
    top.get("versions", list)  # required by the spec, although ``objects`` reads a missing key as empty
    representations = [r for v in top.objects("versions") for r in v.objects("representations")]
    return ViewMetadata(
        format_version=version,
        view_uuid=top.text("view-uuid"),
        location=top.text("location"),
        properties=top.texts("properties"),
        # Other types than "sql" are reserved for later versions of the spec.
        sql=tuple((f"{r.label}sql", r.text("sql")) for r in representations if r.text("type").lower() == "sql"),
    )


def rewrite_view(data: bytes, mapping: Mapping, place: str) -> bytes:
    """The same file with its paths mapped, in the same compression; the same bytes if none changes.

    Mapped are ``location``, and each property whose value is, as a whole, one path. Raises UnmappedPath if no
    rule covers the location; the others then stay as they are. Raises Unreadable as :func:`read_view` does.
    """
    read_view(data, place)
    text, compress = read_text(data, place)

    def edit(token: Token) -> str | None:
        match token.path:
            case ("location",):
                new = mapping(token.value)
                if new is None:
                    raise UnmappedPath(place, token.value)
                return new
            case ("properties", str()):
                return map_property(token.value, mapping)
        return None

    edited = replace_strings(text, edit)
    return data if edited is text else compress(edited.encode())
