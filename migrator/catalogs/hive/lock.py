"""The exclusive lock of a table in a Hive Metastore, which Iceberg's MetastoreLock acquires for each commit.

Metastores up to 3.1.3 compare nothing when a table is altered, so only this lock prevents commits of others.
"""

from __future__ import annotations

import getpass
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hive_metastore.ttypes import (
    CheckLockRequest,
    LockComponent,
    LockLevel,
    LockRequest,
    LockState,
    LockType,
    ShowLocksRequest,
    UnlockRequest,
)

from migrator.catalogs.hive.connection import Connection
from migrator.errors import CatalogError, first_names

WAIT_SECONDS = 30
"""How long to wait for the lock of another writer, in seconds. A lock that waits needs no heartbeat for 5 minutes."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0


class LockHeld(CatalogError):
    """Another writer holds the table's lock."""


@contextmanager
def table_lock(connection: Connection, namespace: str, name: str) -> Iterator[None]:
    """Hold the exclusive lock of a table. It is released at the end, also after an error.

    Raises LockHeld if another writer holds it for :data:`WAIT_SECONDS`, CatalogError if the metastore refuses.
    """
    lock_id, state = _requested(connection, namespace, name)
    try:
        _wait(connection, namespace, name, lock_id, state)
        yield
    finally:
        # If that fails, the lock expires after some minutes; the change is still valid.
        with suppress(CatalogError):
            connection.read("give back a lock", lambda client: client.unlock(UnlockRequest(lock_id)))


def _requested(connection: Connection, namespace: str, name: str) -> tuple[int, int]:
    """Ask for the lock. Returns its id and its state: acquired or waiting."""
    component = LockComponent(LockType.EXCLUSIVE, LockLevel.TABLE, namespace, name)
    agent = f"migrator-{uuid.uuid4()}"
    request = LockRequest([component], user=_user(), hostname=socket.gethostname(), agentInfo=agent)
    try:
        lock_id, state = connection.change(f"lock {namespace}.{name}", lambda client: _answer(client.lock(request)))
    except CatalogError as error:
        # If only the answer was lost, the lock would block all writers, also this one.
        mine = [lock for lock in _locks(connection, namespace, name) if lock.agentInfo == agent]
        if not mine:
            raise error
        lock_id, state = _answer(mine[0])
    if not isinstance(lock_id, int):
        raise connection.odd(f"lock {namespace}.{name}", "no id of the lock")
    return lock_id, state


def _answer(lock: Any) -> tuple[int, int]:
    return lock.lockid, lock.state


def _wait(connection: Connection, namespace: str, name: str, lock_id: int, state: int) -> None:
    deadline, pause = time.monotonic() + WAIT_SECONDS, FIRST_PAUSE
    doing, request = f"lock {namespace}.{name}", CheckLockRequest(lock_id)
    while state == LockState.WAITING:
        if time.monotonic() >= deadline:
            raise LockHeld(
                f"{connection.name}.{namespace}.{name} is locked by {_holders(connection, namespace, name)}, and was "
                f"not released within {WAIT_SECONDS} seconds. The table was not changed.",
                next_move="Stop that writer, or release its lock, then run the same command again.",
            )
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
        state = connection.read(doing, lambda client: client.check_lock(request).state)
    if state != LockState.ACQUIRED:
        said = LockState._VALUES_TO_NAMES.get(state, state)
        raise CatalogError(f"Catalog {connection.name!r} does not lock {namespace}.{name}: the lock's state is {said}.")


def _holders(connection: Connection, namespace: str, name: str) -> str:
    """Who holds the lock, for a message."""
    with suppress(CatalogError):
        acquired = [lock for lock in _locks(connection, namespace, name) if lock.state == LockState.ACQUIRED]
        if acquired:
            return first_names([f"{lock.user} on {lock.hostname}" for lock in acquired], 3)
    return "another writer"


def _locks(connection: Connection, namespace: str, name: str) -> list[Any]:
    request = ShowLocksRequest(dbname=namespace, tablename=name)
    locks = connection.read("show its locks", lambda client: client.show_locks(request).locks)
    # Older metastores ignore the names in the request.
    return [lock for lock in locks or () if (lock.dbname, lock.tablename) == (namespace, name)]


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container whose user has no name
        return "migrator"
