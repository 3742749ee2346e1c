"""The values that a Hive Metastore stores for a table, and how they change when the table is re-pointed. Pure, except
for the reader.

Tables, partitions and databases are the objects of the metastore's Thrift interface.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from migrator.catalogs.base import TABLE, VIEW, Repoint, WarehouseReader
from migrator.iceberg.json_text import Object, read_object
from migrator.layout import Location

LOCATION = "location"
"""The key of a database's location in Iceberg's namespace properties."""
METADATA_LOCATION, PREVIOUS = "metadata_location", "previous_metadata_location"
_KINDS = {"iceberg": TABLE, "iceberg-view": VIEW}


def pointers(entry: Any) -> Iterator[tuple[str, str]]:
    """(metadata location, kind) of an Iceberg table or view; nothing for any other one.

    A table that Hive made from a location only has the type Iceberg, too, but no metadata location: it counts as
    another table.
    """
    parameters = entry.parameters or {}
    kind = _KINDS.get(str(parameters.get("table_type")).lower())
    location = parameters.get(METADATA_LOCATION)
    if kind is not None and location:
        yield location, kind


def pointer_of(entry: Any, table: Repoint) -> str | None:
    """The metadata location of an entry; None if it is not an Iceberg table, or view, like ``table``."""
    return next((location for location, kind in pointers(entry) if kind == table.kind), None)


def value_of(database: Any, key: str) -> str | None:
    """A property of a database; None if it lacks the key, or does not exist."""
    if database is None:
        return None
    value = database.locationUri if key == LOCATION else (database.parameters or {}).get(key)
    return str(value) if value else None


def repointed(entry: Any, table: Repoint, new: Object | None) -> Any:
    """The changed table, with the pointers, the location and the properties of its new metadata."""
    changed = copy.deepcopy(entry)
    stored = changed.parameters
    if new is not None:
        # Iceberg copies the table's properties here; those with a path, such as write.data.path, change.
        stored.update({key: value for key, value in new.texts("properties").items() if key in stored})
    stored.update(
        {"table_type": entry.parameters["table_type"], METADATA_LOCATION: table.new, PREVIOUS: table.expected}
    )
    if changed.sd is not None and changed.sd.location:
        changed.sd.location = new.text("location") if new is not None else moved(changed.sd.location, table)
    return changed


def read_new(reader: WarehouseReader, uri: str) -> Object | None:
    """The new metadata of a table; None if it is not in S3, as after a rollback to HDFS. Raises
    StoreError or Unreadable."""
    place = Location.parse(uri)
    return read_object(reader.get(place.bucket, place.key), uri) if place is not None else None


def moved(location: str, table: Repoint) -> str:
    """The new location: the location is changed like the pointer, whose common end stays."""
    old, new = table.expected.split("/"), table.new.split("/")
    while old and new and old[-1] == new[-1]:
        old.pop()
        new.pop()
    before = "/".join(old)
    return "/".join(new) + location[len(before) :] if location.startswith(before) else location
