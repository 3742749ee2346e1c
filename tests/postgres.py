"""A private PostgreSQL server for tests: a temporary directory, a free loopback port, a password."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

USER = "lake"
PASSWORD = "only-for-tests"
REQUIRED = "MIGRATOR_REQUIRE_POSTGRES"
_PROGRAMS = ("initdb", "pg_ctl", "postgres")


@contextmanager
def postgres_server() -> Iterator[str]:
    """Start a server, yield the URI of its database ``postgres``, stop it and remove its files.

    Skips the test if no server is installed, or fails it if MIGRATOR_REQUIRE_POSTGRES=1.
    """
    programs = _find_programs()
    if programs is None:
        give_up("no PostgreSQL server is installed")
    with tempfile.TemporaryDirectory(prefix="migrator-postgres-", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        who = unprivileged("postgres")
        if who:
            os.chown(place, who["user"], who["group"])
        port = _start(programs, place, who)
        try:
            yield f"postgresql+psycopg2://{USER}:{PASSWORD}@127.0.0.1:{port}/postgres"
        finally:
            run([programs / "pg_ctl", "stop", "-w", "-m", "immediate", "-D", place / "data"], place, who)


def give_up(why: str, required: str = REQUIRED) -> NoReturn:
    """Skip the test, or fail it if this variable says that the server is required."""
    if os.environ.get(required) == "1":
        pytest.fail(f"{required}=1, but {why}")
    pytest.skip(why)


def _find_programs() -> Path | None:
    """The directory of the server's programs: the one in PATH, else the newest installed."""
    in_path = shutil.which("initdb")
    candidates = [Path(in_path).resolve().parent] if in_path else []
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    candidates += sorted(installed, key=lambda b: int(b.parent.name) if b.parent.name.isdigit() else 0)[::-1]
    return next((c for c in candidates if all((c / program).exists() for program in _PROGRAMS)), None)


def unprivileged(*names: str) -> dict[str, int]:
    """The user to run as: the first of these that exists. Database servers refuse to run as root."""
    if os.geteuid() != 0:
        return {}
    for name in (*names, "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": entry.pw_uid, "group": entry.pw_gid}
    pytest.fail("a database server refuses root, and there is no other user to run it as")


def _start(programs: Path, place: Path, who: dict[str, int]) -> int:
    secret = place / "password"
    secret.write_text(PASSWORD)
    if who:
        os.chown(secret, who["user"], who["group"])
    initdb = [programs / "initdb", "-D", place / "data", "-U", USER, "-A", "scram-sha-256", "-E", "UTF8"]
    run([*initdb, f"--pwfile={secret}", "--no-locale", "--no-sync"], place, who)
    for attempt in range(3):  # another program may take the free port before the server does
        port = free_port()
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        start = [programs / "pg_ctl", "start", "-w", "-D", place / "data", "-l", place / "log", "-o", options]
        try:
            run(start, place, who)
        except subprocess.CalledProcessError:
            if attempt == 2:
                raise
        else:
            return port
    raise AssertionError("unreachable")


def run(command: list[Any], place: Path, who: dict[str, int]) -> None:
    """Run a program of a server as this user, with its output in a file of the folder.

    Raises CalledProcessError, after it printed the end of that output: pytest shows it with the failure.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    groups: dict[str, Any] = {**who, "extra_groups": []} if who else {}
    # Not captured through pipes: the server inherits them, and they would never close.
    written = place / "output"
    with written.open("ab") as output:
        try:
            subprocess.run(command, cwd=place, env=environment, stdout=output, stderr=output, check=True, **groups)
        except subprocess.CalledProcessError:
            print(written.read_text(errors="replace")[-4000:])
            raise


def free_port() -> int:
    """A port on which no program listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
