"""Iceberg REST catalogs: lists their tables and views, and re-points them in a way that the server supports.

ways.py and nessie.py have the ways, trial.py tests which one the server supports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from migrator.catalogs.base import CatalogTable, NamespaceRepoint, Neighbour, Repoint, WarehouseReader, required
from migrator.catalogs.rest.client import RestClient
from migrator.catalogs.rest.entries import RestEntries
from migrator.catalogs.rest.options import OWN_KEYS, RestOptions
from migrator.catalogs.rest.reading import ASIDE, DROPPED, RestReader, in_threads
from migrator.catalogs.rest.trial import THROW_AWAY, find_way
from migrator.catalogs.rest.ways import Way
from migrator.catalogs.sql import MAX_LOCATION


class RestCatalog:
    """The tables and views of one REST server, or of one warehouse of it."""

    kind = "rest"
    stores_pointers = True
    longest_pointer: int | None = None

    @classmethod
    def open(cls, name: str, properties: Mapping[str, str], reader: WarehouseReader) -> RestCatalog:
        """See :class:`Catalog`."""
        return cls(name, required(name, cls.kind, properties, "uri"), properties)

    def __init__(self, name: str, uri: str, properties: Mapping[str, Any]) -> None:
        """Ask the server for its configuration. Raises ConfigError, or CatalogError if it does not answer."""
        self.name = name
        self._options = RestOptions.of(name, properties)
        self.longest_pointer = MAX_LOCATION if self._options.backend else None
        self._shown = " ".join(without_secrets(text) for text in (uri, properties.get("warehouse", "")) if text)
        self._client = RestClient(name, {key: value for key, value in properties.items() if key not in OWN_KEYS})
        self._reader = RestReader(self._client)
        self._way: Way | None = None

    def describe(self) -> str:
        """See :class:`Catalog`."""
        return f"{self.kind} {self._shown}"

    def close(self) -> None:
        """See :class:`Catalog`."""
        if self._way is not None:
            self._way.close()
        self._client.close()

    # -- reading -------------------------------------------------------------------------------------

    def tables(self) -> list[CatalogTable]:
        """See :class:`Catalog`. The additional entries of a swap by renaming are left out."""
        found = [
            CatalogTable(self.name, namespace, name, location, kind)
            for namespace, levels in self._reader.namespaces().items()
            for kind, name, location in self._reader.entries(levels)
            if namespace != self._options.try_namespace or not name.startswith(THROW_AWAY)
        ]
        return sorted(found, key=lambda table: (table.namespace, table.name))

    def neighbours(self) -> Iterator[Neighbour]:
        """None: a server shows one catalog at a time."""
        return iter(())

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """See :class:`Catalog`. Most servers also return the default location of a namespace."""
        namespaces = self._reader.namespaces()
        return sorted(
            (namespace, key, value)
            for namespace, properties in in_threads(lambda n: self._reader.properties(namespaces[n]), namespaces)
            for key, value in properties.items()
            if not key.startswith((DROPPED, ASIDE))
        )

    def current(self, namespace: str, name: str) -> str | None:
        """See :class:`Catalog`. Also finds a table that an interrupted swap has renamed or dropped."""
        return self._reader.current(namespace, name)

    # -- the swap ------------------------------------------------------------------------------------

    @property
    def swaps_together(self) -> bool:
        """See :class:`Catalog`. Raises CatalogError if the server supports no way to change a pointer."""
        return self._found_way().together

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Catalog`."""
        if tables or namespaces:
            self._found_way().repoint(tables, namespaces)

    def entries(self) -> RestEntries:
        """See :class:`Catalog`."""
        return RestEntries(self._options, self._client, self._reader)

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Catalog`. Tests with temporary tables what the server supports, and removes them."""
        if tables or namespaces:
            self._found_way().check(tables, namespaces)

    def _found_way(self) -> Way:
        if self._way is None:
            self._way = find_way(self._options, self._client, self._reader)
        return self._way

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """See :class:`Catalog`."""
        table = f"{namespace}.{name}" if namespace else name
        register = f"register {metadata_location} as {table}"
        return f"drop {table} from the catalog WITHOUT purging it, {register}, and plan again."


def without_secrets(uri: str) -> str:
    """A URI without user, password, query and fragment; other text unchanged."""
    if "://" not in uri:
        return uri
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "(not a URI)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
