from __future__ import annotations

from migrator.reporting.rendering import render
from migrator.reporting.tables import tables_report
from reporting.described import table


def test_each_table_says_what_it_is_and_if_it_can_be_migrated() -> None:
    rows = [
        table(features=["equality deletes"], writers=["spark"]),
        table(identifier="c.db.v", kind="view"),
        table(identifier="c.db.old", state="migrated", delete_files=0),
        table(identifier="c.db.bad", data_files=None, migratable=False, problems=["encrypted-table"]),
    ]
    assert render(tables_report(rows)).split("\n") == [
        "iceberg.db.t  v2, 1 snapshot, 1 data file (1.5 KiB), 1 delete file",
        "    equality deletes; written by spark",
        "    can be migrated",
        "c.db.v  view",
        "    can be migrated",
        "c.db.old  v2, 1 snapshot, 1 data file (1.5 KiB)",
        "    already at the target",
        "c.db.bad  v2",
        "    blocked: encrypted-table",
        "",
        '4 tables, 1 of them blocked; "migrator plan" says why.',
    ]
    assert render(tables_report(rows[:1])).endswith("\n1 table.")
