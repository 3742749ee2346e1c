"""Tables of the AWS Glue Data Catalog, as Iceberg's GlueCatalog (Java) and pyiceberg write them.

A pointer is a parameter of a Glue table. Each update names the version that was read, and Glue refuses it if the table
has a newer one. All Iceberg writers do the same (https://iceberg.apache.org/docs/latest/aws/#optimistic-locking).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from migrator.catalogs.aws import Service, code_of
from migrator.catalogs.base import CatalogTable, NamespaceRepoint, Neighbour, Repoint, WarehouseReader, unexpected
from migrator.catalogs.glue_entries import MISSING, POINTER, GlueEntries
from migrator.errors import CannotRepoint, CatalogError

PREVIOUS = "previous_metadata_location"
LOCATION = "location"
"""The property of a namespace that Glue keeps as LocationUri."""
ATTEMPTS = 3
"""How often a change is tried while others change the same table, but not its pointer."""

_OUTDATED = ("ConcurrentModificationException", "VersionMismatchException")
_ALLOWED = (*_OUTDATED, MISSING, "InvalidInputException", "ResourceNotReadyException")
"""How Glue may answer to an outdated version if the update itself is allowed."""
_AWS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")

Entry = Mapping[str, Any]
"""A Table or Database of Glue's API."""


