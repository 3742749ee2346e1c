"""Names and keys are untrusted: in no report can they move the cursor, change colours or count as markup."""

from __future__ import annotations

import re

import pytest

from migrator.cutover.unregistered import Unregistered
from migrator.migration import Migration
from migrator.reporting.describe import StatusSummary
from migrator.reporting.migration import migration_report
from migrator.reporting.plan import plan_report
from migrator.reporting.relocation import relocation_report
from migrator.reporting.rendering import Report, render
from migrator.reporting.scripts import rewritten_report, summary_report, terminal_diff
from migrator.reporting.status import status_report
from migrator.reporting.tables import tables_report
from migrator.reporting.verification import verification_report
from migrator.results import RunResult, SourceChanges
from migrator.rewriting.relocate import Relocation
from migrator.scripts import Change, Doubt
from migrator.scripts.files import Skipped
from migrator.scripts.stage import RewrittenFile, RewrittenFiles
from migrator.verifying.checks import Check, PrefixTotal, Verification
from reporting.described import EVIL, MARKUP, finding, plan, table


def reports(name: str) -> dict[str, Report]:
    """Every report that shows names, with this name in all places."""
    evil = finding("x", 1, place=name, message=name, next_move=name)
    lonely = Unregistered("table", name, name, name, name)
    check = Check("c", "u", 1, 1, [name], [name])
    check.skip(name)
    verification = Verification([PrefixTotal(name, 1, 1, 1, 1)], [check], late=SourceChanges(1, 0, 0, [name]))
    verification.unregistered = [lonely]
    verification.superseded_by = name
    described = plan(
        plan=name,
        config=name,
        endpoint_url=name,
        target_bucket=name,
        prefixes=[{"source": name, "target": name, "objects": 1, "bytes": 1}],
        tables=[table(identifier=name, state=name)],
        namespaces=[{"catalog": name, "namespace": name, "key": name, "old": name, "new": name}],
        findings=[evil, evil, finding("bucket-beside", 1, place=f"s3://{name}/"), finding("y", 2, place=name)],
        unregistered=[lonely.to_json()],
        changes=[{"what": name, "before": name, "after": name}],
        target_catalogs={name: name},
    )
    named = {"table": name, "catalog": "c"}
    status = StatusSummary(
        plan=name,
        phase="cut over in part",
        objects=1,
        objects_done=1,
        bytes=1,
        bytes_done=1,
        versions=0,
        versions_done=0,
        pointers=2,
        pointers_changed=1,
        events=[{"at": "now", "event": name}],
        tables=[{**named, "cut_over": True}, {**named, "cut_over": False}],
        target_catalogs={name: name},
        superseded_by=name,
        copy_carried_out=name,
        not_checked=name,
    )
    bad_table = table(identifier=name, features=[name], writers=[name], problems=[name], migratable=False)
    relocation = Relocation(metadata_location=name, location=name, format_version=2, snapshots=1, notes=[name])
    looked = RewrittenFile(name, (Change(1, name, name),), (Doubt(1, name, "r"),), name, written=True, backup=name)
    scripts = RewrittenFiles(True, [looked], [Skipped(name, name, True), Skipped(name, name, False)])
    return {
        "scripts": [*rewritten_report(scripts), *summary_report(scripts), *terminal_diff(f"--- {name}\n+{name}\n")],
        "plan": plan_report(described),
        "verification": verification_report(verification),
        "no cutover": migration_report(Migration(RunResult(), [check], None), described),
        "migration": migration_report(Migration(RunResult(), [check], verification), described),
        "status": status_report(status),
        "tables": tables_report([bad_table]),
        "relocation": relocation_report(relocation),
    }


@pytest.mark.parametrize("width", [None, 80, 200])
@pytest.mark.parametrize("report", sorted(reports("")))
def test_names_cannot_move_the_cursor(report: str, width: int | None) -> None:
    text = render(reports(EVIL)[report], width)
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "\\x1b[2J" in text
    styled = render(reports(EVIL)[report], width, colours=True)
    assert set(re.findall(r"\x1b[^m]*m?", styled)) <= {f"\x1b[{code}m" for code in (0, 1, 2, 31, 32, 33, 36)}


@pytest.mark.parametrize("report", sorted(reports("")))
def test_markup_in_names_is_shown_as_it_is(report: str) -> None:
    plain = render(reports(MARKUP)[report])
    assert MARKUP in plain
    styled = render(reports(MARKUP)[report], colours=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", styled) == plain
