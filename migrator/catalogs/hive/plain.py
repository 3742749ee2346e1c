"""The locations of a metastore's tables that are not Iceberg's, such as tables of Parquet files.

Their files contain no paths, so it is enough to change the locations of tables and partitions. For the rest of migrator
each of these is a property of the namespace ``database.table``: ``location``, or ``location of partition day=1``.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from migrator.catalogs.base import NamespaceRepoint, unexpected
from migrator.catalogs.hive.metastore import Metastore
from migrator.catalogs.hive.stored import LOCATION, pointers

_SERDE, _PARAMETER = "serde ", "parameter "
"""The prefixes of keys for parameters with a path, such as Spark's ``path`` and Avro's ``avro.schema.url``."""


class PlainTables:
    """The tables that are not Iceberg's, with their partitions."""

    def __init__(self, name: str, metastore: Metastore) -> None:
        self._name, self._metastore = name, metastore

    def properties(self) -> Iterator[tuple[str, str, str]]:
        """(database.table, key, URI) of every place."""
        for database, table in self._metastore.tables():
            if any(pointers(table)):
                continue
            namespace = f"{database}.{table.tableName}"
            for key, uri in _places(table).items():
                yield namespace, key, uri
            if table.partitionKeys:
                for partitions in self._metastore.partitions(database, table.tableName):
                    for partition in partitions:
                        of = _of(table, partition)
                        yield from ((namespace, f"{key}{of}", uri) for key, uri in _places(partition).items())

    def repoint(self, namespace: str, items: Sequence[NamespaceRepoint]) -> None:
        """Change these places of one table and of its partitions, each after a comparison.

        Dropped tables and partitions are left out. Raises PlanStale, or CatalogError.
        """
        database, _, name = namespace.partition(".")
        table = self._metastore.table(database, name)
        if table is None:
            return
        wanted = {item.key: item for item in items}
        changed = self._changed(table, "", wanted)
        if changed is not None:
            self._metastore.alter_table(database, name, changed)
        if not table.partitionKeys or not any(" of partition " in key for key in wanted):
            return
        for partitions in self._metastore.partitions(database, name):
            some = [self._changed(partition, _of(table, partition), wanted) for partition in partitions]
            if any(some):
                self._metastore.alter_partitions(database, name, [one for one in some if one is not None])

    def _changed(self, entry: Any, of: str, wanted: Mapping[str, NamespaceRepoint]) -> Any:
        """The changed table or partition; None if nothing in it changes."""
        new = {}
        for key, uri in _places(entry).items():
            item = wanted.get(f"{key}{of}")
            if item is None or uri == item.new:
                continue
            if uri != item.expected:
                raise unexpected(f"The {item.key} of {self._name}.{item.namespace}", uri, item.expected)
            new[key] = item.new
        return _with_places(entry, new) if new else None


def _places(entry: Any) -> dict[str, str]:
    """The URIs in a table or partition: key → URI."""
    parameters = {f"{_PARAMETER}{key}": value for key, value in (entry.parameters or {}).items()}
    if entry.sd is not None:
        serde = entry.sd.serdeInfo.parameters if entry.sd.serdeInfo is not None else None
        parameters |= {f"{_SERDE}{key}": value for key, value in (serde or {}).items()}
        parameters[LOCATION] = entry.sd.location
    return {key: value for key, value in parameters.items() if value and "://" in value}


def _with_places(entry: Any, new: Mapping[str, str]) -> Any:
    """A copy of a table or partition with these places."""
    changed = copy.deepcopy(entry)
    for key, uri in new.items():
        if key == LOCATION:
            changed.sd.location = uri
        elif key.startswith(_SERDE):
            changed.sd.serdeInfo.parameters[key.removeprefix(_SERDE)] = uri
        else:
            changed.parameters[key.removeprefix(_PARAMETER)] = uri
    return changed


def _of(table: Any, partition: Any) -> str:
    """The end of the keys of a partition, as Hive writes its name."""
    names = [field.name for field in table.partitionKeys]
    values = [quote(value or "", safe=" :+,@") for value in partition.values or ()]
    return " of partition " + "/".join(f"{name}={value}" for name, value in zip(names, values, strict=False))
