"""Many objects copied in a child process, which runs a :class:`~migrator.copying.copy_thread.CopyThread`.

The parent sends ``(method of CopyThread, arguments…)``; the child sends events. See
:mod:`migrator.concurrency.processes` for how.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from dataclasses import replace
from typing import Any

from migrator.concurrency.processes import DYING_SECONDS, Channel, Child, Disconnected, as_migrator_error
from migrator.copying.concurrency_limit import RequestLimits
from migrator.copying.copy_thread import CopyThread, Event, Report, Sink
from migrator.copying.outcomes import Item, NotCopied, Outcome
from migrator.copying.setup import Setup
from migrator.errors import MigrationFailed, MigratorError, internal_error

STOP_SECONDS = 60
"""How long a child may take to end before it is killed."""
ORPHAN_SECONDS = 3
"""How long a child whose parent has ended may take to abort its uploads."""

COPY, SET_LIMITS, FINISH, GIVE_UP = "copy", "set_limits", "finish", "give_up"


class CopyProcess:
    """Copies in a child process; see :class:`~migrator.copying.copy_thread.Copying`. The child ends when this process
    does."""

    def __init__(self, setup: Setup, sink: Sink) -> None:
        self._child = Child(copy_for_parent)
        self._send(setup)
        self._listener = threading.Thread(target=self._listen, args=(sink,), daemon=True)
        self._listener.start()

    def _listen(self, sink: Sink) -> None:
        report = Report()
        fault: MigratorError
        try:
            while True:
                event: Event = self._child.receive()
                report = event.report
                sink(event)
                if event.ended:
                    return
        except Disconnected:
            code = self._child.wait(DYING_SECONDS)
            move = "Run the same command again."
            fault = MigrationFailed(f"A copying process died (exit code {code}).", next_move=move)
        except Exception as error:
            fault = MigrationFailed(internal_error(error))
        sink(Event([], report, ended=True, fault=fault))

    def _send(self, *message: Any) -> None:
        with suppress(Disconnected):  # it died: the listener reports that
            self._child.send(message)

    def copy(self, batch: list[Item]) -> None:
        """Begin to copy these items; outcomes come as events."""
        self._send(COPY, batch)

    def set_limits(self, limits: RequestLimits) -> None:
        """Change the limits of requests for this process."""
        self._send(SET_LIMITS, limits)

    def finish(self) -> None:
        """No more items will come: end when the last copy is done."""
        self._send(FINISH)

    def give_up(self) -> None:
        """Stop at once, and abort the uploads that are under way."""
        self._send(GIVE_UP)

    def join(self) -> None:
        """Wait until the process has ended."""
        self._child.wait(STOP_SECONDS)
        self._listener.join()
        self._child.close()


def copy_for_parent(parent: Channel) -> None:
    """The work of the child: do what the parent says until it says "finish" or "give_up", or ends."""

    def report(event: Event) -> None:
        fault = None if event.fault is None else as_migrator_error(event.fault)
        with suppress(Disconnected):
            parent.send(replace(event, outcomes=[_sendable(outcome) for outcome in event.outcomes], fault=fault))

    try:
        (setup,) = parent.receive()
    except Disconnected:
        return
    thread = CopyThread(setup, report)
    message = ""
    while message not in (FINISH, GIVE_UP):
        try:
            message, *arguments = parent.receive()
        except Disconnected:
            thread.give_up()  # the parent was killed: the next run continues where its journal ends
            thread.join(ORPHAN_SECONDS)
            os._exit(1)
        getattr(thread, message)(*arguments)
    # "give_up" may follow "finish".
    threading.Thread(target=_wait_to_give_up, args=(parent, thread), daemon=True).start()
    thread.join()
    os._exit(0)  # the other thread still reads the pipe, and Python cannot shut down meanwhile


def _wait_to_give_up(parent: Channel, thread: CopyThread) -> None:
    with suppress(Disconnected):
        parent.receive()
        thread.give_up()


def _sendable(outcome: Outcome) -> Outcome:
    return replace(outcome, error=as_migrator_error(outcome.error)) if isinstance(outcome, NotCopied) else outcome
