"""Reads whole small objects, and the heads of objects, by requests of our own, for callers in any thread.

A plan, a comparison and a verification read thousands of metadata files, manifest lists and manifests, and boto3 takes
3 to 4 ms of CPU time for each request, ten times as long as :mod:`migrator.store.wire`. Whatever is not a complete
answer about the object is left to boto3, which follows redirects, waits for the server, and reports what is wrong.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterable, Mapping

from migrator.errors import MigratorError
from migrator.store.answers import RequestIds
from migrator.store.retries import count_left_to_boto3
from migrator.store.wire import Answer, Endpoint, Lost, Wire

MOST_BYTES = 8 << 20
"""Larger objects are left to boto3, which reads them piece by piece."""
IDLE_SECONDS = 3.0
"""How long the thread and its connections stay after the last request."""
_OF_THE_BUCKET = frozenset({301, 302, 307, 308, 400, 401, 403})
"""Statuses that every other object of the bucket would get as well: it is in another region, say."""


class QuickReads:
    """Sends the requests of all threads to one server, in one event loop. Its thread begins with the first request, and
    ends when there is none for :data:`IDLE_SECONDS`."""

    def __init__(self, endpoint: Endpoint | None, request_ids: RequestIds | None = None) -> None:
        """``endpoint`` None: only boto3 can reach the server, so everything is left to it. ``request_ids``: those of
        the other clients of this server."""
        self._endpoint, self._request_ids = endpoint, request_ids or RequestIds()
        self._lock = threading.Lock()
        self._started: tuple[asyncio.AbstractEventLoop, Wire] | None = None
        self._process = 0
        self._under_way = 0
        self._idle_since = 0.0
        self._left_to_boto3: set[str] = set()

    def get(self, bucket: str, key: str, etag: str | None) -> Answer | None:
        """The answer to GetObject, with status 200, its ETag and the whole body; None if boto3 should send the request:
        the object is large or missing, its ETag is not ``etag``, or no such answer came."""
        return self._answer("GET", bucket, key, headers={"if-match": f'"{etag}"'} if etag else {})

    def head(self, bucket: str, key: str, version_id: str | None = None) -> Answer | None:
        """The answer to HeadObject, with status 200 and the ETag; None as in :meth:`get`."""
        return self._answer("HEAD", bucket, key, query=[("versionId", version_id)] if version_id is not None else [])

    def _answer(
        self,
        method: str,
        bucket: str,
        key: str,
        *,
        query: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> Answer | None:
        if self._endpoint is None or bucket in self._left_to_boto3:
            return None
        loop, wire = self._begin(self._endpoint)
        try:
            request = wire.request(method, bucket, key, query=query, headers=headers, most=MOST_BYTES)
            sent = asyncio.run_coroutine_threadsafe(request, loop)
            try:
                answer = sent.result()
            except BaseException:
                sent.cancel()
                raise
        except (Lost, MigratorError) as error:
            if isinstance(error, Lost):
                count_left_to_boto3(None)
            return None
        finally:
            self._end()
        count_left_to_boto3(answer.status)
        if answer.status in _OF_THE_BUCKET:
            self._left_to_boto3.add(bucket)
        complete = answer.status == 200 and answer.headers.get("etag")
        return answer if complete and self._request_ids.is_new(answer.headers) else None

    # -- the thread ----------------------------------------------------------------------------------

    def _begin(self, endpoint: Endpoint) -> tuple[asyncio.AbstractEventLoop, Wire]:
        """The loop for one more request, which :meth:`_end` follows."""
        with self._lock:
            if self._started is None or self._process != os.getpid():  # a fork has no threads
                loop, wire = asyncio.new_event_loop(), Wire(endpoint)
                self._started, self._process, self._under_way = (loop, wire), os.getpid(), 0
                threading.Thread(target=self._serve, args=(loop, wire), name="migrator-reader", daemon=True).start()
            self._under_way += 1
            return self._started

    def _end(self) -> None:
        with self._lock:
            self._under_way -= 1
            self._idle_since = time.monotonic()

    def _serve(self, loop: asyncio.AbstractEventLoop, wire: Wire) -> None:
        loop.call_later(IDLE_SECONDS, self._stop_if_idle, loop)
        try:
            loop.run_forever()
        finally:
            wire.close()
            loop.run_until_complete(asyncio.sleep(0))  # the connections end in the loop
            loop.close()

    def _stop_if_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            left = self._idle_since + IDLE_SECONDS - time.monotonic()
            if not self._under_way and left <= 0:
                self._started = None  # the next request begins another thread
                loop.stop()
                return
        loop.call_later(max(left, IDLE_SECONDS / 2), self._stop_if_idle, loop)
