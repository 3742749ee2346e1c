"""A private MariaDB server for tests: a temporary directory, a free loopback port, a password."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pymysql

from postgres import PASSWORD, USER, free_port, give_up, run, unprivileged

REQUIRED = "MIGRATOR_REQUIRE_MYSQL"
READY_SECONDS = 60
CONNECTION_REFUSED = 2003


@contextmanager
def mariadb_server() -> Iterator[str]:
    """Start a server, yield the URI of its database ``mysql``, stop it and remove its files.

    Skips the test if no server is installed, or fails it if MIGRATOR_REQUIRE_MYSQL=1.
    """
    programs = [
        shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
        for name in ("mariadbd", "mariadb-install-db")
    ]
    if not all(programs):
        give_up("no MariaDB server is installed", REQUIRED)
    server, install = programs
    with tempfile.TemporaryDirectory(prefix="migrator-mariadb-", ignore_cleanup_errors=True) as directory:
        place = Path(directory)
        who = unprivileged("mysql")
        if who:
            os.chown(place, who["user"], who["group"])
        # A server removes the temporary tables of all others in its tmpdir when it starts: no two may share one.
        data = ["--no-defaults", f"--datadir={place}/data", f"--tmpdir={place}"]
        run([install, *data, "--auth-root-authentication-method=normal", "--skip-test-db"], place, who)
        # No connection is accepted before this is done.
        (place / "init.sql").write_text(
            f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%' WITH GRANT OPTION;\n"
        )
        process, port = _start([server, *data, f"--init-file={place}/init.sql"], place, who)
        try:
            yield f"mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{port}/mysql"
        finally:
            process.kill()
            process.wait()


def _start(command: list[Any], place: Path, who: dict[str, int]) -> tuple[subprocess.Popen[bytes], int]:
    command += [f"--socket={place}/socket", "--bind-address=127.0.0.1", "--skip-name-resolve", "--skip-log-bin"]
    command += ["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=32M", f"--pid-file={place}/pid"]
    groups: dict[str, Any] = {**who, "extra_groups": []} if who else {}
    for _ in range(3):  # another program may take the free port before the server does
        port = free_port()
        with (place / "output").open("ab") as output:
            process = subprocess.Popen([*command, f"--port={port}"], cwd=place, stdout=output, stderr=output, **groups)
        end = time.monotonic() + READY_SECONDS
        while process.poll() is None and time.monotonic() < end:
            try:
                pymysql.connect(host="127.0.0.1", port=port, user=USER, password=PASSWORD).close()
            except pymysql.OperationalError as error:
                if error.args[0] != CONNECTION_REFUSED:
                    raise
                time.sleep(0.05)
            else:
                return process, port
        process.kill()
        process.wait()
    raise AssertionError((place / "output").read_text())
