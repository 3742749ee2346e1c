"""The ways to change the pointers of a REST catalog: one table after the other by its REST API, or in the database
behind it. The REST specification has no request for it that every server supports, so there are several ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from migrator.catalogs.base import VIEW, NamespaceRepoint, Repoint, unexpected
from migrator.catalogs.rest.client import Loaded, RestClient
from migrator.catalogs.rest.reading import ASIDE, DROPPED, NEW, OLD, Levels, RestReader, in_threads
from migrator.errors import PLAN_AGAIN, CannotRepoint, CatalogError, PlanStale


class Way(Protocol):
    """One way to change the pointers of one catalog. Its methods have the contract of those of :class:`Catalog`."""

    together: bool
    """See :attr:`Catalog.swaps_together`."""

    def check(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Raises CannotRepoint, or another CatalogError. Nothing lasting is written."""

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """Raises PlanStale or CatalogError."""

    def close(self) -> None:
        """Close the connections that this way has opened."""


class Swap(Protocol):
    """A way to swap one table by requests to the server."""

    name: str
    """One of :data:`migrator.catalogs.rest.options.WAYS`."""

    def check(self, levels: Levels, table: Repoint) -> None:
        """Raises CannotRepoint if something prevents the swap of this table. Nothing is written."""

    def swap(self, levels: Levels, table: Repoint) -> None:
        """Swap the pointer. After an interruption at any request, it may be called again. Raises PlanStale if the table
        is neither at the expected nor at the new place, CatalogError if the server refuses."""


