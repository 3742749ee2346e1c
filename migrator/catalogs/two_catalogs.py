"""A catalog whose tables move into another catalog: ``[catalogs.NAME.target]`` in lake.toml.

The old catalog is only read. At the cutover each table gets an entry of the same namespace and name in the target
catalog; a rollback removes that entry. The pointer of a table is that of its entry in the target catalog, if it has
one, otherwise that of the old catalog (issue 14).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from migrator.catalogs.base import (
    Catalog,
    CatalogTable,
    Entries,
    NamespaceRepoint,
    Neighbour,
    Repoint,
    taken,
    unexpected,
)
from migrator.errors import CannotRepoint, ConfigError, first_names
from migrator.layout import Location

SHOWN = 5
TAKEN = "Rename or remove that entry of the target catalog, without its files, if nobody needs it. Then plan again."
"""What to do about an entry that somebody else made."""


class TwoCatalogs:
    """Both as one :class:`Catalog`, whose name and kind are those of the old one."""

    stores_pointers = True

    def __init__(
        self, old: Catalog, target: Catalog, bucket: str, mapped: Callable[[str], str | None] = lambda path: None
    ) -> None:
        """``bucket``: the target bucket. ``mapped``: the new path of an old one, for the properties of namespaces; None
        for a path that stays. Raises ConfigError if a table cannot move from the one catalog to the other."""
        for catalog, which in ((old, f"[catalogs.{old.name}]"), (target, f"[catalogs.{old.name}.target]")):
            if not catalog.stores_pointers:
                raise ConfigError(
                    f'{which} is of type "{catalog.kind}", which has no entries: such a table is found by its folder, '
                    "so it cannot move to or from another catalog.",
                    next_move=f"Remove [catalogs.{old.name}.target], or give a catalog of another type.",
                )
        if (old.describe(), old.name) == (target.describe(), target.name):
            raise ConfigError(
                f"[catalogs.{old.name}.target] is the same catalog as [catalogs.{old.name}].",
                next_move="Remove it: then the pointers are changed in the catalog itself.",
            )
        self.old, self.target = old, target
        self.name, self.kind = old.name, old.kind
        self.swaps_together = target.entries().together
        self.longest_pointer = target.longest_pointer
        self._bucket, self._mapped = bucket, mapped
        self._namespaces: dict[str, dict[str, str]] | None = None

    def describe(self) -> str:
        """See :class:`Catalog`."""
        return f"{self.old.describe()} → {self.describe_target()}"

    def describe_target(self) -> str:
        """One line about the target catalog, with its own name if that is another one."""
        named = "" if self.target.name == self.name else f" named {self.target.name}"
        return f"{self.target.describe()}{named}"

    def close(self) -> None:
        """See :class:`Catalog`."""
        self.old.close()
        self.target.close()

    # -- reading -------------------------------------------------------------------------------------

    def tables(self) -> list[CatalogTable]:
        """The tables of the old catalog, and those of the target catalog that are in the target bucket. Somebody else
        made an entry of the target catalog that has the name of an old table and points elsewhere: see
        :meth:`in_both`."""
        there = [table for table in self.target.tables() if self.is_in_target(table.metadata_location)]
        found = {(table.namespace, table.name): table for table in self.old.tables()}
        for table in there:
            found[table.namespace, table.name] = CatalogTable(
                self.name, table.namespace, table.name, table.metadata_location, table.kind, table.trouble
            )
        return [found[name] for name in sorted(found)]

    def in_both(self) -> list[tuple[CatalogTable, str]]:
        """The tables of the old catalog whose names the target catalog has, too, each with the pointer there."""
        there = {(table.namespace, table.name): table.metadata_location for table in self.target.tables()}
        found = [(table, there.get((table.namespace, table.name), "")) for table in self.old.tables()]
        return [(table, at) for table, at in found if at]

    def is_in_target(self, uri: str) -> bool:
        """True for a place in the target bucket."""
        at = Location.parse(uri)
        return at is not None and at.bucket == self._bucket

    def neighbours(self) -> Iterator[Neighbour]:
        """See :class:`Catalog`. Also the tables that are only in the target catalog, outside the target bucket."""
        yield from self.old.neighbours()
        yield from self.neighbours_of_target()
        known = {(table.namespace, table.name) for table in self.old.tables()}
        for table in self.target.tables():
            if (table.namespace, table.name) not in known and not self.is_in_target(table.metadata_location):
                reason = "in the target catalog, and not in the old one"
                yield Neighbour("", self.target.name, table.namespace, table.name, table.metadata_location, reason)

    def neighbours_of_target(self) -> Iterator[Neighbour]:
        """The neighbours of the target catalog, without the old catalog itself, which may be in the same database."""
        same_place = self.old.describe() == self.target.describe()
        for neighbour in self.target.neighbours():
            if not (same_place and not neighbour.schema and neighbour.catalog == self.old.name):
                yield neighbour

    def namespace_properties(self) -> list[tuple[str, str, str]]:
        """Empty, because none changes: the old catalog is only read, and in the target catalog a namespace gets its
        properties when it is created."""
        return []

    def current(self, namespace: str, name: str) -> str | None:
        """See :class:`Catalog`. An entry of this name in the target catalog counts, wherever it points."""
        return self.target.current(namespace, name) or self.old.current(namespace, name)

    def how_to_adopt(self, namespace: str, name: str, metadata_location: str) -> str:
        """See :class:`Catalog`."""
        return f"register {metadata_location} as {namespace}.{name} in {self.describe_target()}, and plan again."

    # -- the cutover, and the rollback -------------------------------------------------------------------

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Catalog`. To the target bucket: makes entries in the target catalog. Out of it: removes them.
        Within it: changes them, as the target catalog does."""
        adding = [table for table in tables if self._enters(table)]
        removing = [table for table in tables if not self.is_in_target(table.new)]
        changing = [table for table in tables if table not in adding and table not in removing]
        if adding:
            self._check_old(adding)
            self.target.entries().add(adding, self._properties())
        if removing := [table for table in removing if self._has_entry(table)]:
            self.target.entries().remove(removing)
        if changing:
            self.target.repoint(changing, [])

    def entries(self) -> Entries:
        """See :class:`Catalog`. Those of the target catalog."""
        return self.target.entries()

    def check_repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Catalog`."""
        if found := self.taken_entries(tables):
            raise CannotRepoint(first_names(found, SHOWN, " "), next_move=TAKEN)
        adding = [table for table in tables if self._enters(table) and not self._has_entry(table)]
        if adding:
            self.target.entries().check(adding, self._properties())

    def taken_entries(self, tables: Sequence[Repoint]) -> list[str]:
        """For each of these tables that has an entry of somebody else in the target catalog: a sentence with both
        pointers. None of the tables may be cut over yet."""
        found = []
        for table in tables:
            now = self.target.current(table.namespace, table.name)
            if self._enters(table) and now not in (None, table.new):
                found.append(taken(self.target.name, table, str(now)).message)
        return found

    def _enters(self, table: Repoint) -> bool:
        return self.is_in_target(table.new) and not self.is_in_target(table.expected)

    def _has_entry(self, table: Repoint) -> bool:
        """True if the target catalog has an entry in the target bucket; another entry does not belong to this plan."""
        now = self.target.current(table.namespace, table.name)
        return now is not None and self.is_in_target(now)

    def _check_old(self, tables: Sequence[Repoint]) -> None:
        """Check that the pointers in the old catalog are the expected ones, except for tables that are registered
        already. Raises PlanStale."""
        for table in tables:
            if self.target.current(table.namespace, table.name) == table.new:
                continue
            now = self.old.current(table.namespace, table.name)
            if now != table.expected:
                raise unexpected(
                    f"The pointer of {self.name}.{table.namespace}.{table.name}", now or None, table.expected
                )

    def _properties(self) -> Mapping[str, Mapping[str, str]]:
        """Namespace → its properties in the old catalog, with new paths."""
        if self._namespaces is None:
            self._namespaces = {}
            for namespace, key, value in self.old.namespace_properties():
                if key != "exists":  # a SQL catalog stores a namespace without properties this way
                    self._namespaces.setdefault(namespace, {})[key] = self._mapped(value) or value
        return self._namespaces
