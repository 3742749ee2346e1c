"""Collects periodically, and answers scrapes with the last result."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from threading import Event

from prometheus_client import start_http_server

from migrator.errors import ConfigError, MigratorError, internal_error, outside_error, redacted
from migrator.monitoring.exposition import LakeCollector, registry_of
from migrator.monitoring.measures import LakeMeasures

Say = Callable[[str], None]


class Service:
    """Calls ``collect`` in the thread that runs the service, so never twice at once. After a failed collection the last
    numbers stay, and the failure is counted."""

    def __init__(self, collect: Callable[[], LakeMeasures], say: Say) -> None:
        """``say`` gets one line about each collection."""
        self._collect, self._say = collect, say
        self.collector = LakeCollector()

    def serve(self, host: str, port: int) -> int:
        """Answer scrapes from now on, in threads that end with the program. Returns the port, which is a free one for
        0. Raises ConfigError for an address that cannot be listened on."""
        try:
            server, _ = start_http_server(port, host, registry_of(self.collector))
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or str(error)
            raise ConfigError(f"--listen: {host}:{port} cannot be listened on: {said}.") from error
        return int(server.server_port)

    def run(self, every: float, stop: Event) -> None:
        """Collect, and again ``every`` seconds after the end of each collection, until ``stop`` is set."""
        while not stop.is_set():
            self.collect_once()
            stop.wait(every)

    def collect_once(self) -> bool:
        """One collection. Returns whether it succeeded."""
        began, before = time.monotonic(), self.collector.status
        try:
            measures = self._collect()
        except Exception as error:  # scrapes must continue and show any error
            self.collector.status = replace(
                before,
                up=False,
                collections=before.collections + 1,
                failures=before.failures + 1,
                failed_at=time.time(),
            )
            self._say(f"The collection failed: {_said(error)}")
            return False
        seconds = time.monotonic() - began
        self.collector.status = replace(
            before,
            measures=measures,
            up=True,
            collections=before.collections + 1,
            succeeded_at=time.time(),
            seconds=seconds,
        )
        self._say(_summary(measures, seconds))
        return True


def _said(error: Exception) -> str:
    if isinstance(error, MigratorError):
        return redacted(str(error))
    return outside_error(error) or internal_error(error)


def _summary(measures: LakeMeasures, seconds: float) -> str:
    objects = sum(layer.objects for layer in measures.layers)
    unread = f", {measures.unreadable:,} of them not readable" if measures.unreadable else ""
    missing = "" if measures.complete else " Not everything could be read."
    return f"Collected {objects:,} objects and {len(measures.tables):,} tables{unread} in {seconds:.1f} s.{missing}"
