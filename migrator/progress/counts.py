"""Counters over all processes of a run."""

from __future__ import annotations

import threading


class Count:
    """A number that only grows. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total = 0

    @property
    def total(self) -> int:
        """The number since this process began."""
        return self._total

    def add(self, more: int = 1) -> None:
        """Count ``more``."""
        with self._lock:
            self._total += more


RETRIES = Count()
"""Retries of requests and of other work after a failure: by this process and, as far as they have reported, by its
children (:mod:`migrator.concurrency.processes`)."""
