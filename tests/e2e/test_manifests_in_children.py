"""The demo's lake with every manifest decoded by child processes: plan, target and verification are as without child
processes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e.world import Contents, World
from migrator.concurrency.processes import Child
from migrator.inventory import manifest_entries

COMPARED = ("actions", "prefixes", "tables", "unregistered", "namespaces", "findings", "changes")


def planned(world: World, name: str) -> dict[str, Any]:
    """The description of a new plan, without its name, its time and its estimates."""
    document = json.loads(world.run("plan", "--config", world.config, "-o", world.folder / name, "--json").stdout)
    return {key: document[key] for key in COMPARED}


def test_the_same_plan_target_and_verification(
    world: World, expected: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = planned(world, "before.db")
    started = []
    begin = Child.__init__

    def counted(self: Child, *arguments: object, **options: object) -> None:
        started.append(self)
        begin(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Child, "__init__", counted)
    monkeypatch.setattr(manifest_entries, "PARALLEL_ABOVE", 0)
    monkeypatch.setattr(manifest_entries, "LARGE", 0)
    monkeypatch.setattr(manifest_entries, "PART_ENTRIES", 2)
    monkeypatch.setattr(manifest_entries, "cores", lambda: 2)
    assert planned(world, "plan.db") == before
    assert started
    world.run("migrate", world.folder / "plan.db", "--yes")
    assert world.contents() == expected
    started.clear()
    document = json.loads(world.run("verify", world.folder / "plan.db", "--json").stdout)
    assert document["ok"] and started
    assert all(check["checked"] for check in document["checks"] if "manifest" in check["name"])
