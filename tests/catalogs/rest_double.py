"""A small REST catalog in this process, for answers that no real server gives. It has only tables, and its answers can
be replaced."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

Reply = tuple[int, Any]


class RestDouble:
    """Use as a context manager. Overwrites an existing table if the request says so, as Polaris and Lakekeeper do."""

    def __init__(self) -> None:
        self.namespaces: dict[tuple[str, ...], dict[str, str]] = {}
        self.tables: dict[tuple[str, ...], tuple[str, str]] = {}
        """Namespace and name → metadata location and uuid."""
        self.uuids: dict[str, str] = {}
        self.replies: dict[str, Reply | bytes] = {}
        """"METHOD path" → what is answered instead."""
        self.raw: dict[str, tuple[int, bytes]] = {}
        """"METHOD path" → the status and the body, which is no JSON."""
        self.config: dict[str, Any] = {}
        self.page = 1000
        self.seen: list[str] = []
        self.tokens: set[str] = set()
        self.tenants: set[str] = set()
        self.commits = 0
        self.renames = False
        """Whether it can rename tables."""

    def __enter__(self) -> RestDouble:
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                double.tokens.add(self.headers.get("Authorization", ""))
                double.tenants.add(self.headers.get("X-Tenant", ""))
                reply = double.answer(self.command, self.path, json.loads(body) if body[:1] == b"{" else {})
                status, content = (
                    (200, reply) if isinstance(reply, bytes) else (reply[0], json.dumps(reply[1]).encode())
                )
                place = f"{self.command} {urlsplit(self.path).path.removeprefix('/v1/')}"
                status, content = double.raw.get(place, (status, content))
                self.send_response(status)
                self.send_header("Content-Length", str(0 if status == 204 else len(content)))
                self.end_headers()
                if status != 204:
                    self.wfile.write(content)

            do_GET = do_POST = do_DELETE = do

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.uri = f"http://127.0.0.1:{self._server.server_port}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, namespace: str, name: str, location: str, uuid: str = "u1") -> None:
        """A table, and its namespace."""
        levels = tuple(namespace.split("."))
        for end in range(1, len(levels) + 1):
            self.namespaces.setdefault(levels[:end], {})
        self.tables[(*levels, name)] = location, uuid
        self.uuids[location] = uuid

    def answer(self, method: str, url: str, body: dict[str, Any]) -> Reply | bytes:
        """What the server answers to one request."""
        parts = urlsplit(url)
        path, query = parts.path.removeprefix("/v1/"), {k: v[0] for k, v in parse_qs(parts.query).items()}
        self.seen.append(f"{method} {path}")
        if f"{method} {path}" in self.replies:
            return self.replies[f"{method} {path}"]
        steps = path.split("/")
        if steps == ["config"]:
            return 200, {"defaults": {}, "overrides": {}, **self.config}
        if steps == ["tables", "rename"] and self.renames:
            return self._rename(body["source"], body["destination"])
        if steps[0] != "namespaces":
            return error(404, "no such path")
        if len(steps) == 1:
            return self._namespaces(method, query, body)
        levels = tuple(unquote(steps[1]).split("\x1f"))
        if levels not in self.namespaces:
            return error(404, "no such namespace", "NoSuchNamespaceException")
        return self._inside(method, levels, steps[2:], query, body)

    def _rename(self, source: dict[str, Any], destination: dict[str, Any]) -> Reply:
        one, other = ((*end["namespace"], end["name"]) for end in (source, destination))
        if one not in self.tables:
            return error(404, "no such table", "NoSuchTableException")
        if other in self.tables:
            return error(409, "exists", "AlreadyExistsException")
        self.tables[other] = self.tables.pop(one)
        return 204, {}

    def _namespaces(self, method: str, query: dict[str, str], body: dict[str, Any]) -> Reply:
        if method == "POST":
            self.namespaces[tuple(body["namespace"])] = dict(body["properties"])
            return 200, body
        parent = tuple(query["parent"].split("\x1f")) if "parent" in query else ()
        return 200, self._paged("namespaces", [list(n) for n in sorted(self.namespaces) if n[:-1] == parent], query)

    def _paged(self, key: str, entries: list[Any], query: dict[str, str]) -> dict[str, Any]:
        start = int(query.get("pageToken") or 0)
        more = {"next-page-token": str(start + self.page)} if start + self.page < len(entries) else {}
        return {key: entries[start : start + self.page], **more}

    def _inside(
        self, method: str, levels: tuple[str, ...], steps: list[str], query: dict[str, str], body: dict[str, Any]
    ) -> Reply:
        if not steps and method == "DELETE":
            del self.namespaces[levels]
            return 204, {}
        if not steps:
            return 200, {"namespace": levels, "properties": self.namespaces[levels]}
        if steps == ["properties"]:
            self.namespaces[levels] |= body.get("updates", {})
            for key in body.get("removals", ()):
                self.namespaces[levels].pop(key, None)
            return 200, {}
        if steps == ["register"]:
            return self._register((*levels, body["name"]), body)
        if steps == ["tables"] and method == "POST":
            self.add(".".join(levels), body["name"], f"s3://made/{body['name']}/0.json", f"uuid of {body['name']}")
            return self._loaded((*levels, body["name"]))
        if steps == ["tables"]:
            names = [{"namespace": levels, "name": t[-1]} for t in sorted(self.tables) if t[:-1] == levels]
            return 200, self._paged("identifiers", names, query)
        if steps[0] != "tables":
            return error(404, "no such path")
        return self._table(method, (*levels, unquote(steps[1])))

    def _table(self, method: str, key: tuple[str, ...]) -> Reply:
        if key not in self.tables:
            return error(404, "no such table", "NoSuchTableException")
        if method == "DELETE":
            del self.tables[key]
            return 204, {}
        if method == "POST":
            self.commits += 1
            self.add(".".join(key[:-1]), key[-1], f"s3://made/{key[-1]}/{self.commits}.json", self.tables[key][1])
        return self._loaded(key)

    def _loaded(self, key: tuple[str, ...]) -> Reply:
        location, uuid = self.tables[key]
        return 200, {"metadata-location": location, "metadata": {"table-uuid": uuid}}

    def _register(self, key: tuple[str, ...], body: dict[str, Any]) -> Reply:
        if key in self.tables and not body.get("overwrite"):
            return error(409, "exists", "AlreadyExistsException")
        at = body["metadata-location"]
        self.tables[key] = at, self.uuids.get(at, "u1")
        return self._loaded(key)


def error(status: int, message: str, type_: str = "") -> Reply:
    """An error answer."""
    return status, {"error": {"message": message, "type": type_, "code": status}}
