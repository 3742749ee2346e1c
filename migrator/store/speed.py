"""Measures how fast the servers of a lake are, with a few small requests of the kinds that a copy sends.

What is written lies below a random key of our own in the target bucket, and is deleted again, whatever happens. The
requests are sent without boto3, as those of the copies are (:mod:`migrator.store.wire`).
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from migrator.errors import MigratorError, StoreError, internal_error
from migrator.store.own_keys import OWN_PREFIX
from migrator.store.store import Store
from migrator.store.wire import Answer, Endpoint, Lost, Wire

LIMIT_SECONDS = 2.0
"""No further step is begun after so many seconds."""
PATIENCE_SECONDS = 5.0
"""Seconds without an answer after which one request fails."""
SMALL, LARGE = 1 << 10, 4 << 20
"""Bytes in the small and in the large object."""
ALONE = 3
"""How often one request is sent by itself."""


@dataclass(frozen=True)
class Wanted:
    """What to measure. ``at_once``: how many small requests. ``write``: the target exists, and may be written to.
    ``large``: write a large object, too. ``samples``: (bucket, key) of objects of the lake that may be read;
    ``large_sample``: with its size in bytes."""

    at_once: int
    write: bool
    large: bool = False
    samples: Sequence[tuple[str, str]] = ()
    large_sample: tuple[str, str, int] | None = None


@dataclass
class Speeds:
    """What was measured: requests per second, and bytes per second; None where it was not."""

    copies: float | None = None
    reads: float | None = None
    seconds_per_read: float | None = None
    """How long one small read takes while no other request is sent."""
    copied_bytes: float | None = None
    read_bytes: float | None = None
    honours_conditions: bool | None = None
    trouble: str = ""
    """Why something was not measured; "" if everything was."""
    left: list[str] = field(default_factory=list)
    """The addresses of objects that could not be removed."""


class _Stopped(Exception):
    """A step could not be done, or may not be begun; the text says why."""


def measure(store: Store, bucket: str, wanted: Wanted) -> Speeds:
    """Measure, and remove what was written to ``bucket``, the target. Raises no error of the server."""
    source, target = store.ends
    read_from, write_to = source.endpoint(), target.endpoint()
    if read_from is None or write_to is None:
        return Speeds(trouble="the server is reached through a proxy")
    trial = _Trial(target, bucket, wanted, (read_from, write_to), across=source is not target)
    threading.Thread(target=trial.run, name="migrator-speed", daemon=True).start()
    try:
        trial.ended.wait()
    finally:  # also after Ctrl-C: what is under way may still write. (A thread that was joined once counts as ended.)
        trial.stopping = True
        trial.ended.wait()
        trial.speeds.left = trial.sweep()
    return trial.speeds


class _Trial:
    """One measurement: the steps run in an event loop of their own, beside the caller's thread."""

    def __init__(
        self, target: Store, bucket: str, wanted: Wanted, ends: tuple[Endpoint, Endpoint], *, across: bool
    ) -> None:
        self._target, self._bucket, self._wanted, self._ends, self._across = target, bucket, wanted, ends, across
        self._below = f"{OWN_PREFIX}speed-{uuid.uuid4().hex}"
        self._written: dict[str, str | None] = {}
        """Key → version id, of what was written for sure."""
        self._sent = False
        """True once a request was sent that writes."""
        self.stopping = False
        self.ended = threading.Event()
        self.speeds = Speeds()

    def run(self) -> None:
        """Do all steps. What goes wrong is noted in ``speeds``."""
        try:
            asyncio.run(self._run())
        except _Stopped as stop:
            self.speeds.trouble = str(stop)
        except MigratorError as error:
            self.speeds.trouble = error.message
        except (Lost, OSError, asyncio.TimeoutError):
            self.speeds.trouble = "the server did not answer in time"
        except Exception as error:
            self.speeds.trouble = internal_error(error)
        finally:
            self.ended.set()

    def sweep(self) -> list[str]:
        """Delete whatever is still there, and return the addresses of what cannot be deleted."""
        if not self._sent:
            return []
        left = []
        try:
            keys = {found.key for found in self._target.list(self._bucket, self._below)}
            if any(self._written.values()):
                keys |= {version.key for version in self._target.list_versions(self._bucket, self._below)}
        except StoreError:
            return [f"s3://{self._bucket}/{self._below}"]
        for key in sorted(keys):
            try:
                self._target.erase(self._bucket, key)
            except StoreError:
                left.append(f"s3://{self._bucket}/{key}")
        return left

    # -- the steps -----------------------------------------------------------------------------------

    async def _run(self) -> None:
        self._deadline = time.monotonic() + LIMIT_SECONDS
        reader = self._reader = Wire(self._ends[0])
        self._writer = Wire(self._ends[1]) if self._across else reader
        try:
            await self._steps()
        finally:
            try:
                await self._remove()
            finally:
                reader.close()
                self._writer.close()

    async def _steps(self) -> None:
        speeds, wanted = self.speeds, self._wanted
        if wanted.write:
            first = await self._put("source", b"." * SMALL)
            own = [(self._bucket, f"{self._below}/source")] * wanted.at_once
            await self._rate(self._read(self._writer, place, "HEAD") for place in own)  # makes the connections
            if not self._across:
                await self._measure_reads(self._writer, own)
            speeds.copies, _ = await self._rate(self._copy(f"copy-{n}", first) for n in range(wanted.at_once))
            if not self._across:
                speeds.honours_conditions = await self._refuses_copy(first)
            if wanted.large:
                speeds.copied_bytes = await self._large()
        if wanted.samples and (self._across or not wanted.write):
            await self._rate(self._read(self._reader, place, "HEAD") for place in wanted.samples)
            await self._measure_reads(self._reader, wanted.samples)
        if wanted.large_sample is not None and self._across:
            *place, size = wanted.large_sample
            size = min(size, LARGE)
            _, seconds = await self._rate([self._read(self._reader, (place[0], place[1]), size=size)])
            speeds.read_bytes = size / seconds

    async def _measure_reads(self, wire: Wire, places: Sequence[tuple[str, str]]) -> None:
        """Read them at once, and the first one a few times by itself. The connections are open already."""
        self.speeds.reads, _ = await self._rate(self._read(wire, place) for place in places)
        alone = [await self._rate([self._read(wire, places[0])]) for _ in range(ALONE)]
        self.speeds.seconds_per_read = min(seconds for _, seconds in alone)

    async def _large(self) -> float:
        """Bytes per second of one large copy; between two servers, of what is written."""
        began = time.monotonic()
        etag = await self._put("large", b"." * LARGE)
        if not self._across:
            began = time.monotonic()
            await self._copy("large-copy", etag, source="large")
        return LARGE / max(time.monotonic() - began, 1e-6)

    async def _rate(self, requests: Iterable[Awaitable[object]]) -> tuple[float, float]:
        """Send them all at once; return how many were answered per second, and in how many seconds. Waits for all of
        them also if one fails: a request that is given up may still write."""
        waiting = list(requests)
        try:
            self._go_on()
        except _Stopped:
            for request in waiting:
                request.close()  # type: ignore[attr-defined]  # a coroutine that will not be awaited
            raise
        began = time.monotonic()
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        seconds = max(time.monotonic() - began, 1e-6)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return len(outcomes) / seconds, seconds

    def _go_on(self) -> None:
        if self.stopping or time.monotonic() > self._deadline:
            raise _Stopped("the server is so slow that measuring it was stopped")

    # -- single requests -----------------------------------------------------------------------------

    async def _put(self, name: str, body: bytes) -> str:
        """Write an object and return its ETag."""
        self._go_on()
        return self._wrote(name, await self._write(name, {}, body)).headers.get("etag", "").strip('"')

    def _copy(self, name: str, etag: str, source: str = "source") -> Awaitable[Answer]:
        """The request that copies an object: CopyObject on one server, PutObject to another server."""
        return self._put_again(name) if self._across else self._copy_object(name, etag, source)

    async def _put_again(self, name: str) -> Answer:
        return self._wrote(name, await self._write(name, {}, b"." * SMALL))

    async def _copy_object(self, name: str, etag: str, source: str) -> Answer:
        return self._wrote(name, await self._write(name, self._copying(etag, source)))

    async def _refuses_copy(self, etag: str) -> bool:
        """True if the server honours the condition that a copy must not replace an object."""
        self._go_on()
        answer = await self._write("copy-0", self._copying(etag, "source"))
        if answer.status == 200:
            self._written["copy-0"] = None  # perhaps another version
        return answer.status == 412

    def _copying(self, etag: str, source: str) -> dict[str, str]:
        return {
            "x-amz-copy-source": f"/{quote(self._bucket)}/{quote(self._below)}/{source}",
            "x-amz-copy-source-if-match": f'"{etag}"',
            "x-amz-metadata-directive": "COPY",
            "x-amz-tagging-directive": self._target.tagging_directive,
            "if-none-match": "*",
        }

    async def _write(self, name: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        self._sent = True
        key = f"{self._below}/{name}"
        return await self._writer.request(
            "PUT", self._bucket, key, headers=headers, body=body, patience=PATIENCE_SECONDS
        )

    def _wrote(self, name: str, answer: Answer) -> Answer:
        if answer.status != 200:
            raise _Stopped(f"the target answered a trial request with the status {answer.status}")
        self._written[name] = answer.headers.get("x-amz-version-id")
        return answer

    async def _read(self, wire: Wire, place: tuple[str, str], method: str = "GET", size: int = SMALL) -> None:
        headers = {"range": f"bytes=0-{size - 1}"} if method == "GET" else {}
        answer = await wire.request(method, *place, headers=headers, patience=PATIENCE_SECONDS)
        if answer.status not in (200, 206):
            raise _Stopped(f"the server answered a trial read with the status {answer.status}")

    async def _remove(self) -> None:
        """Delete at once what was written. What is not deleted here is found by :meth:`sweep`."""

        async def delete(name: str, version: str | None) -> None:
            query = [] if version is None else [("versionId", version)]
            key = f"{self._below}/{name}"
            await self._writer.request("DELETE", self._bucket, key, query=query, patience=PATIENCE_SECONDS)

        versioned = any(self._written.values())
        known = [(name, version) for name, version in self._written.items() if version is not None or not versioned]
        await asyncio.gather(*(delete(*one) for one in known), return_exceptions=True)
