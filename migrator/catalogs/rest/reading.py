"""Reads a REST catalog: its namespaces, their properties, and the tables and views in them.

A swap by renaming (see ways.py) keeps a second entry of a table under a special name in the same namespace. This module
recognizes these names: it leaves them out of listings, and finds a table that an interrupted swap has renamed or
dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

from migrator.catalogs.base import TABLE, VIEW
from migrator.catalogs.rest.client import Answer, Loaded, RestClient
from migrator.concurrency.threads import Failed, run_in_threads
from migrator.errors import CatalogError

WORKERS = 8
MAX_DEPTH = 64

OLD, NEW = "__migrator_old", "__migrator_new"
"""The ends of the names of a table's second entry: the old one that was renamed, and the new one that replaces it."""
DROPPED = "migrator.dropped."
"""The beginning of the key of the namespace property with the new location of a table between its drop and its
registration."""

ASIDE = "migrator.aside."
"""The beginning of the key of the namespace property that names a table's second entry; its value is the table's uuid.
Without it the entry would have to be loaded, and a server may try for minutes to read metadata whose bucket was
deleted."""

Levels = tuple[str, ...]
Item = TypeVar("Item")
Result = TypeVar("Result")


class RestReader:
    """Reads one server. Namespaces are dotted, as in :class:`CatalogTable`, or a tuple of levels, as on the server."""

    def __init__(self, client: RestClient) -> None:
        self._client = client
        self._known: dict[str, Levels] | None = None

    def namespaces(self) -> dict[str, Levels]:
        """Every namespace. Raises CatalogError if two have the same dotted name."""
        found: dict[str, Levels] = {}
        parents: list[Levels] = [()]
        for _ in range(MAX_DEPTH):
            children = [child for _, some in in_threads(self._children, parents) for child in some]
            for child in children:
                if found.setdefault(".".join(child), child) != child:
                    raise CatalogError(
                        f"Catalog {self._client.name!r} has two namespaces that are both written {'.'.join(child)}.",
                        next_move="Rename one of them.",
                    )
            parents = children
            if not parents:
                break
        self._known = found
        return found

    def levels(self, namespace: str) -> Levels:
        """The levels of a dotted namespace. A level may contain dots."""
        if "." not in namespace:
            return (namespace,)
        if self._known is None:
            self.namespaces()
        return (self._known or {}).get(namespace) or tuple(namespace.split("."))

    def _children(self, parent: Levels) -> list[Levels]:
        params = {"parent": self._client.parent(parent)} if parent else None
        found = []
        for page in self._client.pages("namespaces", params, optional=bool(parent)):
            for entry in _list(self._client, page, "namespaces"):
                if not isinstance(entry, list) or not entry or not all(isinstance(level, str) for level in entry):
                    raise self._client.malformed("namespaces", "it lists a namespace that is no list of texts")
                if tuple(entry[:-1]) == parent:  # some servers ignore the parent
                    found.append(tuple(entry))
        return list(dict.fromkeys(found))

    def properties(self, levels: Levels) -> dict[str, str]:
        """The properties of a namespace; none if it does not exist."""
        path = self._client.path(levels)
        answer = self._client.request("GET", path)
        if answer.status == 404:
            return {}
        if not answer.ok:
            raise self._client.refused(f"GET {path}", answer)
        properties = answer.document.get("properties") or {}
        if not isinstance(properties, dict):
            raise self._client.malformed(path, "its properties are no object")
        return {key: value for key, value in properties.items() if isinstance(value, str)}

    def names(self, levels: Levels, kind: str) -> list[str]:
        """The names of the tables or views in a namespace; none if the server has no views."""
        offered = self._client.offers("GET namespaces/{namespace}/views") if kind == VIEW else True
        path = self._client.path(levels, f"{kind}s")
        names = []
        for page in self._client.pages(path, optional=offered is None) if offered is not False else ():
            for entry in _list(self._client, page, "identifiers"):
                name = entry.get("name") if isinstance(entry, dict) else None
                if not isinstance(name, str) or not name:
                    raise self._client.malformed(path, "it lists something without a name")
                names.append(name)
        return list(dict.fromkeys(names))

    def entries(self, levels: Levels) -> list[tuple[str, str, str]]:
        """(kind, name, metadata location) of each table and view in a namespace, without the helpers of a swap."""
        found = [(VIEW, name) for name in self.names(levels, VIEW)]
        names = set(self.names(levels, TABLE))
        bases = {name[: -len(OLD)] for name in names if name.endswith((OLD, NEW))}
        found += [(TABLE, name) for name in names if name not in bases and not name.endswith((OLD, NEW))]
        located = [
            (kind, name, loaded.location)
            for (kind, name), loaded in in_threads(lambda one: self._client.load(levels, one[1], one[0]), found)
            if loaded
        ]
        notes, tables = self.properties(levels), dict[str, str]()
        for base in bases:
            tables |= self._with_helpers(levels, base, names, notes)
        dropped = {name: at for name, at in _dropped(notes).items() if name not in names}
        return [*located, *((TABLE, name, at) for name, at in {**dropped, **tables}.items())]

    def _with_helpers(self, levels: Levels, base: str, names: set[str], notes: Mapping[str, str]) -> dict[str, str]:
        """Name → location of the entries to list, for a table and entries with the names of its helpers. A helper is an
        entry of the same table, and is left out."""
        table = self._client.load(levels, base) if base in names else None
        helpers = {
            base + end: self._helper(levels, base + end, table)
            for end in (OLD, NEW)
            if base + end in names and not (table and table.uuid and notes.get(f"{ASIDE}{base}{end}") == table.uuid)
        }
        gap = _renamed(helpers.get(base + OLD), helpers.get(base + NEW))
        if table is None and gap:
            return {base: gap}
        found = {} if table is None else {base: table.location}
        for name, at in helpers.items():
            if at and not (table and table.uuid and at.uuid == table.uuid):
                found[name] = at.location
        return found

    def _helper(self, levels: Levels, name: str, table: Loaded | None) -> Loaded | None:
        """A helper of a table. Also None if its metadata does not exist, because the old bucket was deleted."""
        try:
            return self._client.load(levels, name)
        except CatalogError:
            if table is None:
                raise
            return None

    def dropped(self, levels: Levels) -> dict[str, str]:
        """Table → new location, for tables that an interrupted swap has dropped and not registered again."""
        return _dropped(self.properties(levels))

    def current(self, namespace: str, name: str) -> str | None:
        """The pointer of a table or view, also if an interrupted swap has renamed or dropped it; None if there is
        none."""
        levels = self.levels(namespace)
        for kind in (TABLE, VIEW):
            if loaded := self._client.load(levels, name, kind):
                return loaded.location
        old, new = (self._client.load(levels, name + end) for end in (OLD, NEW))
        return _renamed(old, new) or self.dropped(levels).get(name)


def in_threads(job: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """Yield each item with the result of ``job``, several at a time, in no order. Raises the first error."""
    for outcome in run_in_threads(job, items, workers=WORKERS):
        if isinstance(outcome, Failed):
            raise outcome.error
        yield outcome.item, outcome.result


def _dropped(properties: Mapping[str, str]) -> dict[str, str]:
    return {key[len(DROPPED) :]: value for key, value in properties.items() if key.startswith(DROPPED)}


def _renamed(old: Loaded | None, new: Loaded | None) -> str | None:
    """The pointer of a table that an interrupted swap has renamed: both helpers exist and belong to the same table."""
    return old.location if old and new and old.uuid and old.uuid == new.uuid else None


def _list(client: RestClient, page: Answer, key: str) -> list[object]:
    found = page.document.get(key)
    if not isinstance(found, list):
        raise client.malformed(key, f"it has no list of {key}")
    return found
