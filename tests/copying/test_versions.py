"""The versions of one key are copied in their order to a target in memory, also after failures."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from migrator.copying import versions
from migrator.copying.versions import ATTEMPTS, VersionCopier, _Key
from migrator.errors import AccessDenied, MigratorError, Occupied, SourceChanged, StoreError, Unreachable
from migrator.inventory.versions import TargetVersion
from migrator.planfile.file import PlannedVersion
from migrator.progress import Progress
from migrator.store import StoredObject


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "WAIT_SECONDS", 0.0)


@dataclass
class Target:
    """Keeps what is copied. ``faults``: what the next copies raise; None: nothing. ``lossy``: they are made even so."""

    faults: list[MigratorError | None] = field(default_factory=list)
    lossy: bool = False
    kept: list[TargetVersion] = field(default_factory=list)
    listed: int = 0

    def _keep(self, etag: str, size: int, marker: int) -> str:
        fault = self.faults.pop(0) if self.faults else None
        if fault is None or self.lossy:
            self.kept.append(TargetVersion("to", f"t{len(self.kept)}", size, etag, marker))
        if fault is not None:
            raise fault
        return etag

    def copy(self, bucket: str, source: StoredObject, to: str, key: str, *, version_id: str) -> str:
        return self._keep(source.etag, source.size, 0)

    def delete_marker(self, bucket: str, key: str) -> None:
        self._keep("", 0, 1)

    def versions_of(self, bucket: str, key: str) -> list[TargetVersion]:
        self.listed += 1
        return list(self.kept)

    def same_content(self, one: Any, other: Any) -> bool:
        return False


def version(number: int, etag: str, marker: int = 0) -> PlannedVersion:
    size = 0 if marker else 10
    return PlannedVersion(number, "from", "a", f"v{number}", number, size, etag, 0, "STANDARD", marker, "to", "copy")


def history() -> list[PlannedVersion]:
    """Two versions and a delete marker, the oldest first."""
    return [version(1, "e1"), version(2, "e2"), version(3, "", marker=1)]


def copy(target: Target, there: list[TargetVersion] | None = None) -> tuple[dict[int, str], int]:
    plan = SimpleNamespace(layout=SimpleNamespace(target_bucket="data-lake"), db=sqlite3.connect(":memory:"))
    copier = VersionCopier(plan, target, Progress(), max_failures=1)  # type: ignore[arg-type]
    return copier._copy_key(_Key(history(), there or []))


ALL = {1: "e1", 2: "e2", 3: ""}


def test_all_versions_are_copied_in_their_order() -> None:
    target = Target()
    assert copy(target) == (ALL, 3)
    assert [(kept.etag, kept.marker) for kept in target.kept] == [("e1", 0), ("e2", 0), ("", 1)]
    assert target.listed == 0, "it was listed before"


def test_what_is_there_is_not_copied_again() -> None:
    kept = [TargetVersion("to", "t0", 10, "e1", 0)]
    target = Target(kept=list(kept))
    assert copy(target, kept) == (ALL, 2)
    assert [one.etag for one in target.kept] == ["e1", "e2", ""]


@pytest.mark.parametrize("lossy", [False, True], ids=["not made", "made, but the answer was lost"])
def test_after_a_failure_the_key_is_listed_and_no_version_is_there_twice(lossy: bool) -> None:
    fault = StoreError("the answer got lost.")
    target = Target([fault, fault, None, fault], lossy)
    etags, _ = copy(target)
    assert etags == ALL and [one.etag for one in target.kept] == ["e1", "e2", ""] and target.listed >= 2


def test_it_gives_up_at_last() -> None:
    target = Target([StoreError("no")] * 99)
    with pytest.raises(StoreError, match="no"):
        copy(target)
    assert len(target.faults) == 99 - ATTEMPTS


@pytest.mark.parametrize("final", [SourceChanged("x"), AccessDenied("x")])
def test_what_will_not_pass_is_not_tried_again(final: MigratorError) -> None:
    target = Target([final, final])
    with pytest.raises(type(final)):
        copy(target)
    assert len(target.faults) == 1


def test_a_version_of_somebody_else_is_a_failure() -> None:
    other = [TargetVersion("to", "t0", 99, "other", 0)]
    target = Target(kept=list(other))
    with pytest.raises(Occupied, match="was written since planning, without its older versions"):
        copy(target, other)
    assert target.kept == other and target.listed == 0


def test_a_lost_answer_gets_its_time_before_the_target_is_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never a random short delay: the server may still be copying what would then be copied twice."""
    waited: list[float] = []
    monkeypatch.setattr(versions, "WAIT_SECONDS", 1.0)
    monkeypatch.setattr("migrator.store.retries.time.sleep", waited.append)
    with pytest.raises(Unreachable):
        copy(Target(faults=[Unreachable("away", next_move="")] * versions.ATTEMPTS))
    assert waited == [1.0, 2.0, 3.0, 4.0]
