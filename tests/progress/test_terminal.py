"""Bars on a pseudo-terminal, and lines in a pipe."""

from __future__ import annotations

import threading
from contextlib import closing, suppress
from typing import Any, TextIO

import pytest

from migrator.progress import Progress, TerminalProgress
from progress.clock import Clock, Pipe, Terminal


@pytest.fixture
def clock() -> Clock:
    return Clock()


def shown(file: TextIO, clock: Clock) -> TerminalProgress:
    """The progress without its thread, so that its output does not depend on how fast the test is."""
    progress = TerminalProgress(file, clock=clock)
    progress.ticking = False
    return progress


def copy(progress: Progress, clock: Clock, *, name: str = "copying", seconds: int = 40) -> None:
    """A stage that takes this many seconds."""
    with progress.stage(name, objects=seconds * 50, size=seconds * 60_000, unit="objects") as stage:
        for _ in range(seconds):
            clock.now += 1
            stage.advance(50, 60_000)


@pytest.mark.parametrize("columns", [80, 60])
@pytest.mark.parametrize("name", ["copying", "deleting from a-bucket-whose-name-is-as-long-as-names-may-be-63-letters"])
def test_a_bar_fits_its_terminal_and_disappears(clock: Clock, columns: int, name: str) -> None:
    terminal = Terminal(columns)
    progress = shown(terminal.file, clock)
    terminal.file.write("before\n")
    copy(progress, clock, name=name)
    terminal.file.write("after\n")
    terminal.hang_up()
    terminal.read()
    bars = [picture for picture in terminal.pictures if "%" in picture]
    assert len(bars) == 40 and all(len(picture) < columns for picture in terminal.pictures)
    assert name[:7] in bars[20] and "52%" in bars[20] and "1,050 of 2,000 objects" in bars[20]
    assert "50/s" in bars[20] and "19 s left" in bars[20]
    assert terminal.screen == ["before", "after", ""]


def test_a_terminal_may_change_its_width(clock: Clock) -> None:
    terminal = Terminal(80)
    with shown(terminal.file, clock).stage("copying", objects=10) as stage:
        clock.now = 1
        stage.advance()
        terminal.resize(40)
        clock.now = 2
        stage.advance()
    terminal.hang_up()
    terminal.read()
    wide, narrow = [picture.rstrip() for picture in terminal.pictures if "%" in picture]
    assert 60 < len(wide) < 80 and len(narrow) < 40


def test_a_short_stage_does_not_flicker(clock: Clock) -> None:
    terminal = Terminal(80)
    with shown(terminal.file, clock).stage("reading tables", objects=10, unit="tables") as stage:
        for _ in range(4):
            clock.now += 0.1
            stage.advance()
    terminal.hang_up()
    assert terminal.read() == ""


def test_the_inner_stage_is_shown_and_then_the_outer_one_again(clock: Clock) -> None:
    terminal = Terminal(80)
    progress = shown(terminal.file, clock)
    with progress.stage("verifying tables", objects=2, unit="tables") as outer:
        clock.now += 1
        outer.advance()
        with progress.stage("reading rows", unit="rows") as inner:
            clock.now += 1
            inner.advance(5)
        clock.now += 1
        outer.advance()
    terminal.hang_up()
    terminal.read()
    names = [picture.split(" ")[0] for picture in terminal.pictures]
    assert names == ["verifying", "reading", "verifying"] and terminal.screen == [""]


def test_an_error_and_an_interruption_leave_nothing(clock: Clock) -> None:
    terminal = Terminal(80)
    progress = shown(terminal.file, clock)
    with suppress(KeyboardInterrupt), progress.stage("copying", objects=3) as stage:
        clock.now += 1
        stage.advance()
        raise KeyboardInterrupt
    terminal.file.write("Interrupted.\n")
    terminal.hang_up()
    terminal.read()
    assert terminal.screen == ["Interrupted.", ""]


def test_a_stage_that_a_generator_still_holds_is_removed(clock: Clock) -> None:
    terminal = Terminal(80)
    progress = shown(terminal.file, clock)

    def pages() -> Any:
        with progress.stage("listing the target") as stage:
            while True:
                clock.now += 1
                stage.advance(1000)
                yield

    with closing(pages()) as held:
        next(held)
        progress.close(KeyError)
        terminal.file.write("Error: no\n")
        next(held)  # it is no longer shown
    terminal.hang_up()
    terminal.read()
    assert terminal.screen == ["Error: no", ""]


