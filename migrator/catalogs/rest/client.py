"""Requests to an Iceberg REST catalog, through the session of pyiceberg's RestCatalog, which authenticates them.

Answers are untrusted. Errors become CatalogError, whose message contains no secret.
"""

from __future__ import annotations

import base64
import json
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import requests
from pyiceberg.catalog.rest import RestCatalog as PyicebergCatalog

from migrator.catalogs.base import TABLE, VIEW
from migrator.errors import CatalogError, redacted

TIMEOUT = (10, 120)
"""How long to wait for a connection, and for the next bytes of an answer, in seconds."""
MAX_ANSWER = 256 * 1024 * 1024
"""The longest answer that is read, in bytes. The metadata of a table is a few megabytes at most."""
MAX_PAGES = 100_000
ATTEMPTS = 3
"""How often a GET is sent if the server is busy or the connection breaks."""
SHOWN = 200
"""How many characters of a server's error message are shown."""

UNSUPPORTED = (400, 404, 405, 406, 501)
"""The statuses with which servers answer to an unknown request."""
_GONE = ("NoSuchTableException", "NoSuchViewException", "NoSuchNamespaceException")
_BUSY = (502, 503, 504)
_EXPIRED = (401, 419)
_SECRET_WORDS = ("token", "secret", "credential", "password", "auth", "header.", "key", "ssl")


@dataclass(frozen=True)
class Answer:
    """An answer of the server: its status, and the JSON object in the body ({} if there is none)."""

    status: int
    document: dict[str, Any]
    is_json: bool = True
    """False if it is an error whose body is no JSON object: the page of a proxy, or of a server without this path."""

    @property
    def ok(self) -> bool:
        """True if the server carried out the request."""
        return 200 <= self.status < 300

    @property
    def error_type(self) -> str:
        """The name of the server's exception, such as NoSuchTableException; "" if the answer has none."""
        error = self.document.get("error")
        return str(error.get("type") or "") if isinstance(error, dict) else ""


@dataclass(frozen=True)
class Loaded:
    """A table or view as the server shows it."""

    location: str
    uuid: str


