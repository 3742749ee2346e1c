"""Nessie: its own API changes the pointers of all tables, views and namespaces of a branch in one commit.

Its Iceberg REST API cannot: it rejects the registration of an existing table, and ignores a new location.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from migrator.catalogs.base import VIEW, NamespaceRepoint, Repoint
from migrator.catalogs.rest.client import Answer, RestClient
from migrator.catalogs.rest.reading import RestReader, in_threads
from migrator.catalogs.rest.ways import check_arrived, stale
from migrator.errors import PLAN_AGAIN, CannotRepoint, CatalogError, PlanStale

ATTEMPTS = 5
"""How often a commit is tried if others commit at the same time."""
KEYS = 200
"""How many contents one request asks for."""

Key = tuple[str, ...]
Contents = dict[Key, dict[str, Any]]


class Nessie:
    """See :class:`Way`. The branch is the one of the catalog's prefix, or the server's default."""

    together = True

    def __init__(self, client: RestClient, reader: RestReader) -> None:
        """Raises CannotRepoint if the server's configuration names another server."""
        self._client, self._reader = client, reader
        self._api = _api(client)
        prefix = unquote(str(client.config.get("prefix") or "")).partition("|")[0]
        self._branch = prefix or str(client.config.get("nessie.default-branch.name") or "main")

    @staticmethod
    def runs_on(client: RestClient) -> bool:
        """True if the server's configuration is that of a Nessie with the address of its own API."""
        said = str(client.config.get("nessie.is-nessie-catalog", "")).lower()
        return said == "true" and bool(client.config.get("nessie.core-base-uri"))

    def check(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Way`. Commits to a new branch, and deletes the branch."""
        head = self._head()
        operations = self._operations(head, tables, namespaces, trial=True)
        if not operations:
            return
        name = f"migrator-try-{uuid.uuid4().hex}"
        source = {"type": "BRANCH", "name": self._branch, "hash": head}
        self._done(self._client.request("POST", f"{self._api}trees", source, {"name": name, "type": "BRANCH"}), "POST")
        at = head
        try:
            answer = self._commit(name, at, operations)
            self._done(answer, "a commit")
            at = _hash(answer.document.get("targetBranch")) or at
        finally:
            self._client.request("DELETE", f"{self._api}trees/{quote(name)}@{at}", params={"type": "BRANCH"})

    def repoint(self, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint]) -> None:
        """See :class:`Way`."""
        for _ in range(ATTEMPTS):
            head = self._head()
            operations = self._operations(head, tables, namespaces)
            if not operations:
                break
            answer = self._commit(self._branch, head, operations)
            if answer.ok:
                break
            if answer.status != 409:
                raise self._client.refused("a commit", answer)
        else:
            raise CatalogError(
                f"Others commit to the branch {self._branch} of catalog {self._client.name!r} all the time.",
                next_move="Stop the writers, and run the same command again.",
            )
        for _ in in_threads(self._check_arrived, tables):
            pass

    def _check_arrived(self, table: Repoint) -> None:
        check_arrived(self._client, self._reader.levels(table.namespace), table)

    def _operations(
        self, head: str, tables: Sequence[Repoint], namespaces: Sequence[NamespaceRepoint], *, trial: bool = False
    ) -> list[dict[str, Any]]:
        """The operations to commit, without pointers that are at their new place already. Raises PlanStale for a
        pointer that has changed. With ``trial``, changed pointers are accepted and missing tables are left out, because
        a lake may be in use while it is planned."""
        names = {table.namespace for table in tables} | {item.namespace for item in namespaces}
        levels = {name: self._reader.levels(name) for name in names}
        keys = [(*levels[table.namespace], table.name) for table in tables]
        contents = self._contents(head, {*keys, *(levels[item.namespace] for item in namespaces)})
        changed: Contents = {}
        for key, table in zip(keys, tables, strict=True):
            content, kind = contents.get(key, {}), "ICEBERG_VIEW" if table.kind == VIEW else "ICEBERG_TABLE"
            location = content.get("metadataLocation") if content.get("type") == kind else None
            if not trial and location not in (table.expected, table.new):
                raise stale(self._client, table, location)
            if location not in (None, table.new):
                changed[key] = {**content, "metadataLocation": table.new}
        for item in namespaces:
            key = levels[item.namespace]
            content = changed.get(key) or contents.get(key, {})
            properties = content.get("properties") or {}
            # A namespace without a location has one that Nessie derives from the warehouse.
            value = properties.get(item.key) or self._reader.properties(key).get(item.key)
            if content.get("type") != "NAMESPACE" or value not in (item.expected, item.new):
                if trial:
                    continue
                raise PlanStale(
                    f"The property {item.key!r} of namespace {self._client.name}.{item.namespace} is {value!r} now; "
                    f"the plan expects {item.expected!r}. Nothing was changed.",
                    next_move=PLAN_AGAIN,
                )
            if value != item.new:
                changed[key] = {**content, "properties": {**properties, item.key: item.new}}
        return [{"type": "PUT", "key": {"elements": list(key)}, "content": new} for key, new in changed.items()]

    # -- requests ------------------------------------------------------------------------------------

    def _head(self) -> str:
        answer = self._client.request("GET", f"{self._api}trees/{quote(self._branch, safe='')}")
        self._done(answer, f"reading the branch {self._branch}")
        reference = answer.document.get("reference")
        head = _hash(reference)
        if not head or not isinstance(reference, dict) or reference.get("type") != "BRANCH":
            raise CannotRepoint(
                f"{self._branch} is no branch of catalog {self._client.name!r}, so nothing can be committed to it."
            )
        return head

    def _contents(self, head: str, keys: set[Key]) -> Contents:
        path = f"{self._api}trees/{quote(self._branch, safe='')}@{head}/contents"
        found: Contents = {}
        ordered = sorted(keys)
        for start in range(0, len(ordered), KEYS):
            body = {"requestedKeys": [{"elements": list(key)} for key in ordered[start : start + KEYS]]}
            answer = self._client.request("POST", path, body)
            self._done(answer, "reading contents")
            entries = answer.document.get("contents")
            for entry in entries if isinstance(entries, list) else []:
                try:
                    key, content = tuple(entry["key"]["elements"]), entry["content"]
                except (TypeError, KeyError):
                    raise self._client.malformed(path, "a content has no key") from None
                if isinstance(content, dict):
                    found[key] = content
        return found

    def _commit(self, branch: str, head: str, operations: list[dict[str, Any]]) -> Answer:
        path = f"{self._api}trees/{quote(branch, safe='')}@{head}/history/commit"
        body = {"commitMeta": {"message": f"migrator: {len(operations)} pointers changed"}, "operations": operations}
        return self._client.request("POST", path, body)

    def _done(self, answer: Answer, doing: str) -> None:
        if not answer.ok:
            raise self._client.refused(doing, answer)

    def close(self) -> None:
        """See :class:`Way`."""


def _hash(reference: object) -> str:
    found = reference.get("hash") if isinstance(reference, dict) else None
    return found if isinstance(found, str) else ""


def _api(client: RestClient) -> str:
    """The URL of Nessie's own API. Refuses another server than the catalog's, because it would get the token."""
    given, said = urlsplit(str(client.config["uri"])), urlsplit(str(client.config["nessie.core-base-uri"]))
    if (given.scheme, given.netloc) != (said.scheme, said.netloc):
        raise CannotRepoint(
            f"The server of catalog {client.name!r} has another host for Nessie's own API, {said.hostname}.",
            next_move="Set uri to the address in the server's own configuration.",
        )
    return f"{said.scheme}://{said.netloc}{said.path.rstrip('/')}/v2/"
