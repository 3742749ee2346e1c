"""Chooses how the pointers of a REST catalog are changed: as the user says, by the kind of server, or otherwise by
tests with temporary tables in a separate namespace.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from migrator.catalogs.base import TABLE, VIEW, NamespaceRepoint, Repoint
from migrator.catalogs.rest.backend import Backend
from migrator.catalogs.rest.client import RestClient
from migrator.catalogs.rest.nessie import Nessie
from migrator.catalogs.rest.options import BACKEND, DROP, NESSIE, RestOptions
from migrator.catalogs.rest.reading import NEW, OLD, RestReader
from migrator.catalogs.rest.ways import (
    DropSwap,
    OneByOne,
    OverwriteSwap,
    RenameSwap,
    Swap,
    Way,
    register,
    set_properties,
)
from migrator.errors import CannotRepoint, CatalogError, PlanStale

THROW_AWAY = "migrator_try_"
"""The beginning of the names of temporary tables."""


def find_way(options: RestOptions, client: RestClient, reader: RestReader) -> Way:
    """The best way that the user allows and the server supports. Raises CannotRepoint if there is none, ConfigError or
    another CatalogError if that cannot be tested."""
    only = options.repoint_by
    if options.backend and only in ("", BACKEND):
        return Backend.open(options, client, reader)
    if only in ("", NESSIE) and Nessie.runs_on(client):
        return Nessie(client, reader)
    if only == NESSIE:
        raise CannotRepoint(f"The server of catalog {client.name!r} is not a Nessie.")
    if not options.try_namespace:
        raise CannotRepoint(
            f"It is not known which ways the server of catalog {client.name!r} supports, so its pointers are not "
            "changed.",
            next_move=f"Set in [catalogs.{client.name}] one of these keys: try-namespace, the name of a namespace that "
            "does not exist, where migrator tests it with temporary tables; or backend, the URI of the database "
            "behind the server.",
        )
    return _find_by_trial(options, client, reader)


def _find_by_trial(options: RestOptions, client: RestClient, reader: RestReader) -> Way:
    swaps: list[Swap] = [OverwriteSwap(client), RenameSwap(client), DropSwap(client, reader)]
    answers = []
    with _namespace(options, client, reader) as levels:
        trial = _Trial(client, reader, options.try_namespace, levels)
        for swap in swaps:
            if options.repoint_by not in ("", swap.name):
                continue
            if swap.name == DROP and not options.allow_drop:
                answers.append('drop: not tested, because allow-drop is not "true"')
                continue
            refused = trial.run(swap)
            if not refused:
                return OneByOne(client, reader, swap, trial.properties_refused())
            answers.append(f"{swap.name}: {refused}")
    raise CannotRepoint(
        f"The server of catalog {client.name!r} supports no way to change a pointer. It was tested with temporary "
        f"tables in {options.try_namespace}: {'; '.join(answers)}.",
        next_move="Give the database behind the server, if there is one: "
        f'backend = "postgresql+psycopg2://…" in [catalogs.{client.name}]. Or leave its tables out.',
    )


def try_register(options: RestOptions, client: RestClient, reader: RestReader) -> None:
    """Register the metadata of a temporary table under a second name. Raises CannotRepoint if the server refuses."""
    with _namespace(options, client, reader) as levels:
        trial = _Trial(client, reader, options.try_namespace, levels)
        refused = trial.registered()
    if refused:
        raise CannotRepoint(f"The server of catalog {client.name!r} does not register tables: {refused}.")


class _Trial:
    """Tests swaps in one namespace. The server itself writes the metadata of the tables."""

    def __init__(self, client: RestClient, reader: RestReader, namespace: str, levels: tuple[str, ...]) -> None:
        self._client, self._reader, self._namespace, self._levels = client, reader, namespace, levels

    def run(self, swap: Swap) -> str:
        """Swap a table in both directions, and commit to it. Returns why that failed, "" if it did not."""
        name = THROW_AWAY + swap.name
        try:
            first = self._made(name)
            second = self._committed(name)
            swap.swap(self._levels, Repoint(self._namespace, name, second, first))
            swap.swap(self._levels, Repoint(self._namespace, name, first, second))
            self._committed(name)
        except (CatalogError, PlanStale) as error:
            return error.message.rstrip(".")
        return ""

    def registered(self) -> str:
        """Make a table, and register its metadata as another one. Returns why that failed, "" if it did not."""
        name = f"{THROW_AWAY}register"
        try:
            location = self._made(name)
            register(self._client, self._levels, name + NEW, location)  # the helper of a swap: see _clear
            if self._location(name + NEW) != location:
                return "it shows another metadata location than the one that was registered"
        except CatalogError as error:
            return error.message.rstrip(".")
        return ""

    def properties_refused(self) -> str:
        """Why properties of namespaces cannot be changed; "" if they can."""
        key = f"{THROW_AWAY}property"
        try:
            change = {"updates": {key: "old"}, "removals": []}
            self._client.done("POST", self._client.path(self._levels, "properties"), change)
            set_properties(self._client, self._reader, [NamespaceRepoint(self._namespace, key, "old", "new")])
            gone = {"updates": {}, "removals": [key]}
            self._client.done("POST", self._client.path(self._levels, "properties"), gone)
        except (CatalogError, PlanStale) as error:
            return error.message.rstrip(".")
        return ""

    def _made(self, name: str) -> str:
        """A new table's metadata location."""
        field = {"id": 1, "name": "id", "required": False, "type": "long"}
        schema = {"type": "struct", "schema-id": 0, "fields": [field]}
        body = {"name": name, "schema": schema, "stage-create": False, "properties": {}}
        self._client.done("POST", self._client.path(self._levels, "tables"), body)
        return self._location(name)

    def _committed(self, name: str) -> str:
        """The table's metadata location after another commit."""
        before = self._location(name)
        body = {
            "identifier": {"namespace": list(self._levels), "name": name},
            "requirements": [],
            "updates": [{"action": "set-properties", "updates": {"migrator": before}}],
        }
        self._client.done("POST", self._client.path(self._levels, "tables", name), body)
        after = self._location(name)
        if after == before:
            raise CatalogError("a commit did not change the metadata location")
        return after

    def _location(self, name: str) -> str:
        at = self._client.load(self._levels, name)
        if at is None:
            raise CatalogError(f"the table {name} does not exist after the server created it")
        return at.location