class RestClient:
    """The server of one catalog. Safe to share between threads: the session of requests is not changed."""

    def __init__(self, name: str, properties: Mapping[str, Any]) -> None:
        """Ask the server for its configuration. Raises CatalogError if it cannot be reached, or refuses."""
        self.name = name
        self._secrets = _secrets(properties)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pyiceberg warns of an oauth2-server-uri that is not given
                self._catalog = _Session(name, **properties)
        except Exception as error:  # any error of pyiceberg, pydantic and requests: their texts may contain secrets
            raise self._unreachable("open", error) from None

    @property
    def config(self) -> Mapping[str, Any]:
        """The properties, with those of the server's /v1/config."""
        return self._catalog.properties

    def offers(self, endpoint: str) -> bool | None:
        """Whether the server's configuration lists this endpoint, such as "GET namespaces/{namespace}/views"; None if
        it lists none."""
        method, _, path = endpoint.partition(" ")
        listed = self._catalog.listed_endpoints
        return None if listed is None else f"{method} /v1/{{prefix}}/{path}" in listed

    def path(self, namespace: tuple[str, ...], *rest: str) -> str:
        """The path of a namespace and of what is in it, quoted."""
        inside = "".join(f"/{quote(part, safe='')}" for part in rest)
        return f"namespaces/{self._catalog.encoded(namespace)}{inside}"

    def parent(self, namespace: tuple[str, ...]) -> str:
        """A namespace as the query parameter ``parent``, not quoted."""
        return self._catalog.separator.join(namespace)

    # -- requests ------------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request below /v1/PREFIX/, or to an absolute URL. Raises CatalogError if there is no answer, or if
        a successful one is no JSON object."""
        url = path if "://" in path else self._catalog.url("{path}", path=path)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                answer = self._send(method, url, path, body, params)
            except _Broken as error:
                # Only a request that changes nothing is repeated: the first one may have been carried out.
                if method != "GET" or attempt == ATTEMPTS:
                    raise self._unreachable(f"{method} {_shown(path)}", error.cause) from None
            else:
                if answer.status in _EXPIRED and attempt == 1:
                    self._renew()
                elif not (answer.status == 429 or (answer.status in _BUSY and method == "GET")) or attempt == ATTEMPTS:
                    return answer
            time.sleep(0.2 * attempt)
        raise AssertionError("unreachable")

    def done(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Send one request. Raises CatalogError for any status but a success."""
        answer = self.request(method, path, body)
        if not answer.ok:
            raise self.refused(f"{method} {_shown(path)}", answer)
        return answer

    def pages(self, path: str, params: Mapping[str, str] | None = None, *, optional: bool = False) -> Iterator[Answer]:
        """Each page of a listing. Raises CatalogError, also if the pages never end. Yields nothing if the namespace
        does not exist or, with ``optional``, if the server does not know this request."""
        given, seen = dict(params or {}), set[str]()
        while True:
            page = self.request("GET", path, params=given)
            unknown = optional and not seen and page.status in UNSUPPORTED
            if unknown or (page.status == 404 and page.error_type == "NoSuchNamespaceException"):
                return
            if not page.ok:
                raise self.refused(f"GET {_shown(path)}", page)
            yield page
            token = page.document.get("next-page-token")
            if not token:
                return
            if not isinstance(token, str) or token in seen or len(seen) >= MAX_PAGES:
                raise self.malformed(path, "its next-page-token is repeated, or is not text")
            seen.add(token)
            given["pageToken"] = token

    def load(self, namespace: tuple[str, ...], name: str, kind: str = TABLE) -> Loaded | None:
        """A table or view; None if there is none, or if the server has no views. Raises CatalogError if the server
        cannot load it, for example because its metadata file does not exist."""
        offered = self.offers("GET namespaces/{namespace}/views/{view}") if kind == VIEW else True
        if offered is False:
            return None
        path = self.path(namespace, f"{kind}s", name)
        answer = self.request("GET", path, params={"snapshots": "refs"} if kind == TABLE else None)
        if answer.status == 404 and not answer.is_json and (kind == TABLE or offered):
            raise self.malformed(path, "it has the status 404, and is no JSON object")
        if answer.status == 404 and answer.error_type in ("", *_GONE):
            return None
        if offered is None and answer.status in UNSUPPORTED and answer.status != 404:
            return None
        if not answer.ok:
            raise self.refused(f"GET {_shown(path)}", answer)
        metadata, location = answer.document.get("metadata"), answer.document.get("metadata-location")
        uuid = metadata.get(f"{kind}-uuid") if isinstance(metadata, dict) else None
        if not isinstance(location, str) or not location:
            raise self.malformed(path, "it has no metadata-location")
        return Loaded(location, uuid if isinstance(uuid, str) else "")

    def _send(
        self, method: str, url: str, path: str, body: Mapping[str, Any] | None, params: Mapping[str, str] | None
    ) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        try:
            with self._catalog.session.request(method, url, data=data, params=params, stream=True) as response:
                self._note_token(response)
                content = bytearray()
                for chunk in response.iter_content(1 << 20):
                    content += chunk
                    if len(content) > MAX_ANSWER:
                        raise self.malformed(path, f"it is longer than {MAX_ANSWER:,} bytes")
                status = response.status_code
        except CatalogError:
            raise
        except Exception as error:  # errors of requests, urllib3, and of hooks for signing or authentication
            raise _Broken(error) from None
        try:
            document = json.loads(content) if content.strip() else {}
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            if 200 <= status < 300:
                raise self.malformed(path, "it is no JSON object")
            return Answer(status, {}, is_json=False)
        return Answer(status, document)

    def _renew(self) -> None:
        try:
            self._catalog._refresh_token()
        except Exception as error:
            raise self._unreachable("renewing the token", error) from None

    # -- errors --------------------------------------------------------------------------------------

    def refused(self, doing: str, answer: Answer) -> CatalogError:
        """The error for an answer that is no success."""
        return CatalogError(
            f"Catalog {self.name!r} refused {self.hidden(doing)}: {self.said(answer)}.",
            next_move="Check its properties and the permissions of its user.",
        )

    def said(self, answer: Answer) -> str:
        """The status and the server's message, shortened and without a secret."""
        error = answer.document.get("error")
        message = error.get("message") if isinstance(error, dict) else answer.document.get("message")
        words = " ".join(str(message).split())[: 2 * SHOWN] if isinstance(message, str) else ""
        return f"{answer.status} {self.hidden(words)[:SHOWN]}".strip().rstrip(".")

    def malformed(self, path: str, why: str) -> CatalogError:
        """The error for an answer that does not follow the REST specification."""
        return CatalogError(
            f"Catalog {self.name!r} gave an answer to {self.hidden(_shown(path))} that cannot be read: {why}.",
            next_move="Check that its uri is that of an Iceberg REST catalog.",
        )

    def hidden(self, text: str) -> str:
        """``text`` without the secrets of the properties."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return redacted(text)

    def _note_token(self, response: requests.Response) -> None:
        """Hide a token that pyiceberg has requested."""
        sent = response.request.headers.get("Authorization", "")
        token = (sent.decode("latin-1") if isinstance(sent, bytes) else sent).rpartition(" ")[2]
        if len(token) >= 4 and token != "None" and token not in self._secrets:
            self._secrets = (token, *self._secrets)

    def _unreachable(self, doing: str, error: BaseException) -> CatalogError:
        return CatalogError(
            f"Catalog {self.name!r} does not answer ({self.hidden(doing)}): {_reason(error)}.",
            next_move="Check its uri and its credentials, and that its server runs.",
        )

    def close(self) -> None:
        """Close all connections."""
        self._catalog.session.close()


class _Broken(Exception):
    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


class _Session(PyicebergCatalog):
    """pyiceberg's client: its configuration and authentication, but none of its requests."""

    listed_endpoints: set[str] | None = None

    def _create_session(self) -> requests.Session:
        session = super()._create_session()
        session.request = partial(session.request, timeout=TIMEOUT)  # type: ignore[method-assign]
        # migrator reads no data through the catalog, so it needs no credentials from it.
        session.headers.pop("X-Iceberg-Access-Delegation", None)
        session.hooks["response"].append(self._note_endpoints)
        return session

    def _note_endpoints(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """pyiceberg replaces a missing list of endpoints by one of its own, which has no views."""
        if self.listed_endpoints is None and urlsplit(response.url).path.endswith("/v1/config") and response.ok:
            document = response.json()
            listed = document.get("endpoints") if isinstance(document, dict) else None
            if isinstance(listed, list) and listed:
                self.listed_endpoints = {str(endpoint) for endpoint in listed}

    @property
    def session(self) -> requests.Session:
        return self._session

    @property
    def separator(self) -> str:
        return self._namespace_separator

    def encoded(self, namespace: tuple[str, ...]) -> str:
        return quote(self.separator, safe="").join(quote(part, safe="") for part in namespace)


def _shown(path: str) -> str:
    return path.partition("?")[0].replace("%1F", ".")[:SHOWN]


def _reason(error: BaseException) -> str:
    """Why a request failed, without a secret: the type of the error and the system's message."""
    seen: BaseException | None = error
    for _ in range(10):
        if isinstance(seen, OSError) and seen.strerror:
            return f"{type(error).__name__}: {seen.strerror}"
        if seen is None:
            break
        reason = getattr(seen, "reason", None)
        inner = [a for a in (*seen.args, reason) if isinstance(a, BaseException)]
        seen = seen.__cause__ or (inner[0] if inner else seen.__context__)
    return type(error).__name__


def _secrets(properties: Mapping[str, Any]) -> tuple[str, ...]:
    """Every text in the properties that may be a secret, the longest first."""
    found = set[str]()

    def take(value: object) -> None:
        if isinstance(value, Mapping):
            for inner in value.values():
                take(inner)
        else:
            found.update([str(value), str(value).rpartition(":")[2], str(value).rpartition(" ")[2]])

    for key, value in properties.items():
        if any(word in key.lower() for word in _SECRET_WORDS) and not str(value).startswith(("http://", "https://")):
            take(value)
        elif isinstance(value, str) and "@" in value:
            userinfo = value.rpartition("@")[0].rpartition("://")[2]
            found.update([userinfo.partition(":")[2], unquote(userinfo.partition(":")[2])])
    both = found | {base64.b64encode(value.encode()).decode() for value in found}
    return tuple(sorted((s for s in both if len(s) >= 4 and s not in ("true", "false")), key=len, reverse=True))
