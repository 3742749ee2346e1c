"""Reads the metadata of a table for a catalog that stores its columns and properties in addition to its pointer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from migrator.catalogs.base import VIEW, Repoint, WarehouseReader
from migrator.errors import CannotRepoint, MigratorError
from migrator.iceberg.json_text import read_text
from migrator.layout import Location

if TYPE_CHECKING:
    from pyiceberg.table.metadata import TableMetadata

Made = TypeVar("Made")


def made_from_metadata(
    name: str, reader: WarehouseReader, table: Repoint, uri: str, make: Callable[[TableMetadata], Made]
) -> Made:
    """The result of ``make`` for a table's metadata at ``uri``, which pyiceberg reads. Raises CannotRepoint if
    pyiceberg does not support something in them, such as a column type; StoreError or Unreadable if they cannot be
    read. ``name``: the catalog's."""
    from pyiceberg.table.metadata import TableMetadataUtil  # late: pyiceberg takes long to import

    place = Location.parse(uri)
    if place is None:
        raise CannotRepoint(f"The metadata of {_named(table)} are at {uri}, which is not in S3.")
    text, _ = read_text(reader.get(place.bucket, place.key), uri)
    try:
        return make(TableMetadataUtil.parse_raw(text))
    except MigratorError:
        raise
    except (
        Exception
    ) as error:  # raised by pyiceberg and pydantic: for example KeyError for a type that the catalog does not have
        said = " ".join(str(error).split())[:200]
        raise CannotRepoint(
            f"No entry for {_named(table)} can be made in catalog {name!r}, from {uri}: {type(error).__name__} {said}.",
            next_move="Leave the table where it is, with leave in [tables], or register it yourself.",
        ) from error


def check_names(name: str, kind: str, tables: Sequence[Repoint], *, lower: bool) -> None:
    """Raise CannotRepoint for a view, a nested namespace, or, with ``lower``, a name with capital letters, which a
    catalog of this kind would store in lower case."""
    for table in tables:
        reason = ""
        if table.kind == VIEW:
            reason = f"it is a view, and migrator cannot register views in {kind}"
        elif "." in table.namespace or not table.namespace:
            reason = f"namespaces in {kind} have exactly one level"
        elif lower and _named(table) != _named(table).lower():
            reason = f"{kind} stores names in lower case"
        if reason:
            raise CannotRepoint(
                f"{_named(table)} cannot be in catalog {name!r}: {reason}.",
                next_move="Leave it where it is, with leave in [tables], or rename it.",
            )


def _named(table: Repoint) -> str:
    return f"{table.namespace}.{table.name}"
