"""The child process that copies: how it ends, and how it reports errors."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import Any

import pytest

from migrator.concurrency.processes import Channel, Child
from migrator.copying import copy_process
from migrator.copying.copy_process import CopyProcess
from migrator.copying.copy_thread import Event, Report
from migrator.copying.options import Options
from migrator.copying.outcomes import NotCopied
from migrator.copying.setup import Setup
from migrator.errors import MigrationFailed, StoreError

SETUP = Setup({"endpoint_url": "http://127.0.0.1:9"}, None, "data-lake", Options())


def until_end(events: SimpleQueue[Event]) -> list[Event]:
    taken = [events.get(timeout=60)]
    while not taken[-1].ended:
        taken.append(events.get(timeout=60))
    return taken


@pytest.mark.parametrize("how", ["finish", "give_up", "finish and give_up"])
def test_a_child_with_nothing_to_do_ends_when_it_is_asked_to(how: str) -> None:
    events: SimpleQueue[Event] = SimpleQueue()
    copying = CopyProcess(SETUP, events.put)
    for call in how.split(" and "):
        getattr(copying, call)()
    (last,) = until_end(events)
    copying.join()
    assert last.fault is None and last.outcomes == []
    assert copying._child.wait() == 0


def test_a_setup_that_does_not_work_is_the_child_s_fault_in_our_words() -> None:
    events: SimpleQueue[Event] = SimpleQueue()
    copying = CopyProcess(Setup({"endpoint_url": "ftp://x"}, None, "data-lake", Options()), events.put)
    copying.finish()
    (last,) = until_end(events)
    assert last.fault is not None and "ftp://x" in str(last.fault)
    copying.give_up()
    copying.join()


def dies(parent: Channel) -> None:
    parent.receive()
    parent.send(Event([], Report(3, 0.5, 7)))


def talks_nonsense(parent: Channel) -> None:
    parent.receive()
    parent.send("no event")
    parent.receive()


@pytest.mark.parametrize(
    ("program", "fault"), [(dies, r"A copying process died \(exit code 0\)"), (talks_nonsense, "Internal error")]
)
def test_a_child_that_ends_is_reported_at_once(monkeypatch: pytest.MonkeyPatch, program: Any, fault: str) -> None:
    monkeypatch.setattr(copy_process, "Child", lambda _: Child(program))
    events: SimpleQueue[Event] = SimpleQueue()
    copying = CopyProcess(SETUP, events.put)
    last = until_end(events)[-1]
    copying.copy([])  # no process reads it, and that is no error
    copying.join()
    assert isinstance(last.fault, MigrationFailed)
    with pytest.raises(MigrationFailed, match=fault):
        raise last.fault
    assert last.report == (Report(3, 0.5, 7) if program is dies else Report())


def test_an_error_that_cannot_be_pickled_keeps_its_message() -> None:
    error = StoreError("It holds a lock.", next_move="Let go.")
    error.lock = threading.Lock()  # type: ignore[attr-defined]
    sent = copy_process._sendable(NotCopied(3, error))
    assert isinstance(sent, NotCopied) and (sent.id, str(sent.error)) == (3, "It holds a lock. Let go.")
