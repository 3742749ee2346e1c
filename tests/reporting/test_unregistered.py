from __future__ import annotations

from migrator.migration import Migration
from migrator.reporting.json_forms import migration_json
from migrator.reporting.migration import migration_report
from migrator.reporting.plan import plan_report
from migrator.reporting.rendering import render
from migrator.reporting.unregistered import TABLES
from migrator.reporting.verification import verification_report
from migrator.results import RunResult
from migrator.verifying.checks import Check, Verification
from reporting.described import LONELY, plan


def test_tables_that_no_catalog_names_are_listed_at_the_end() -> None:
    before = render(plan_report(plan(unregistered=[LONELY.to_json()])), colours=True)
    assert "\x1b[31m1 table is in no given catalog" in before and "not registered" in before
    good = Check("good", "files", 5)
    verification = Verification([], [good], cut_over=True, unregistered=[LONELY] * 12)
    text = render(verification_report(verification))
    assert verification.ok and "Everything" not in text
    end = text[text.index("12 tables are not registered") :].split("\n")
    assert len(end) == 1 + 4 * TABLES + 1 and "… and 2 more" in end[-1]
    assert end[1] == "  o'db.my-table"
    assert end[2].endswith(
        r"register_table(table => '`o\'db`.`my-table`', metadata_file => "
        r"'s3://data-lake/l\'x\\y/metadata/3.metadata.json')"
    )
    assert "schema_name => 'o''db', table_name => 'my-table', table_location => 's3://data-lake/l''x\\y'" in end[3]
    namespace = {"catalog": type("Catalog", (), {"register_table": staticmethod(lambda *given: given)})}
    command = end[4].split(None, 1)[1]
    assert eval(command, namespace) == (("o'db", "my-table"), LONELY.metadata_location)
    migration = Migration(RunResult(copied=1), [], verification)
    assert "Everything" not in render(migration_report(migration, plan()))
    assert migration_json(migration, plan())["unregistered"][0] == LONELY.to_json()
    nothing = render(migration_report(Migration(RunResult(), [], None, True), plan(unregistered=[LONELY.to_json()])))
    assert nothing.split("\n")[-1].startswith("    pyiceberg")
