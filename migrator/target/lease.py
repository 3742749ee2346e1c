"""One migration at a time on a target: a running migration keeps a lease, an object in the target bucket.

The plan's own lock (``PlanFile.lock``) works on one machine only. The lease names its holder, which renews it while it
runs. Only the server's clock decides how old a lease is.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from migrator.errors import MigrationFailed, NotFound, PlanBusy, StoreError
from migrator.store import LEASE_KEY, Content, Store

RENEW_SECONDS = 15.0
"""How often the holder renews its lease."""
EXPIRE_SECONDS = 60.0
"""The age from which a lease that was not renewed is no longer valid."""


class Lease:
    """The right to write to a target bucket. Call :meth:`check` before anything that cannot be undone."""

    def __init__(self, store: Store, bucket: str, holder: dict[str, str]) -> None:
        """``holder`` was already written to the target. Its "run" identifies leases that this run wrote."""
        self._store, self._bucket, self._holder = store, bucket, holder
        self._renewed = time.monotonic()
        self._lost = False
        self._ended = threading.Event()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._renew_often, name="migrator-lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise MigrationFailed if another migration may have taken over the target."""
        if not self._lost and self._expired():  # the server may have been down: then nobody else could write either
            with suppress(StoreError):
                self._renew()
        if self._lost or self._expired():
            raise MigrationFailed(
                f"The lock s3://{self._bucket}/{LEASE_KEY} was lost: it could not be renewed, or was taken over.",
                next_move="Make sure that no other migration writes there, then run the same command again.",
            )

    def _expired(self) -> bool:
        return time.monotonic() - self._renewed > EXPIRE_SECONDS

    def _renew_often(self) -> None:
        while not self._lost and not self._ended.wait(RENEW_SECONDS):
            with suppress(StoreError):  # the next attempt may succeed; check() raises if it takes too long
                self._renew()

    def _renew(self) -> None:
        """Write the lease again, if the present one is still this run's.

        Reads the present lease first, since the answer to an earlier write may have been lost.
        """
        with self._writing:
            there = _read(self._store, self._bucket)
            etag = None
            if there is not None and _run_of(there.data) == self._holder["run"]:
                etag = self._store.put_if(self._bucket, LEASE_KEY, _content(self._holder), etag=there.etag)
            if etag is None:
                self._lost = True
                return
            self._renewed = time.monotonic()
            _remove_older(self._store, self._bucket)

    def release(self) -> None:
        """Remove the lease, if it is still this run's."""
        self._ended.set()
        self._thread.join()
        with suppress(StoreError):  # it expires by itself
            there = None if self._lost else _read(self._store, self._bucket)
            if there is not None and _run_of(there.data) == self._holder["run"]:
                self._store.erase(self._bucket, LEASE_KEY)


@contextmanager
def lease(store: Store, bucket: str, plan: Path) -> Iterator[Lease]:
    """Hold the lease of the target for one migration. Raises PlanBusy if another migration holds it.

    The lease of a process of this machine that was killed is taken over at once, any other lease when it has expired.
    """
    holder = {"plan": str(plan.resolve()), **_myself(), "run": uuid.uuid4().hex}
    found = _read(store, bucket)
    if found is not None and (who := _alive(store, bucket, found.data)):
        raise _busy(bucket, who)
    etag = store.put_if(bucket, LEASE_KEY, _content(holder), etag=found.etag if found else None)
    if etag is None:
        raise _busy(bucket, "another migration that has just begun")
    held = Lease(store, bucket, holder)
    try:
        yield held
    finally:
        held.release()


def drop_dead(store: Store, bucket: str) -> None:
    """Remove the lease of a run that was killed after its work was done: perhaps no later run does it."""
    with suppress(StoreError):
        if not _alive(store, bucket, store.get(bucket, LEASE_KEY).data):
            store.erase(bucket, LEASE_KEY)


def _read(store: Store, bucket: str) -> Content | None:
    try:
        return store.get(bucket, LEASE_KEY)
    except NotFound:
        return None


def _run_of(content: bytes) -> str:
    """The id of the run that wrote a lease; "" if it has none."""
    try:
        return str(json.loads(content).get("run", ""))
    except (ValueError, AttributeError):
        return ""


def _remove_older(store: Store, bucket: str) -> None:
    """Remove the older versions of the lease from a bucket that has, or had, versioning."""
    with suppress(StoreError, KeyError):  # no permission, or a server without version ids
        for version in store.versions_of(bucket, LEASE_KEY) if store.is_versioned(bucket) else ():
            if not version.latest:
                store.delete(bucket, LEASE_KEY, version_id=version.version_id)


def _alive(store: Store, bucket: str, content: bytes) -> str:
    """The holder of a lease, for messages; "" if the lease expired or its process has ended."""
    try:
        other = {key: str(value) for key, value in json.loads(content).items()}
    except (ValueError, AttributeError):
        other = {}
    if other.get("machine") == _myself()["machine"] and _started(other.get("process", "")) != other.get("started"):
        return ""
    try:
        age = store.age(bucket, LEASE_KEY)
    except NotFound:
        return ""
    if age >= EXPIRE_SECONDS:
        return ""
    who = f"{other.get('plan', 'an unknown plan')!r} on {other.get('host', '?')!r}"
    return f"{who} (process {other.get('process', '?')!r}, last renewed {age:.0f} s ago)"


def _myself() -> dict[str, str]:
    """The holder's part of a lease. A later run on the same machine can see from it whether this process still runs."""
    space = Path("/proc/self/ns/pid")  # process ids are unique only within one namespace
    known = space.readlink() if space.exists() else ""
    host, process = socket.gethostname(), str(os.getpid())
    return {"host": host, "machine": f"{host} {known}", "process": process, "started": _started(process)}


def _started(process: str) -> str:
    """When a local process started, in clock ticks since boot; "running" if unknown; "" if it does not run."""
    try:
        fields = Path(f"/proc/{int(process)}/stat").read_text().rpartition(")")[2].split()
        return fields[19]
    except (OSError, ValueError, IndexError):
        pass
    try:
        os.kill(int(process), 0)  # a Unix without /proc
    except (OSError, ValueError):
        return ""
    return "running"


def _busy(bucket: str, who: str) -> PlanBusy:
    return PlanBusy(
        f"s3://{bucket} is being migrated to by {who}.",
        next_move=f"Wait for it. The lock of a killed migration expires after {EXPIRE_SECONDS:.0f} s.",
    )


def _content(holder: dict[str, str]) -> bytes:
    """The body of a lease. It is never the same twice, so its ETag identifies the last write."""
    return json.dumps({**holder, "token": uuid.uuid4().hex}).encode()