# -- a pipe ------------------------------------------------------------------------------------------------


def test_a_pipe_gets_a_plain_line_every_ten_seconds_and_one_at_the_end(clock: Clock) -> None:
    pipe = Pipe()
    copy(shown(pipe, clock), clock)
    assert pipe.getvalue().split("\n") == [
        "copying: 25%, 500 of 2,000 objects, 585.9 KiB, 50 objects/s, 30 s left",
        "copying: 50%, 1,000 of 2,000 objects, 1.1 MiB, 50 objects/s, 20 s left",
        "copying: 75%, 1,500 of 2,000 objects, 1.7 MiB, 50 objects/s, 10 s left",
        "copying: 100%, 2,000 of 2,000 objects, 2.3 MiB, 50 objects/s, 0 s left",
        "copying: finished after 40 s, 2,000 objects, 2.3 MiB, 50 objects/s",
        "",
    ]


def test_short_stages_have_no_end_in_a_pipe_but_a_line_every_ten_seconds(clock: Clock) -> None:
    pipe = Pipe()
    progress = shown(pipe, clock)
    copy(progress, clock, name="one", seconds=4)
    assert pipe.getvalue() == ""
    copy(progress, clock, name="two", seconds=4)
    copy(progress, clock, name="three", seconds=4)
    assert pipe.getvalue() == "three: 50%, 100 of 200 objects, 117.2 KiB, 50 objects/s, 2 s left\n"


def test_what_is_not_known_is_left_out(clock: Clock) -> None:
    pipe = Pipe()
    progress = shown(pipe, clock)
    with progress.stage("listing the target's versions", unit="versions") as stage:
        clock.now = 10
        stage.advance(1234)
    with progress.stage("trying what is allowed", unit=""):
        clock.now = 30
    with pytest.raises(KeyError), progress.stage("reading tables", objects=7, unit="tables"):
        clock.now = 45
        raise KeyError("x")
    assert pipe.getvalue().split("\n") == [
        "listing the target's versions: 1,234 versions, 123 versions/s, for 10 s",
        "listing the target's versions: finished after 10 s, 1,234 versions, 123 versions/s",
        "trying what is allowed: finished after 20 s",
        "reading tables: stopped by KeyError after 15 s, 0 of 7 tables, 0 tables/s",
        "",
    ]


def test_a_stage_in_which_nothing_happens_is_shown_too(clock: Clock) -> None:
    pipe = Pipe()
    progress = shown(pipe, clock)
    with progress.stage("trying what is allowed", unit=""):
        clock.now = 12
        progress.tick()  # what the thread does each second
    assert pipe.getvalue().split("\n")[0] == "trying what is allowed: for 12 s"


class Closed(Pipe):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_output_that_is_not_read_does_not_end_a_run(clock: Clock) -> None:
    copy(shown(Closed(), clock), clock)
    terminal = Terminal(80)
    progress = shown(terminal.file, clock)
    with progress.stage("copying", objects=3) as stage:
        clock.now += 1
        stage.advance()
        terminal.file.close()
        clock.now += 1
        stage.advance()
    terminal.file = Pipe()
    terminal.hang_up()
    terminal.read()


def test_a_thread_shows_a_stage_in_which_nothing_happens(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("migrator.progress.reporter.TICK", 0.001)
    written = threading.Event()

    class Told(Pipe):
        def write(self, text: str) -> int:
            written.set()
            return super().write(text)

    pipe = Told()
    clock.now = 10
    progress = TerminalProgress(pipe, clock=clock)
    with progress.stage("trying what is allowed", unit=""):
        clock.now = 20
        assert written.wait(60)
    assert pipe.getvalue().split("\n")[0] == "trying what is allowed: for 10 s"


def test_an_interruption_amid_the_first_picture_leaves_nothing(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    from migrator.progress.bar import Bar

    terminal = Terminal(80)
    progress = shown(terminal.file, clock)
    refresh = Bar.refresh

    def interrupted(self: Bar, *arguments: Any, **named: Any) -> None:
        refresh(self, *arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(Bar, "refresh", interrupted)
    with suppress(KeyboardInterrupt), progress.stage("copying", objects=3) as stage:
        clock.now += 1
        stage.advance()
    terminal.file.write("Interrupted.\n")
    terminal.hang_up()
    terminal.read()
    assert any("copying" in picture for picture in terminal.pictures) and terminal.screen == ["Interrupted.", ""]
