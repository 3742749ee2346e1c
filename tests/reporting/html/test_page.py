"""The page: one file that loads nothing, says what the plan says, and lets no name be more than text."""

from __future__ import annotations

import base64
import hashlib
import re
from itertools import pairwise
from typing import Any

import pytest

from migrator.planfile.log import Entry
from migrator.reporting.html import MARKER, html_report
from migrator.reporting.html.certificate import certificate_of
from migrator.reporting.html.in_short import badge_of, next_moves
from reporting.described import EVIL, finding
from reporting.html.made import Page, entries, facts, full_table, verified

HOSTILE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{7*7}}</style>" + EVIL
RUN = ("started", "copied", "rewritten", "compared", "cutover-begun", "cutover-done")


@pytest.fixture(autouse=True)
def details_of_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries made by hand have no numbers."""
    monkeypatch.setattr("migrator.reporting.html.page.numbers_of", lambda event, detail: str(detail)[:50])


def hostile_page(name: str = HOSTILE) -> str:
    evil = [finding(code, 1, severity, place=name, message=name, next_move=name) for code, severity in FINDINGS]
    bad = full_table(identifier=name, state=name, problems=[name], new_location=name, data_bytes=9)
    bad["buckets"] = {name: {"files": 1, "bytes": 1}, "b": {"files": 1, "bytes": 1}}
    log = tuple(
        Entry(n, "2026-11-27T12:00:00Z", event, detail, name, name)
        for n, (event, detail) in enumerate([("started", {}), verified(failed=1, left_behind=name)], 1)
    )
    described = {
        "plan": name,
        "target_bucket": name,
        "endpoint_url": name,
        "phase": name,
        "created": name,
        "catalogs": {name: name},
        "findings": evil,
        "tables": [bad],
        "changes": [{"what": name, "before": name, "after": name}],
        "prefixes": [{"source": f"s3://{name}", "target": f"s3://{name}/x/", "objects": 1, "bytes": 2, "actions": {}}],
    }
    log[1].detail["checks"][0].update(name=name, unit=name, problems=[name], reasons={name: 1})  # type: ignore[index]
    return html_report(facts(log, described=described))


FINDINGS = (("odd-code", "block"), ("unmapped-path", "warn"), ("spanning-table", "info"))


def test_a_name_is_only_text() -> None:
    page = Page(hostile_page())
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "embed", "link", "form", "input", "base"}
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on") or a == "style"]
    assert page.text.count("<script>alert(1)</script>") > 15 and "{{7*7}}" in page.text
    assert "\x1b" not in page.text and "\u202e" not in page.text


def test_the_page_loads_nothing() -> None:
    source = hostile_page("s3://bronze/x")
    page = Page(source)
    links = [value or "" for _, attributes in page.elements for name, value in attributes.items() if name in LINKS]
    assert links and all(link.startswith("#") for link in links)
    style = re.search(r"<style>(.*?)</style>", source, re.DOTALL)
    assert style is not None and not re.search(r"url\(|@import|@font-face", style[1])
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy is not None and policy.startswith("default-src 'none'") and f"style-src 'sha256-{digest}'" in policy


LINKS = ("href", "src", "xlink:href", "action", "data", "poster", "srcset")


def test_it_can_be_read_without_eyes_or_a_mouse() -> None:
    source = html_report(facts(entries(*RUN, verified()), described={"findings": [finding("odd-code", 1)]}))
    page = Page(source)
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    inside = [(a["href"] or "")[1:] for a in page.all("a")]
    assert set(inside) <= set(ids) and "main" in inside
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(a.get("scope") for a in page.all("th"))
    pictures = [a for a in page.all("div") if a.get("role") == "img"]
    assert len(pictures) == len(list(page.all("svg"))) > 2 and all(a["aria-label"] for a in pictures)
    assert all(a["tabindex"] == "0" for a in page.all("div") if a.get("class") == "scroll")
    assert next(page.all("html"))["lang"] == "en" and source.startswith(MARKER)


def test_a_large_plan_makes_a_small_page() -> None:
    """The page does not grow with the number of objects, only with tables, prefixes and findings. Their lists are cut,
    and the page says so."""
    key = "k" * 200
    described: dict[str, Any] = {
        "tables": [full_table(identifier=f"c.db.{key}{n}", data_bytes=n) for n in range(20_000)],
        "prefixes": [
            {"source": f"s3://b{n}/{key}/", "target": f"s3://lake/{n}{key}/", "objects": 500, "bytes": n, "actions": {}}
            for n in range(5_000)
        ],
        "findings": [finding(f"code-{n % 90}", n, place=f"s3://b/{key}{n}") for n in range(9_000)],
        "changes": [{"what": "w", "before": key, "after": key}] * 5_000,
    }
    page = html_report(facts(entries(*RUN * 200, verified()), described=described))
    assert len(page.encode()) < 1_000_000
    text = Page(page).text
    for said in ("of 20,000", "and 4,800 more prefixes", "and 80 more places", "and 4,800 more.", "of 1,201 entries"):
        assert said in text


@pytest.mark.parametrize(
    ("phase", "log", "blocked", "tone", "command"),
    [
        ("planned", (), False, "wait", "migrator migrate"),
        ("planned", (), True, "bad", "migrator plan"),
        ("copying", ("started",), False, "wait", "migrator migrate"),
        ("finished", (*RUN, verified(), "finished"), False, "good", "migrator verify"),
        ("finished", (*RUN, verified(skipped=2), "finished"), False, "wait", "migrator verify"),
        ("finished", (*RUN, verified(), "finished", verified(failed=1)), False, "bad", "migrator repair"),
        ("cut over", RUN, False, "wait", "migrator verify"),
        ("cutting over", RUN[:-1], False, "bad", "migrator migrate"),
        ("retired", (*RUN, verified(), "retired"), False, "good", "migrator verify"),
        ("rolling back", (*RUN, verified(), "rollback-begun"), False, "bad", "migrator rollback"),
        ("rolled back in part", (*RUN, verified(), "catalog-put-back"), False, "bad", "migrator rollback"),
        ("rolled back", (*RUN, verified(), "rolled-back"), False, "wait", "migrator plan"),
    ],
)
def test_each_state_has_its_colour_and_a_next_move(
    phase: str, log: tuple[Any, ...], blocked: bool, tone: str, command: str
) -> None:
    blocking = [finding("odd-code", 1, "block")] if blocked else []
    made = facts(entries(*log), described={"phase": phase, "findings": blocking, "blocked": blocked})
    certificate = certificate_of(made)
    assert badge_of(made.plan, certificate).tone == tone
    assert any(command in move for _, move in next_moves(made.plan, certificate))
    text = Page(html_report(made)).text
    assert badge_of(made.plan, certificate).text in text and command in text


def test_a_seal_is_never_green_for_what_is_not_proven() -> None:
    for log in ((), RUN, (*RUN, verified(failed=1)), (*RUN, verified(skipped=1)), (*RUN, verified(), "repaired")):
        page = Page(html_report(facts(entries(*log))))
        assert [a["class"] for a in page.all("div") if (a.get("class") or "").startswith("seal")] != ["seal good"]
    page = Page(html_report(facts(entries(*RUN, verified()))))
    assert [a["class"] for a in page.all("div") if (a.get("class") or "").startswith("seal")] == ["seal good"]


def test_a_check_that_compared_a_part_has_no_tick() -> None:
    text = Page(html_report(facts(entries(*RUN, verified(checked=1, skipped=999))))).text
    assert "✔" not in text and "– not compared in part" in text


def test_a_check_that_compared_nothing_has_no_tick() -> None:
    text = Page(html_report(facts(entries(*RUN, verified(checked=0, skipped=4))))).text
    assert "✔" not in text and "– not compared" in text and "Nothing was compared." in text
