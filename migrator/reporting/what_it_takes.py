"""The section "What it takes" of a plan's report: requests, bytes, time, money and files, in a few lines."""

from __future__ import annotations

from textwrap import wrap

from migrator.progress.wording import interval
from migrator.reporting.description import (
    ActualDescription,
    CostEstimate,
    EstimatesDescription,
    MeasuredDescription,
    SecondsEstimate,
)
from migrator.reporting.rendering import Report, line, size

KINDS = {
    "list": "LIST",
    "head": "HEAD",
    "get": "GET",
    "get_tags": "GET of tags",
    "put": "PUT",
    "copy": "COPY",
    "part_copy": "COPY of parts",
    "part_put": "PUT of parts",
    "begin_upload": "begun uploads",
    "finish_upload": "finished uploads",
    "delete_marker": "delete markers",
    "own": "for migrator itself",
}
"""Kind of request → its name in the report."""
UNITS = ((1.0, "s"), (60.0, "min"), (3600.0, "h"), (86400.0, "d"))
COARSE = 90
"""From this number on, the next larger unit is used; hours up to 48."""
NO_PRICES = 'not estimated: no prices are given; "migrator explain --prices-example" prints those of AWS'
LABEL, WIDTH = 10, 80
"""The width in columns of the labels, and of all."""


def what_it_takes(estimates: EstimatesDescription) -> Report:
    """The lines of the section, without its title."""
    return [line(row) for label, text in named_estimates(estimates) for row in _rows(label, text)]


def named_estimates(estimates: EstimatesDescription) -> list[tuple[str, str]]:
    """(what, text) of each part of the section; a text may have several lines."""
    parts = [
        ("time", _time(estimates)),
        ("took", _took(estimates["actual"], estimates["seconds"]["total"])),
        ("requests", _requests(estimates)),
        ("bytes", _bytes(estimates)),
        ("money", _money(estimates["cost"])),
        ("files", _files(estimates)),
        ("measured", _measured(estimates["measured"])),
    ]
    return [(label, text) for label, text in parts if text]


def _rows(label: str, text: str) -> list[str]:
    """The label and the text, in lines that fit a terminal."""
    rows = [part for piece in text.split("\n") for part in _wrapped(piece)]
    return [f"  {label if number == 0 else '':<{LABEL}}{row}" for number, row in enumerate(rows)]


def _wrapped(text: str) -> list[str]:
    """Options and commands, such as --prices-example, stay whole."""
    return wrap(text, WIDTH - LABEL - 2, break_long_words=False, break_on_hyphens=False)


def duration(seconds: float) -> str:
    """A duration: ``0.4 s``, ``3 min 12 s``, ``2 h 5 min``."""
    if seconds < 0.05:
        return "under 0.1 s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    return interval(seconds)


def rough(seconds: float) -> tuple[str, str]:
    """An estimated time, as (number, unit), no more exact than it is."""
    amount, unit = seconds, "s"
    for factor, name in UNITS:
        if seconds / factor < 1 and name != "s":
            break
        amount, unit = seconds / factor, name
        if amount < (48 if name == "h" else COARSE):
            break
    return (f"{amount:.0f}" if amount >= 0.95 else f"{max(amount, 0.1):.1f}"), unit


def between(estimate: SecondsEstimate) -> str:
    """``2 to 19 s``, ``40 s to 5 min``."""
    (low, unit), (high, other) = rough(estimate["low"]), rough(estimate["high"])
    if (low, unit) == (high, other):
        return f"{low} {unit}"
    return f"{low} to {high} {unit}" if unit == other else f"{low} {unit} to {high} {other}"


def _time(estimates: EstimatesDescription) -> str:
    seconds, unknown = estimates["seconds"], estimates["seconds_unknown"]
    total = seconds["total"]
    stages = [
        f"{stage} {between(estimate)}"
        for stage, estimate in seconds.items()
        if stage != "total" and estimate is not None and estimate["high"] > 0
    ]
    known = f"\n{', '.join(stages)}" if stages else ""
    if total is None:
        return f"not known: {unknown['total']}{known}"
    return f"{between(total)}, most likely {' '.join(rough(total['likely']))}{known}"


def _took(actual: ActualDescription | None, estimated: SecondsEstimate | None) -> str:
    if actual is None:
        return ""
    total = actual["seconds"]["total"]
    took = ("" if actual["complete"] else "at least ") + duration(total)
    if actual["runs"] > 1:
        took += f" in {actual['runs']} runs"
    if estimated is None:
        return took
    beside = "shorter than estimated" if total < estimated["low"] else "longer than estimated"
    return f"{took}: {'as estimated' if actual['as_estimated'] else beside} ({between(estimated)})"


def _requests(estimates: EstimatesDescription) -> str:
    """The exact numbers, then the estimated ones, the largest first."""
    given = sorted(estimates["requests"].items(), key=lambda one: -one[1]["count"])
    exact = [f"{one['count']:,} {KINDS[kind]}" for kind, one in given if one["exact"] and one["count"]]
    about = [f"{rounded(one['count']):,} {KINDS[kind]}" for kind, one in given if not one["exact"] and one["count"]]
    return "; ".join(part for part in (", ".join(exact), f"about {', '.join(about)}" if about else "") if part)


def rounded(count: int) -> int:
    """The number rounded to two digits."""
    return int(float(f"{count:.2g}"))


def _bytes(estimates: EstimatesDescription) -> str:
    named = {"copied_on_server": "copied on the server", "read": "read here", "written": "written from here"}
    given = {name: int(estimates["bytes"][name]) for name in ("copied_on_server", "read", "written")}
    return ", ".join(f"{size(given[name])} {what}" for name, what in named.items() if given[name])


def _money(cost: CostEstimate | None) -> str:
    if cost is None:
        return NO_PRICES
    currency = cost["currency"]
    parts = f" ({amount(cost['between_servers'])} of it for transfer)" if cost["between_servers"] else ""
    stored = f"; then {amount(cost['second_copy_per_day'])} a day for the second copy, until it is deleted"
    return f"{amount(cost['total'])} {currency}{parts}" + (stored if cost["second_copy_per_day"] else "")


def amount(money: float) -> str:
    """An amount of money: two digits after the point, or more for small amounts, so that it does not show as 0."""
    return f"{money:,.2f}" if money >= 0.1 or money == 0 else f"{money:.2g}" if money >= 0.0001 else "under 0.0001"


def _files(estimates: EstimatesDescription) -> str:
    journal = f"the journal {size(estimates['journal_bytes'])} at the end"
    plan = estimates["plan_bytes"]
    return f"the plan has {size(plan)}, {journal}" if plan is not None else journal


def _measured(measured: MeasuredDescription) -> str:
    if measured["why_not"] is not None:
        return measured["why_not"]
    rate = measured["copies_per_second"] or 0.0
    return f"{rate:,.0f} small copies per second, {measured['requests_at_once']} at once"
