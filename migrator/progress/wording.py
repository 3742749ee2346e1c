"""Progress in words: numbers with their units, and lines that fit a terminal."""

from __future__ import annotations

import math

from migrator.progress.pace import SETTLED, Pace, Stage

LEAST_BAR = 5
"""Columns: a shorter bar is left out."""


def size(count: float) -> str:
    """A number of bytes for people: ``1.5 GiB``."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            return f"{amount:,.0f} B" if unit == "B" else f"{amount:,.1f} {unit}"
        amount /= 1024
    return f"{amount:,.1f} PiB"


def counted(count: int, unit: str) -> str:
    """``1,000 tables``, ``1 table``."""
    return f"{count:,} {unit.removesuffix('s') if count == 1 else unit}"


def interval(seconds: float) -> str:
    """A time in two units at most: ``18 s``, ``3 min 20 s``, ``2 h 5 min``, ``3 d 4 h``."""
    whole = round(seconds)
    for unit, in_seconds, smaller, in_smaller in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= in_seconds:
            rest = whole % in_seconds // in_smaller
            return f"{whole // in_seconds:,} {unit} {rest} {smaller}" if rest else f"{whole // in_seconds:,} {unit}"
    return f"{whole} s"


def speed(rate: float) -> str:
    """A number per second with two digits at least: ``1,234``, ``6.4``, ``0.25``."""
    return f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2g}"


def how_far(stage: Stage) -> str:
    """``952 of 2,118 objects``; "" for a stage that counts nothing."""
    if stage.total is not None:
        return f"{stage.done:,} of {counted(stage.total, stage.unit)}"
    return counted(stage.done, stage.unit) if stage.unit else ""


def how_fast(stage: Stage, pace: Pace, unit: str) -> str:
    """``64/s`` in the unit, or ``85.0 MiB/s`` if the time depends on the bytes; "" if it is not known."""
    if stage.by_size:
        return "" if pace.size_rate is None else f"{size(pace.size_rate)}/s"
    return "" if pace.rate is None or not stage.unit else f"{speed(pace.rate)}{unit and f' {unit}'}/s"


def how_long(stage: Stage, pace: Pace) -> str:
    """``18 s left``; ``for 18 s`` (the time so far) if that is not known; "" if it may be known soon."""
    if pace.left is not None:
        return f"{interval(math.ceil(pace.left))} left"
    return "" if stage.total is not None and pace.seconds < SETTLED else f"for {interval(pace.seconds)}"


def _size_of(stage: Stage) -> str:
    if stage.by_size and stage.size_total:
        return f"{size(stage.size)} of {size(stage.size_total)}"
    return size(stage.size) if stage.size else ""


def plain_line(stage: Stage, pace: Pace) -> str:
    """The state of a stage in one line, for a log file."""
    percent = "" if pace.share is None else f"{int(pace.share * 100)}%"
    long = how_long(stage, pace)
    parts = (percent, how_far(stage), _size_of(stage), how_fast(stage, pace, stage.unit), long)
    return f"{stage.name}: {', '.join(filter(None, parts))}"


def last_line(stage: Stage, pace: Pace, error: str = "") -> str:
    """The result of a stage in one line. ``error``: the error that ended it. ``pace``: the mean one."""
    end = f"stopped by {error}" if error else "finished"
    done = how_far(stage) if error or stage.done != stage.total else counted(stage.done, stage.unit)
    parts = (done, _size_of(stage) if error else stage.size and size(stage.size), how_fast(stage, pace, stage.unit))
    return ", ".join([f"{stage.name}: {end} after {interval(pace.seconds)}", *(str(part) for part in parts if part)])


def terminal_line(stage: Stage, pace: Pace, width: int, dots: str = "…") -> tuple[str, str, bool]:
    """The texts left and right of a bar, and whether there is room for a bar, in ``width`` columns together.

    A long name is shortened to a quarter of the width or more. Then values are left out in this order: the bytes, the
    rate, the count, the time.
    """
    percent = "" if pace.share is None else f" {int(pace.share * 100)}%"
    parts = [how_far(stage), _size_of(stage), how_fast(stage, pace, ""), how_long(stage, pace)]
    for left_out in ((), (1,), (1, 2), (0, 1, 2), (0, 1, 2, 3)):
        right = ", ".join(part for number, part in enumerate(parts) if part and number not in left_out)
        rest = width - len(percent) - len(right) - 2
        if rest >= min(len(stage.name), width // 4):
            break
    if rest < 1:
        return shortened(stage.name, width, dots), "", False
    name = shortened(stage.name, rest, dots)
    with_bar = bool(percent) and rest - len(name) > LEAST_BAR
    return f"{name}{percent or ':'} ", f" {right}" if with_bar else right, with_bar


def shortened(text: str, width: int, dots: str = "…") -> str:
    """``text`` in at most ``width`` columns; a longer text loses its middle."""
    if len(text) <= width:
        return text
    kept = max(width - len(dots), 0)
    end = kept // 2
    return text[: kept - end] + dots[:width] + text[len(text) - end :]
