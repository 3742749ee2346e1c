"""The Thrift connection to a Hive Metastore, with the client in pyiceberg.

Answers are untrusted. Every error becomes CatalogError, except for an object that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from hive_metastore.ThriftHiveMetastore import Client
from hive_metastore.ttypes import NoSuchObjectException
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.transport import TSocket, TTransport

from migrator.errors import CatalogError, ConfigError, MigratorError, redacted

DEFAULT_PORT = 9083
CONNECT_MILLISECONDS, ANSWER_MILLISECONDS = 10_000, 120_000
"""How long to wait for a connection, and for the next bytes of an answer. pyiceberg's own client waits forever."""
MAX_TEXT, MAX_ELEMENTS = 64 * 1024 * 1024, 10_000_000
"""The longest text in an answer, in bytes, and the largest list: a damaged answer may announce any length."""
SHOWN = 300
"""How many characters of a metastore's error message are shown."""

_BROKEN = (TTransport.TTransportException, OSError, EOFError)
"""The exceptions for a broken connection. Then it is not known whether the metastore has carried out the request."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Options:
    """The properties that pyiceberg's HiveCatalog has for its connection."""

    servers: tuple[tuple[str, int], ...]
    """(host, port) of each metastore of one catalog, tried in this order."""
    user: str
    groups: tuple[str, ...]
    kerberos: bool
    kerberos_service: str

    @classmethod
    def of(cls, name: str, uri: str, properties: Mapping[str, str]) -> Options:
        """Raises ConfigError for a uri that is not one of a metastore; the message does not show it."""
        user, _, groups = properties.get("ugi", "").partition(":")
        return cls(
            servers=tuple(_server(name, part.strip()) for part in uri.split(",")),
            user=user,
            groups=tuple(group for group in groups.split(",") if group),
            kerberos=properties.get("hive.kerberos-authentication", "").lower() == "true",
            kerberos_service=properties.get("hive.kerberos-service-name", "hive"),
        )

    def __str__(self) -> str:
        """The servers as URIs, without any secret."""
        return ",".join(f"thrift://{host}:{port}" for host, port in self.servers)


def _server(name: str, uri: str) -> tuple[str, int]:
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host, port = None, 0
    if not host or not uri.startswith("thrift://"):
        raise ConfigError(
            f"The uri of catalog {name!r} is not one of a Hive Metastore.",
            next_move="Write thrift://host:9083, or several of them with commas between.",
        )
    return host, port


class Connection:
    """One connection, opened at the first request and again after it broke. Not thread-safe."""

    def __init__(self, name: str, options: Options) -> None:
        self.name, self._options = name, options
        self._transport: Any = None
        self._client: Any = None

    def read(self, doing: str, request: Callable[[Any], Answer]) -> Answer:
        """Send a request that changes nothing. It is repeated once if the connection breaks, because an idle connection
        may have been closed. Raises CatalogError, or NoSuchObjectException if the metastore answers that. ``doing``
        completes "cannot …"."""
        try:
            try:
                return self._sent(request)
            except _BROKEN as error:
                if getattr(error, "type", None) == TTransport.TTransportException.TIMED_OUT:
                    raise  # a second attempt would take as long
                return self._sent(request)
        except (NoSuchObjectException, MigratorError):
            raise
        except Exception as error:  # Thrift also raises TypeError, UnicodeDecodeError and others for a damaged answer
            raise self.error(doing, error) from error

    def change(self, doing: str, request: Callable[[Any], Answer]) -> Answer:
        """Send a request once. Raises CatalogError: then it may still have been carried out."""
        try:
            return self._sent(request)
        except MigratorError:
            raise
        except Exception as error:
            raise self.error(doing, error) from error

    def error(self, doing: str, error: BaseException) -> CatalogError:
        """The error for a request that failed, with the metastore's own message."""
        said = getattr(error, "message", None) or str(error) or type(error).__name__
        reason = redacted(" ".join(str(said).split()))[:SHOWN].rstrip(".")
        return CatalogError(
            f"Catalog {self.name!r} ({self._options}) cannot {doing}: {reason}.",
            next_move="Check its uri and that the metastore runs, then run the same command again.",
        )

    def odd(self, doing: str, answer: str) -> CatalogError:
        """The error for an answer that a metastore does not give."""
        return CatalogError(f"Catalog {self.name!r} ({self._options}) cannot {doing}: its answer has {answer}.")

    def close(self) -> None:
        """Close the connection, if it is open; the next request opens a new one."""
        transport, self._transport, self._client = self._transport, None, None
        if transport is not None:
            with suppress(Exception):
                transport.close()

    def _sent(self, request: Callable[[Any], Answer]) -> Answer:
        try:
            return request(self._connected())
        except NoSuchObjectException:
            raise
        except BaseException:
            self.close()  # after half an answer, the next bytes have no meaning
            raise

    def _connected(self) -> Any:
        if self._client is None:
            for number, server in enumerate(self._options.servers, 1):
                try:
                    self._open(*server)
                    break
                except _BROKEN:
                    self.close()
                    if number == len(self._options.servers):
                        raise
        return self._client

    def _open(self, host: str, port: int) -> None:
        socket = TSocket.TSocket(host, port)
        socket.setTimeout(CONNECT_MILLISECONDS)
        if self._options.kerberos:
            self._transport = _kerberos(socket, host, self._options.kerberos_service)
        else:
            self._transport = TTransport.TBufferedTransport(socket)
        self._transport.open()
        socket.setTimeout(ANSWER_MILLISECONDS)
        client = Client(
            TBinaryProtocol(self._transport, string_length_limit=MAX_TEXT, container_length_limit=MAX_ELEMENTS)
        )
        if self._options.user:
            client.set_ugi(self._options.user, list(self._options.groups))
        self._client = client


def _kerberos(socket: Any, host: str, service: str) -> Any:
    try:
        return TTransport.TSaslClientTransport(socket, host=host, service=service)
    except ImportError as error:
        raise ConfigError(
            "The Python packages that Kerberos needs are not installed.",
            next_move="pip install 'pyiceberg[hive-kerberos]' pure-sasl",
        ) from error
