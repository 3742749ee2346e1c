from __future__ import annotations

from typing import Any

import pytest

from migrator.cutover.unregistered import register_commands, unregistered_tables
from migrator.planfile.rows import PlannedTable

NEW = "s3a://data-lake/wh/{}/metadata/00002-a.metadata.json"


def table(new: str | None, catalog: str | None = None, **more: Any) -> PlannedTable:
    columns: dict[str, Any] = dict.fromkeys(PlannedTable.__dataclass_fields__)
    columns |= {"id": 1, "namespace": "", "name": "", "old_metadata": "s3://old/t/metadata/2.metadata.json"}
    columns |= {"state": "rewrite", "facts": "{}", "problems": "[]", "kind": "table", "old_location": "s3://old/t"}
    return PlannedTable(**{**columns, "new_metadata": new, "catalog": catalog, **more})


@pytest.mark.parametrize(
    ("folder", "guessed"),
    [
        ("sales.db/orders", ("sales", "orders")),
        ("sales/orders-0123456789abcdef0123456789abcdef", ("sales", "orders")),
        ("orders", ("wh", "orders")),
    ],
)
def test_names_are_guessed_from_the_folder(folder: str, guessed: tuple[str, str]) -> None:
    (found,) = unregistered_tables([table(NEW.format(folder))])
    assert (found.namespace, found.name) == guessed
    assert found.old_location == "s3://old/t" and found.metadata_location == NEW.format(folder)


def test_a_table_at_a_buckets_root_has_no_namespace() -> None:
    (found,) = unregistered_tables([table("s3://data-lake/t/metadata/v1.metadata.json")])
    assert (found.namespace, found.name) == ("", "t")
    assert "'<namespace>.t'" in register_commands(found.to_json())[0][1]


def test_only_what_is_moved_and_in_no_catalog() -> None:
    assert not unregistered_tables([table(NEW.format("a"), "iceberg"), table(None)])


@pytest.mark.parametrize(
    "registered", ["s3://data-lake/wh/a/metadata/00002-a.metadata.json", NEW.format("a").replace("2-a", "3-b")]
)
def test_registered_since_even_if_written_to_since(registered: str) -> None:
    tables = [table(NEW.format("a")), table(NEW.format("b"))]
    assert [t.name for t in unregistered_tables(tables, [registered])] == ["b"]


def test_another_table_in_the_same_folder_does_not_register_it() -> None:
    """A table was created in the place of another one: its pointer says nothing about the older table."""
    tables = [table(NEW.format("a")), table(NEW.format("a").replace("2-a", "1-other"), "iceberg")]
    now = NEW.format("a").replace("2-a", "2-other")
    assert len(unregistered_tables(tables, [now])) == 1


def test_a_view_cannot_be_registered_as_a_table() -> None:
    (found,) = unregistered_tables([table(NEW.format("v"), kind="view")])
    ((_, command),) = register_commands(found.to_json())
    assert "register_table" not in command and found.metadata_location in command
