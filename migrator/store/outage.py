"""How long requests wait for a server that does not answer.

A server that restarts refuses connections for a while, or a gateway answers in its place. Once a server has answered,
each request is retried for :data:`PATIENCE` seconds after such a failure. If it has never answered, the endpoint is
probably wrong, and the request fails after :data:`FIRST_ATTEMPTS` attempts, within seconds.
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
"""Seconds from the first failure, while the server answers no request."""
SHORTEST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts: doubled with each attempt."""

FIRST_ATTEMPTS = 2
"""How often boto3 tries to connect to a server that has never answered: by itself it would try for half a minute."""

GATEWAY = frozenset({502, 503, 504})
"""The statuses of a gateway (proxy, load balancer) whose server does not answer."""

NEVER_SENT = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
"""No connection was made, so the server has not received the request: any request may be repeated."""


class Outage:
    """Whether a server answers. Shared by all requests of this process to one server; safe between threads."""

    def __init__(self) -> None:
        self.known = False
        """The server has answered once."""
        self.answers = 0
        self._since: float | None = None

    def heard(self, status: int) -> None:
        """An answer with this status came."""
        if status in GATEWAY:
            self.failed()
        elif status != 500:  # a server answers 500 while it starts, and also if it has an error
            self.known = True
            self.answers += 1
            self._since = None

    def failed(self) -> None:
        """No answer came, or only that of a gateway."""
        if self._since is None:
            self._since = time.monotonic()

    def lasts(self) -> bool:
        """True if the server does not answer at present, and a request should wait for it."""
        since = self._since
        return self.known and since is not None and time.monotonic() - since < PATIENCE


class Patience:
    """How long one request, which may be sent several times, waits during an outage."""

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._answers = outage.answers
        self._began: float | None = None
        self._pause = SHORTEST_PAUSE

    def pause(self) -> float | None:
        """Call it after a failure. Returns the seconds to wait if the server answers no request at present; then the
        attempt does not count. Returns None if other requests get answers, so that the failure concerns this request
        only, or if the request has waited long enough."""
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
        """``once``: this client must not repeat a request that the server may have received."""
        self._outage = outage
        self._given_up = given_up
        self._faults = NEVER_SENT if once else (*NEVER_SENT, ConnectionClosedError)
        self._once = once

    def __call__(
        self, response: Any, caught_exception: Any, request_dict: dict[str, Any], attempts: int, **_: Any
    ) -> float | None:
        """The delay in seconds before the next attempt, False for no further attempt, None to leave it to boto3.
        ``attempts``: 1 after the first one."""
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
        if not self._outage.known and isinstance(caught_exception, NEVER_SENT) and attempts >= FIRST_ATTEMPTS:
            return False
        patience = request_dict["context"].setdefault("migrator_patience", Patience(self._outage))
        pause: float | None = patience.pause()
        return pause
