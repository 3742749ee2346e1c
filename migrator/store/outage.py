"""How long a server that is away is waited for.

A server that is restarted refuses connections for a while, or whatever stands before it answers for it. Once a server
has answered, such a failure is retried for :data:`PATIENCE` seconds, by every request; before that, a wrong endpoint
is told at once.
"""

from __future__ import annotations

import threading
import time
from typing import Any

from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
)

PATIENCE = 90.0
"""Seconds from the first failure, as long as nothing is answered."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts: more and more."""

GATEWAY = frozenset({502, 503, 504})
"""What stands before a server answers so while the server is away."""

NEVER_SENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
"""No connection was made, so the request did not get there: it may be repeated whatever it is."""


class Outage:
    """Whether a server answers. Shared by all that ask one server from this process; safe between threads."""

    def __init__(self) -> None:
        self.known = False
        """It has answered once."""
        self.answers = 0
        self._since: float | None = None

    def heard(self, status: int) -> None:
        """An answer with this status came."""
        if status in GATEWAY:
            self.failed()
        elif status != 500:  # that tells nothing: a server that starts says it, and one that has a fault
            self.known = True
            self.answers += 1
            self._since = None

    def failed(self) -> None:
        """No answer came, or none of the server's own."""
        if self._since is None:
            self._since = time.monotonic()

    def lasts(self) -> bool:
        """True if the server is away, and is to be waited for."""
        since = self._since
        return self.known and since is not None and time.monotonic() - since < PATIENCE


class Patience:
    """How one request, which may be sent several times, bears an outage."""

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._answers = outage.answers
        self._began: float | None = None
        self._pause = SHORTEST_PAUSE

    def pause(self) -> float | None:
        """Call it after a failure. How many seconds to wait if the server is away for everybody and is to be waited
        for: then the attempt does not count. None if others are answered, so that the failure is this request's own,
        or if it has been waited for long enough."""
        now = time.monotonic()
        if self._began is None:
            self._began = now
        answered, self._answers = self._outage.answers != self._answers, self._outage.answers
        if answered or now - self._began >= PATIENCE or not self._outage.lasts():
            return None
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return pause


class WaitInBoto3:
    """Makes a boto3 client wait for its server: a handler of ``needs-retry``, to be registered first."""

    def __init__(self, outage: Outage, given_up: threading.Event, *, once: bool) -> None:
        """``once``: this client must not repeat a request that may have got there."""
        self._outage = outage
        self._given_up = given_up
        self._faults = NEVER_SENT if once else (*NEVER_SENT, ConnectionClosedError)
        self._once = once

    def __call__(self, response: Any, caught_exception: Any, request_dict: dict[str, Any], **_: Any) -> float | None:
        if response is not None:
            status = response[0].status_code
            self._outage.heard(status)
            failed = not self._once and (status in GATEWAY or status == 500)
        else:
            failed = isinstance(caught_exception, self._faults)
            if isinstance(caught_exception, (*NEVER_SENT, ConnectionClosedError)):
                self._outage.failed()
        if not failed or self._given_up.is_set():
            return None
        patience = request_dict["context"].setdefault("migrator_patience", Patience(self._outage))
        pause: float | None = patience.pause()
        return pause
