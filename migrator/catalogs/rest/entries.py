"""Makes and removes entries of a REST catalog: registers tables, and drops them if the server then keeps the files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from migrator.catalogs.base import VIEW, Repoint, moved_on, taken
from migrator.catalogs.rest.backend import database_of
from migrator.catalogs.rest.client import RestClient
from migrator.catalogs.rest.nessie import Nessie
from migrator.catalogs.rest.options import DROP, RestOptions
from migrator.catalogs.rest.reading import Levels, RestReader
from migrator.catalogs.rest.trial import find_way, try_register
from migrator.catalogs.rest.ways import register
from migrator.errors import CannotRepoint, CatalogError

REGISTER = "POST namespaces/{namespace}/register"


class RestEntries:
    """See :class:`Entries`. One table after the other."""

    together = False

    def __init__(self, options: RestOptions, client: RestClient, reader: RestReader) -> None:
        self._name, self._options, self._client, self._reader = options.name, options, client, reader

    def check(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`. Tests it with a temporary table if the user allows that; otherwise the server's
        configuration must list the request."""
        views = [f"{view.namespace}.{view.name}" for view in tables if view.kind == VIEW]
        if views:
            raise CannotRepoint(
                f"{views[0]} is a view, and views cannot be registered in the REST catalog {self._name!r}.",
                next_move="Leave the views where they are, with leave in [tables].",
            )
        rooted = next((table.name for table in tables if not table.namespace), None)
        if rooted is not None:
            raise CannotRepoint(f"{rooted} is in no namespace, which the REST catalog {self._name!r} cannot have.")
        offered = self._client.offers(REGISTER)
        if offered is False:
            raise CannotRepoint(
                f"The server of catalog {self._name!r} does not list the request that registers tables."
            )
        if self._options.try_namespace:
            try_register(self._options, self._client, self._reader)
        elif offered is None and not Nessie.runs_on(self._client):
            raise CannotRepoint(
                f"It is not known whether the server of catalog {self._name!r} can register tables.",
                next_move="Set try-namespace for it in lake.toml: the name of a namespace that does not exist, where "
                "migrator tests it with temporary tables.",
            )

    def add(self, tables: Sequence[Repoint], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """See :class:`Entries`."""
        for table in tables:
            levels = self._reader.levels(table.namespace)
            found = self._found(levels, table)
            if found is None:
                self._add_namespaces(table.namespace, levels, namespaces)
                self._register(levels, table)
                found = self._found(levels, table)
            if found != table.new:
                raise taken(self._name, table, found or "nothing: the server does not show it after its registration")

    def _register(self, levels: Levels, table: Repoint) -> None:
        try:
            register(self._client, levels, table.name, table.new)
        except CatalogError:
            if self._found(levels, table) is None:  # otherwise the answer was lost, or somebody else made one
                raise

    def remove(self, tables: Sequence[Repoint]) -> None:
        """See :class:`Entries`. Servers compare nothing when a table is dropped: a change immediately before is
        lost."""
        at = [(table, self._reader.levels(table.namespace)) for table in tables]
        left = [(table, levels) for table, levels in at if self._found(levels, table) is not None]
        if not left:
            return
        for table, levels in left:
            self._check_at(levels, table)
        if self._options.backend:
            with closing(database_of(self._options)) as sql:
                sql.entries().remove([table for table, _ in left])
            return
        self._check_drop_leaves_files(len(left))
        for table, levels in left:
            if self._check_at(levels, table):
                path = self._client.path(levels, "tables", table.name)
                answer = self._client.request("DELETE", path, params={"purgeRequested": "false"})
                if not answer.ok and self._found(levels, table) is not None:
                    raise self._client.refused(f"DELETE {path}", answer)

    def _check_at(self, levels: Levels, table: Repoint) -> bool:
        """False if there is no entry any more. Raises PlanStale if it is not at the expected place."""
        found = self._found(levels, table)
        if found not in (None, table.expected):
            raise moved_on(self._name, table, str(found))
        return found is not None

    def _check_drop_leaves_files(self, count: int) -> None:
        """Raise CannotRepoint unless dropping a table keeps its files. Nessie always keeps them; other servers are
        tested."""
        if Nessie.runs_on(self._client):
            return
        if not self._options.allow_drop or not self._options.try_namespace:
            raise CannotRepoint(
                f"{count} entries of catalog {self._name!r} would have to be dropped, and it is not known whether "
                "its server then keeps the files. No entry was removed.",
                next_move='Set allow-drop = "true" and try-namespace for it in lake.toml: then migrator tests it with '
                "temporary tables. Or drop the tables yourself, WITHOUT purging them. Then run this command again.",
            )
        # The swap by dropping, in both directions, works only on a server that keeps the files.
        find_way(replace(self._options, repoint_by=DROP, backend=""), self._client, self._reader).close()

    def _found(self, levels: Levels, table: Repoint) -> str | None:
        """The pointer of the entry; a description if it is of the other kind; None if there is no entry."""
        loaded = self._client.load(levels, table.name)
        if loaded is None and self._client.load(levels, table.name, VIEW) is not None:
            return "a view"
        return loaded.location if loaded else None

    def _add_namespaces(self, namespace: str, levels: Levels, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Make the namespace and those above it, as far as they do not exist."""
        for depth in range(1, len(levels) + 1):
            part = levels[:depth]
            path = self._client.path(part)
            if self._client.request("GET", path).ok:
                continue
            properties = namespaces.get(namespace if depth == len(levels) else ".".join(part), {})
            answer = self._client.request("POST", "namespaces", {"namespace": list(part), "properties": properties})
            if not answer.ok and not self._client.request("GET", path).ok:
                raise self._client.refused("POST namespaces", answer)