@dataclass
class OneByOne:
    """Swaps tables one after the other."""

    client: RestClient
    reader: RestReader
    how: Swap
    properties_refused: str = ""
    """Why properties of namespaces cannot be changed on this server; empty if they can."""

    together = False

    def check(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Way`."""
        views = [named(view) for view in tables if view.kind == VIEW]
        if views:
            raise CannotRepoint(
                f"Catalog {self.client.name!r} has views, and it is not known whether its server can re-point them: "
                f"{', '.join(views[:10])}{' and others' if len(views) > 10 else ''}.",
                next_move="Leave them where they are, with leave in [tables], or give the database behind the server: "
                f'backend = "postgresql+psycopg2://…" in [catalogs.{self.client.name}].',
            )
        if namespaces and self.properties_refused:
            raise CannotRepoint(
                f"The server of catalog {self.client.name!r} cannot change properties of namespaces, such as "
                f"{namespaces[0].key} of {namespaces[0].namespace}: {self.properties_refused}."
            )
        for _ in in_threads(lambda table: self.how.check(self.reader.levels(table.namespace), table), tables):
            pass

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Way`."""
        for table in tables:
            self.how.swap(self.reader.levels(table.namespace), table)
        set_properties(self.client, self.reader, namespaces)

    def close(self) -> None:
        """Does nothing: it has opened no connection."""


@dataclass
class OverwriteSwap:
    """Registers the new metadata with overwrite. The server compares nothing, so a commit between the two requests is
    lost: writers must be stopped."""

    client: RestClient
    name = "overwrite"

    def check(self, levels: Levels, table: Repoint) -> None:
        """See :class:`Swap`."""

    def swap(self, levels: Levels, table: Repoint) -> None:
        """See :class:`Swap`."""
        at = self.client.load(levels, table.name)
        if at and at.location == table.new:
            return
        if not at or at.location != table.expected:
            raise stale(self.client, table, at.location if at else None)
        body = {"name": table.name, "metadata-location": table.new, "overwrite": True}
        self.client.done("POST", self.client.path(levels, "register"), body)
        check_arrived(self.client, levels, table)


@dataclass
class RenameSwap:
    """Registers the new metadata under another name in the namespace, and renames both entries. Nothing is dropped.

    The old entry stays under another name, for a rollback. A swap that was interrupted between its two renames leaves
    no entry with the table's name, only the two others; :class:`RestReader` and the next swap handle that.
    """

    client: RestClient
    name = "rename"

    def check(self, levels: Levels, table: Repoint) -> None:
        """See :class:`Swap`."""
        self._check(table, self.client.load(levels, table.name), self._helpers(levels, table))

    def _helpers(self, levels: Levels, table: Repoint) -> dict[str, Loaded | None]:
        return {end: self.client.load(levels, table.name + end) for end in (OLD, NEW)}

    def _check(self, table: Repoint, at: Loaded | None, helpers: Mapping[str, Loaded | None]) -> None:
        """Check that a helper is the table itself at its new place or, while the table is renamed, at the old one."""
        for end, helper in helpers.items():
            if helper is None:
                continue
            fits = helper.location == table.new or (at is None and helper.location == table.expected)
            if not fits or (at is not None and helper.uuid != at.uuid):
                move = "If it is left from an earlier swap, drop it WITHOUT purging it. If it is your own, rename it."
                if at is None:
                    move = (
                        f"An earlier swap was interrupted: rename {table.name}{OLD} back to {table.name}, drop "
                        f"{table.name}{NEW} WITHOUT purging it, and plan again."
                    )
                raise CannotRepoint(
                    f"{named(table)} cannot be swapped by renaming: catalog {self.client.name!r} has an entry "
                    f"{table.name}{end} in the same namespace, which is not this table at {table.new}.",
                    next_move=move,
                )

    def swap(self, levels: Levels, table: Repoint) -> None:
        """See :class:`Swap`."""
        at = self.client.load(levels, table.name)
        if at and at.location == table.new:
            return
        helpers = self._helpers(levels, table)
        spare = next((end for end, helper in helpers.items() if helper and helper.location == table.new), None)
        aside = NEW if spare == OLD else OLD
        if at is None:
            renamed, beside = helpers[aside], helpers[spare] if spare else None
            if spare is None or not renamed or not beside or renamed.uuid != beside.uuid:
                raise stale(self.client, table, None)
        else:
            if at.location != table.expected:
                raise stale(self.client, table, at.location)
            self._check(table, at, helpers)
            if spare is None:
                spare = NEW
                register(self.client, levels, table.name + spare, table.new)
                made = self.client.load(levels, table.name + spare)
                if made is None or made.location != table.new or made.uuid != at.uuid:
                    raise CatalogError(
                        f"{table.new} is not the metadata of {named(table)}, or the server registered other "
                        f"metadata. The table was not changed; the entry {table.name + spare} was left."
                    )
            note = {"updates": {f"{ASIDE}{table.name}{aside}": at.uuid}, "removals": []}
            self.client.done("POST", self.client.path(levels, "properties"), note)
            self._rename(levels, table.name, table.name + aside)
        # From now on nobody can commit to it, so this comparison is final.
        moved = self.client.load(levels, table.name + aside)
        if moved is None or moved.location != table.expected:
            self._rename(levels, table.name + aside, table.name)
            raise stale(self.client, table, moved.location if moved else None)
        self._rename(levels, table.name + spare, table.name)
        check_arrived(self.client, levels, table)

    def _rename(self, levels: Levels, source: str, destination: str) -> None:
        one, other = ({"namespace": list(levels), "name": name} for name in (source, destination))
        self.client.done("POST", "tables/rename", {"source": one, "destination": other})


@dataclass
class DropSwap:
    """Drops the table without purging it, and registers the new metadata. For a moment there is no table: a property of
    its namespace records that, so that the next swap can continue. A commit immediately before the drop is lost."""

    client: RestClient
    reader: RestReader
    name = "drop"

    def check(self, levels: Levels, table: Repoint) -> None:
        """See :class:`Swap`."""

    def swap(self, levels: Levels, table: Repoint) -> None:
        """See :class:`Swap`."""
        at, noted = self.client.load(levels, table.name), self.reader.dropped(levels).get(table.name)
        if at is None:
            if noted not in (table.new, table.expected):
                raise stale(self.client, table, None)
        elif at.location not in (table.new, table.expected):
            raise stale(self.client, table, at.location)
        if at is None or at.location != table.new:
            self._note(levels, table, table.new)
            if at is not None:
                self._drop(levels, table)
            self._register(levels, table)
            check_arrived(self.client, levels, table)
        elif noted is None:
            return
        self._note(levels, table, None)

    def _drop(self, levels: Levels, table: Repoint) -> None:
        at = self.client.load(levels, table.name)
        if at is None or at.location != table.expected:
            self._note(levels, table, None)
            raise stale(self.client, table, at.location if at else None)
        path = self.client.path(levels, "tables", table.name)
        answer = self.client.request("DELETE", path, params={"purgeRequested": "false"})
        if not answer.ok:
            # After a 5xx, or if the table is gone, it was or may still be dropped: the next swap needs the note then.
            if answer.status < 500 and self.client.load(levels, table.name) is not None:
                self._note(levels, table, None)
            raise self.client.refused(f"DELETE {path}", answer)

    def _register(self, levels: Levels, table: Repoint) -> None:
        try:
            register(self.client, levels, table.name, table.new)
        except CatalogError as error:
            if self._is_at(levels, table, table.new):  # only the answer was lost
                return
            try:
                register(self.client, levels, table.name, table.expected)
            except CatalogError as second:
                if not self._is_at(levels, table, table.expected):
                    raise CatalogError(
                        f"{named(table)} was dropped from catalog {self.client.name!r}, without its files, and its "
                        f"registration was confirmed neither at {table.new} nor at {table.expected}: {error.message} "
                        f"{second.message}",
                        next_move="Run the same command again, or register it yourself.",
                    ) from error
            self._note(levels, table, None)
            raise

    def _is_at(self, levels: Levels, table: Repoint, location: str) -> bool:
        """False also if the server does not say where the table is."""
        try:
            at = self.client.load(levels, table.name)
        except CatalogError:
            return False
        return at is not None and at.location == location

    def _note(self, levels: Levels, table: Repoint, new: str | None) -> None:
        """Note in the namespace that the table must be registered at ``new``; None removes the note."""
        key = f"{DROPPED}{table.name}"
        change = {"updates": {key: new}} if new else {"removals": [key], "updates": {}}
        self.client.done("POST", self.client.path(levels, "properties"), change)
        if new and self.reader.dropped(levels).get(table.name) != new:
            raise CatalogError(f"Catalog {self.client.name!r} does not store properties of {table.namespace}.")


# -- functions that the ways share -------------------------------------------------------------------------------------


def register(client: RestClient, levels: Levels, name: str, metadata_location: str) -> None:
    """Register a table that does not exist. Raises CatalogError if the server refuses; 409 is no success."""
    client.done("POST", client.path(levels, "register"), {"name": name, "metadata-location": metadata_location})


def check_arrived(client: RestClient, levels: Levels, table: Repoint) -> None:
    """Check that the server shows the table or view at its new place. Raises CatalogError."""
    at = client.load(levels, table.name, table.kind)
    if at is None or at.location != table.new:
        now = "does not know it" if at is None else f"shows it at {at.location}"
        raise CatalogError(
            f"{named(table)} was set to {table.new}, but the server of catalog {client.name!r} {now}.",
            next_move="Run the same command again. If the server caches its tables, restart it first.",
        )


def set_properties(client: RestClient, reader: RestReader, namespaces: Sequence[NamespaceRepoint]) -> None:
    """Change properties of namespaces, each after a comparison. Raises PlanStale or CatalogError."""
    for item in namespaces:
        levels = reader.levels(item.namespace)
        value = reader.properties(levels).get(item.key)
        if value == item.new:
            continue
        if value != item.expected:
            raise PlanStale(
                f"The property {item.key!r} of namespace {client.name}.{item.namespace} is {value!r} now; the plan "
                f"expects {item.expected!r}.",
                next_move=PLAN_AGAIN,
            )
        client.done("POST", client.path(levels, "properties"), {"updates": {item.key: item.new}, "removals": []})
        if reader.properties(levels).get(item.key) != item.new:
            raise CatalogError(f"Catalog {client.name!r} did not change {item.key!r} of namespace {item.namespace}.")


def named(table: Repoint) -> str:
    """``namespace.table``."""
    return f"{table.namespace}.{table.name}"


def stale(client: RestClient, table: Repoint, found: str | None) -> PlanStale:
    """The error for a table that is not at the place in the plan."""
    return unexpected(f"The pointer of {client.name}.{named(table)}", found, table.expected)