class GlueCatalog:
    """The databases of one Glue catalog. Glue has no nested namespaces and no Iceberg views."""

    kind = "glue"
    stores_pointers = True
    swaps_together = False
    longest_pointer: int | None = None

    @classmethod
    def open(cls, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> GlueCatalog:
        """See :class:`Catalog`."""
        return cls(name, properties, reader)

    def __init__(self, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> None:
        """Raises ConfigError, or CatalogError if Glue does not answer."""
        self.name, self._reader = name, reader
        self._service = Service(name, "glue", properties)
        self._client = self._service.client
        self._id = properties.get("glue.id", "")
        self._of = {"CatalogId": self._id} if self._id else {}
        with self._service.errors("the catalog"):
            self._client.get_databases(**self._of, MaxResults=1)["DatabaseList"]

    def describe(self) -> str:
        """See :class:`Catalog`."""
        return f"{self.kind} {self._service.endpoint}" + (f" catalog {self._id}" if self._id else "")

    def close(self) -> None:
        """See :class:`Catalog`."""
        self._client.close()

    # -- reading -------------------------------------------------------------------------------------

    def tables(self) -> list[CatalogTable]:
        """See :class:`Catalog`. Without resource links, which are links to tables of other databases or accounts."""
        found = [
            CatalogTable(self.name, database["Name"], table["Name"], location)
            for database in self._databases()
            if not _elsewhere(database)
            for table in self._tables(database["Name"])
            if (location := _pointer(table)) and not _elsewhere(table)
        ]
        return sorted(found, key=lambda table: (table.namespace, table.name))

    def neighbours(self) -> Iterator[Neighbour]:
        """Tables that are not Iceberg's, with those of their partitions that are in other folders; and the targets of
        resource links."""
        for database in self._databases():
            owner = _elsewhere(database)
            try:
                for table in self._tables(database["Name"]):
                    reason = owner or _elsewhere(table) or ("" if _pointer(table) else "not an Iceberg table")
                    if reason:
                        for location in self._locations(table, owned=not (owner or _elsewhere(table))):
                            yield Neighbour("", self.name, database["Name"], table["Name"], location, reason)
            except CatalogError:
                if not owner:
                    raise

    def _locations(self, table: Entry, *, owned: bool) -> Iterator[str]:
        """The location of a table, and those of its partitions that are not in its folder."""
        location = _pointer(table) or (table.get("StorageDescriptor") or {}).get("Location") or ""
        if location:
            yield location
        if owned and table.get("PartitionKeys"):
            place = {"DatabaseName": table["DatabaseName"], "TableName": table["Name"], "ExcludeColumnSchema": True}
            for partition in self._pages("get_partitions", "Partitions", f"table {table['Name']}", **place):
                at = (partition.get("StorageDescriptor") or {}).get("Location") or ""
                if at and not f"{at.rstrip('/')}/".startswith(f"{location.rstrip('/')}/"):
                    yield at

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """See :class:`Catalog`. The property ``location`` is the database's LocationUri."""
        return sorted(
            (database["Name"], key, value)
            for database in self._databases()
            if not _elsewhere(database)
            for key, value in _properties(database).items()
        )

    def current(self, namespace: str, name: str) -> str | None:
        """See :class:`Catalog`."""
        table = self._get(namespace, name)
        return _pointer(table) if table else None

    def _databases(self) -> Iterator[Entry]:
        yield from self._pages("get_databases", "DatabaseList", "the catalog")

    def _tables(self, database: str) -> Iterator[Entry]:
        for table in self._pages("get_tables", "TableList", f"database {database}", DatabaseName=database):
            yield {"DatabaseName": database, **table}

    def _pages(self, operation: str, key: str, place: str, **asked: object) -> Iterator[Entry]:
        """Every entry of a list in Glue; none if its database or table was deleted meanwhile."""
        with self._service.errors(place):
            try:
                for page in self._client.get_paginator(operation).paginate(**self._of, **asked):
                    yield from page[key]
            except ClientError as error:
                if code_of(error) != MISSING:
                    raise

    def _get(self, database: str, name: str) -> Entry | None:
        place = f"table {database}.{name}"
        answer = self._service.send(place, "get_table", (MISSING,), **self._of, DatabaseName=database, Name=name)
        with self._service.errors(place):  # Glue never answers without a table
            return {"DatabaseName": database, **answer["Table"]} if answer is not None else None

    # -- the swap ------------------------------------------------------------------------------------

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Catalog`. Table by table; Glue compares the version of a table, but not of a database: a change
        of the database between reading and writing is lost."""
        for table in tables:
            self._swap(table)
        for item in namespaces:
            self._set_property(item)

    def _swap(self, asked: Repoint) -> None:
        what = f"The pointer of {self.name}.{asked.namespace}.{asked.name}"
        for _ in range(ATTEMPTS):
            table = self._get(asked.namespace, asked.name)
            at = _pointer(table) if table else None
            if at == asked.new:
                return
            if table is None or at != asked.expected:
                raise unexpected(what, at, asked.expected)
            self._require_swappable(table)
            new = _moved(self._input("TableInput", table), asked)
            if self._update(table, new, str(table["VersionId"])):
                at = self.current(asked.namespace, asked.name)
                if at != asked.new:
                    raise unexpected(f"{what} was set to {asked.new}, but", at, asked.expected)
                return
        raise CatalogError(f"{what} could not be changed: others change it all the time.", next_move="Stop writers.")

    def _update(self, table: Entry, new: Entry, version: str) -> bool:
        """False if the table has another version, or is gone. Glue archives the version before."""
        update = {"TableInput": new, "VersionId": version, "SkipArchive": False}
        return self._send_update(table, (*_OUTDATED, MISSING), **update)

    def _send_update(self, table: Entry, tolerated: Sequence[str], **update: Any) -> bool:
        """False if Glue refuses it with one of these codes."""
        database = table["DatabaseName"]
        arguments = {**self._of, "DatabaseName": database, **update}
        return (
            self._service.send(f"table {database}.{table['Name']}", "update_table", tolerated, **arguments) is not None
        )

    def _input(self, shape: str, entry: Entry) -> dict[str, Any]:
        """The parts of an entry that an update accepts."""
        allowed = self._client.meta.service_model.shape_for(shape).members
        return {key: value for key, value in entry.items() if key in allowed}

    def _require_swappable(self, table: Entry) -> None:
        name = f"{table['DatabaseName']}.{table['Name']}"
        if reason := _elsewhere(table):
            raise CannotRepoint(f"The table {name} of catalog {self.name!r} is {reason}.")
        if not table.get("VersionId"):
            raise CannotRepoint(f"Catalog {self.name!r} returns no version of {name}, so no update of it is safe.")

    def _set_property(self, item: NamespaceRepoint) -> None:
        what = f"The property {item.key!r} of namespace {self.name}.{item.namespace}"
        database = self._database(item.namespace)
        value = _properties(database).get(item.key) if database else None
        if value == item.new:
            return
        if database is None or value != item.expected:
            raise unexpected(what, value, item.expected)
        new = self._input("DatabaseInput", database)
        if item.key == LOCATION and "LocationUri" in database:
            new["LocationUri"] = item.new
        else:
            new["Parameters"] = {**database["Parameters"], item.key: item.new}
        with self._service.errors(f"database {item.namespace}"):
            self._client.update_database(**self._of, Name=item.namespace, DatabaseInput=new)
        database = self._database(item.namespace)
        value = _properties(database).get(item.key) if database else None
        if value != item.new:
            raise unexpected(f"{what} was set to {item.new}, but", value, item.expected)

    def _database(self, name: str) -> Entry | None:
        place = f"database {name}"
        answer = self._service.send(place, "get_database", (MISSING,), **self._of, Name=name)
        with self._service.errors(place):
            return answer["Database"] if answer is not None else None

    def entries(self) -> GlueEntries:
        """See :class:`Catalog`."""
        return GlueEntries(self.name, self._service, self._of, self._reader)

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Read a table of each database. On AWS, also send an update without a change for an outdated version: Glue
        refuses it because of the version, or because of a missing permission. Nothing is written."""
        for asked in {table.namespace: table for table in tables}.values():
            table = self._get(asked.namespace, asked.name)
            if table is None:
                continue
            self._require_swappable(table)
            outdated = str(table["VersionId"]).isdigit() and int(table["VersionId"]) - 1
            if outdated is not False and outdated >= 0 and self._is_aws():
                self._try_update(table, str(outdated))

    def _is_aws(self) -> bool:
        """True if the service is known to compare versions."""
        return (urlsplit(self._service.endpoint).hostname or "").endswith(_AWS)

    def _try_update(self, table: Entry, outdated: str) -> None:
        if self._send_update(table, _ALLOWED, TableInput=self._input("TableInput", table), VersionId=outdated):
            raise CannotRepoint(
                f"Catalog {self.name!r} accepted an update of table {table['DatabaseName']}.{table['Name']} at an "
                "outdated version: it does not compare versions."
            )

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """See :class:`Catalog`."""
        return (
            f"set the parameter {POINTER} of table {namespace}.{name} to {metadata_location} with aws glue "
            "update-table, whose --table-input is the whole table, and plan again."
        )


def _pointer(table: Entry) -> str | None:
    """The metadata location of an Iceberg table; None for any other table."""
    parameters = table.get("Parameters") or {}
    is_iceberg = str(parameters.get("table_type", "")).lower() == "iceberg"
    return str(parameters.get(POINTER) or "") or None if is_iceberg else None


def _elsewhere(entry: Entry) -> str:
    """Why migrator must not change a table or database; "" if it may."""
    for kind in ("TargetTable", "TargetDatabase"):
        if target := entry.get(kind):
            names = (target.get("CatalogId"), target.get("DatabaseName"), target.get("Name"))
            return f"a resource link to {'.'.join(name for name in names if name)}"
    if entry.get("FederatedDatabase") or entry.get("FederatedTable"):
        return "federated: another catalog keeps it"
    return ""


def _properties(database: Entry) -> dict[str, str]:
    location = {LOCATION: database["LocationUri"]} if database.get("LocationUri") else {}
    return {**(database.get("Parameters") or {}), **location}


def _moved(table: dict[str, Any], asked: Repoint) -> dict[str, Any]:
    """The table with its new pointer, and with its new location wherever the old one was the table's.

    As in pyiceberg, the location is the folder above ``metadata/``. Paths outside of it, such as another
    ``write.data.path``, stay; engines read them from the metadata, and the next commit writes them.
    """
    old, new = _table_location(asked.expected), _table_location(asked.new)

    def moved(value: str) -> str:
        inside = old and new and f"{value}/".startswith(f"{old}/")
        return f"{new}{value[len(old) :]}" if inside else value

    parameters = {key: moved(value) for key, value in (table.get("Parameters") or {}).items()}
    table = {**table, "Parameters": {**parameters, POINTER: asked.new, PREVIOUS: asked.expected}}
    if storage := table.get("StorageDescriptor"):
        storage = dict(storage)
        if "Location" in storage:
            storage["Location"] = moved(storage["Location"])
        if "AdditionalLocations" in storage:
            storage["AdditionalLocations"] = [moved(value) for value in storage["AdditionalLocations"]]
        table["StorageDescriptor"] = storage
    return table


def _table_location(metadata_location: str) -> str:
    """The table location if the metadata file is in its usual folder; otherwise ""."""
    folder = metadata_location.rpartition("/")[0]
    return folder.removesuffix("/metadata") if folder.endswith("/metadata") else ""