# -- the namespace -------------------------------------------------------------------------------------------


@contextmanager
def _namespace(options: RestOptions, client: RestClient, reader: RestReader) -> Iterator[tuple[str, ...]]:
    """An empty namespace for the tests. It is emptied afterwards, and removed if it did not exist before."""
    levels = tuple(options.try_namespace.split("."))
    made = client.request("GET", client.path(levels)).status == 404
    if made:
        properties = {"location": options.try_location} if options.try_location else {}
        client.done("POST", "namespaces", {"namespace": list(levels), "properties": properties})
    else:
        _check_ours(options, client, reader, levels)
        _clear(client, reader, levels)
    try:
        yield levels
    finally:
        left = _clear(client, reader, levels)
        if made and not left:
            client.request("DELETE", client.path(levels))
    if left:
        raise CannotRepoint(
            f"Temporary tables in namespace {options.try_namespace} of catalog {client.name!r} cannot be removed: "
            f"{', '.join(left)}.",
            next_move="Remove them, and plan again.",
        )


def _check_ours(options: RestOptions, client: RestClient, reader: RestReader, levels: tuple[str, ...]) -> None:
    inside = [name for kind in (TABLE, VIEW) for name in reader.names(levels, kind) if not name.startswith(THROW_AWAY)]
    inside += [name for name in reader.namespaces() if name.startswith(f"{options.try_namespace}.")]
    if inside:
        raise CannotRepoint(
            f"try-namespace {options.try_namespace} of catalog {client.name!r} is not empty: it has {inside[0]}.",
            next_move="Give a namespace that does not exist: it is created and removed again.",
        )


def _clear(client: RestClient, reader: RestReader, levels: tuple[str, ...]) -> list[str]:
    """Remove the temporary tables with their files. Returns the names of those that could not be removed."""
    names = sorted(n for n in reader.names(levels, TABLE) if n.startswith(THROW_AWAY))
    # A helper has the files of its table: they are purged once, with the last entry.
    for name in sorted(names, key=lambda name: not name.endswith((OLD, NEW))):
        path = client.path(levels, "tables", name)
        purge = not name.endswith((OLD, NEW))
        with suppress(CatalogError):
            if not purge or not client.request("DELETE", path, params={"purgeRequested": "true"}).ok:
                client.request("DELETE", path, params={"purgeRequested": "false"})
    return [name for name in reader.names(levels, TABLE) if name.startswith(THROW_AWAY)]
