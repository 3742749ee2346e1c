"""Catalog servers that are jars. Each uses free loopback ports, and runs until its context manager ends."""

from __future__ import annotations

import functools
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

import fetched
from migrator.demo.server import READY_SECONDS, Server

FOLDER = Path(__file__).parent
FIXTURE, NESSIE = FOLDER / "fixture.xml", FOLDER / "nessie.xml"
HIVE = FOLDER / "hive.xml"
REQUIRED = "MIGRATOR_REQUIRE_SERVERS"
"""Set to 1 if no server may be skipped."""


class JavaServer(Server):
    """A server that keeps tables on the S3 server ``s3``, below ``warehouse``."""

    def __init__(self, s3: Server, warehouse: str) -> None:
        super().__init__()
        self.s3, self.warehouse = s3, warehouse

    @property
    def uri(self) -> str:
        """Where its Iceberg REST API is."""
        return f"http://127.0.0.1:{self._ports['s3']}"

    def properties(self) -> dict[str, str]:
        """pyiceberg's properties of a catalog on it."""
        return {**self.s3.properties(), "type": "rest", "uri": self.uri}

    def _wait(self) -> None:
        deadline = time.monotonic() + 2 * READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self._ask()
                return
            except (OSError, urllib.error.URLError):
                time.sleep(0.1)
        tail = (self._folder / "server.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{type(self).__name__} did not start:\n{tail}")

    def _ask(self) -> None:
        """Raises OSError as long as the server is not ready."""
        with urllib.request.urlopen(f"{self.uri}/v1/config", timeout=5):
            pass


class RestFixture(JavaServer):
    """Apache Iceberg's REST server over a JdbcCatalog in the SQLite file ``database``."""

    def __init__(self, s3: Server, warehouse: str, database: Path) -> None:
        super().__init__(s3, warehouse)
        self.database = database

    def _command(self) -> list[str]:
        (jar,) = fetched.jars(FIXTURE)
        catalog = {
            "catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
            "uri": f"jdbc:sqlite:file:{self.database}",
            "jdbc.schema-version": "V1",
            "warehouse": self.warehouse,
            "io-impl": "org.apache.iceberg.aws.s3.S3FileIO",
            "s3.endpoint": self.s3.endpoint_url,
            "s3.path-style-access": "true",
            "s3.access-key-id": self.s3.access_key,
            "s3.secret-access-key": self.s3.secret_key,
            "client.region": self.s3.region,
        }
        java = ["java", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", str(jar), str(FOLDER / "RestServer.java")]
        return [*java, str(self._ports["s3"]), *(f"{key}={value}" for key, value in catalog.items())]


class Nessie(JavaServer):
    """Nessie with its data in memory."""

    @property
    def uri(self) -> str:
        return f"{super().uri}/iceberg"

    def _command(self) -> list[str]:
        (jar,) = fetched.jars(NESSIE)
        s3 = "nessie.catalog.service.s3.default-options"
        options = {
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": self._ports["s3"],
            "quarkus.management.host": "127.0.0.1",
            "quarkus.management.port": self._ports["master"],
            "nessie.version.store.type": "IN_MEMORY",
            "nessie.catalog.default-warehouse": "warehouse",
            "nessie.catalog.warehouses.warehouse.location": self.warehouse,
            f"{s3}.endpoint": self.s3.endpoint_url,
            f"{s3}.region": self.s3.region,
            f"{s3}.path-style-access": "true",
            f"{s3}.request-signing-enabled": "false",  # it signs only for places below its warehouse; engines have keys
            f"{s3}.access-key": "urn:nessie-secret:quarkus:my-secrets.s3",
            "my-secrets.s3.name": self.s3.access_key,
            "my-secrets.s3.secret": self.s3.secret_key,
        }
        java = [str(newer_java()), "-XX:TieredStopAtLevel=1", "-Xmx512m"]
        return [*java, *(f"-D{name}={value}" for name, value in options.items()), "-jar", str(jar)]


class HiveMetastore(JavaServer):
    """A Hive Metastore with its database in memory. It makes no folders for its tables on S3, as a real one would."""

    @property
    def uri(self) -> str:
        return f"thrift://127.0.0.1:{self._ports['s3']}"

    def properties(self) -> dict[str, str]:
        return {**super().properties(), "type": "hive"}

    def _command(self) -> list[str]:
        jars = ":".join(str(jar) for jar in fetched.jars(HIVE, transitive=True))
        java = ["java", "-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", jars, str(FOLDER / "HiveServer.java")]
        return [*java, str(self._ports["s3"]), self.warehouse]

    def _ask(self) -> None:
        # The port is open before the metastore answers.
        with socket.create_connection(("127.0.0.1", self._ports["s3"]), timeout=5):
            pass


@functools.cache
def newer_java() -> Path | None:
    """A Java of version 21 or newer: the one of JAVA_HOME, in PATH, or below /usr/lib/jvm."""
    home = os.environ.get("JAVA_HOME")
    in_path = shutil.which("java")
    candidates = [Path(home) / "bin" / "java"] if home else []
    candidates += [Path(in_path)] if in_path else []
    candidates += sorted(Path("/usr/lib/jvm").glob("*/bin/java"))
    return next((java for java in candidates if java.exists() and _version(java) >= 21), None)


def _version(java: Path) -> int:
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match.group(1)) if match else 0


def require(pom: Path) -> None:
    """Skip the test if the server of ``pom`` cannot run here, or fail it if MIGRATOR_REQUIRE_SERVERS=1."""
    why = fetched.missing_for_jars(pom)
    if pom == NESSIE and not why and newer_java() is None:
        why = "no Java 21 or newer found"
    if why and os.environ.get(REQUIRED) == "1":
        pytest.fail(f"{REQUIRED}=1, but {why}")
    if why:
        pytest.skip(why)
