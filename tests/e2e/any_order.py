"""Random orders of plans, migrations, kills and changes by other people: nothing is lost, and every reported success is
true.

A state machine of hypothesis runs random sequences on a real server. A model knows where every object and every row
must be, and is compared with the server. ``test_any_order.py`` runs a few of them. To run more:

    python tests/e2e/any_order.py --seconds 3600 --seed 1
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sqlite3
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).parents[1])

from e2e.killed import Ended, Migrations
from e2e.small_lake import OLD, PLAIN, TARGET, HadoopTable, Listing, SmallLake, SqlTable, mapped
from migrator.api import load_settings, plan_lake, plan_status, rollback_lake, verify_lake
from migrator.demo.server import Server
from migrator.errors import MigratorError
from migrator.planfile.journal import CUTOVER_BEGUN, FINISHED

KEYS = [*sorted(PLAIN), ("bronze", "late")]
DATA = st.sampled_from([b"x", b"y", b"", b"yy", b"zz", None])
"""Few contents, so that equal bytes and equal sizes are frequent. None: the object is deleted."""
OTHERS = ["bronze/others", "elsewhere/x"]
STEP = st.one_of(st.integers(1, 35), st.integers(1, 65))
"""A step of a migration. Migrations that only copy have fewer."""
AGE = st.sampled_from((0, 0, 0, 1, 2))
"""The age of a plan: 0 for the newest."""
USUALLY, SELDOM = st.sampled_from((True, True, False)), st.sampled_from((False, False, True))


@dataclass
class Figures:
    """What was run, over all sequences."""

    sequences: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    """Migrations, by how they ended."""
    killed_at: Counter[int] = field(default_factory=Counter)
    acted_at: Counter[int] = field(default_factory=Counter)
    """Steps of a migration, by how often another person changed something at that step."""
    checked: Counter[str] = field(default_factory=Counter)
    """Invariants, by how often they were compared."""
    first_violation: str = ""
    """The sequence as it was run. hypothesis shows a shorter one if it fails again."""

    def __str__(self) -> str:
        lines = [f"{self.sequences:,} sequences, {sum(self.rules.values()):,} steps"]
        for name in ("rules", "ended", "checked"):
            counted = sorted(getattr(self, name).items())
            lines.append(f"  {name}: " + ", ".join(f"{what} {count:,}" for what, count in counted))
        for what, steps in (("killed", self.killed_at), ("somebody acted", self.acted_at)):
            lines.append(f"  {what} {sum(steps.values())} times, at {len(steps)} different steps")
        return "\n".join(lines)


@dataclass
class TableModel:
    """What the model knows of a table."""

    table: SqlTable | HadoopTable
    committed: set[int]
    """Every row that was ever committed to it, in the old place or at the target."""
    pointer: str
    """The pointer after the last step."""
    old_pointer: str
    """The last pointer to the old place."""
    new_pointer: str | None = None
    """The last pointer to the target."""
    astray: set[int] = field(default_factory=set)
    """Rows that were committed in the old place after the cutover."""
    forked: bool = False
    """Somebody discarded rows of the old place, so the model does not know what a plan does with them."""

    @property
    def moved(self) -> bool:
        return self.pointer.startswith(f"s3://{TARGET}/")


@dataclass
class PlanModel:
    """What the model knows of a plan."""

    path: Path
    blocked: bool
    plain: dict[str, bytes]
    """Target key → bytes of the source while planning."""
    writes: dict[str, bytes]
    """The entries of ``plain`` that were not at the target while planning."""
    littered: bool
    """An object of somebody else had the key of a table's file."""
    changed: bool = False
    """Somebody, or another plan, has changed something since planning."""
    cut_over: bool = False
    touched: set[str] = field(default_factory=set)
    """Keys of the target that somebody wrote or deleted after this plan was cut over."""


@dataclass(frozen=True)
class Act:
    """What somebody does during a migration. ``key`` is a key of the target, or is mapped to the target."""

    do: Callable[[], None]
    key: str
    at_target: bool = False
    table: TableModel | None = None
    """A commit to this table of a Hadoop catalog, in the old place."""

    def unseen(self, ended: Ended, step: int) -> set[str]:
        """The key, if migrator had listed the objects for the last time before this step."""
        looked = ended.marks.get(FINISHED if self.at_target else CUTOVER_BEGUN, 0)
        return {self.key} if step >= looked else set()


@dataclass(frozen=True)
class Seen:
    """The state before a call of migrator."""

    pointers: list[str]
    rows: list[frozenset[int]]
    target: Listing


class AnyOrder(RuleBasedStateMachine):
    """The machine. ``lake``, ``migrations`` and ``figures`` are shared by all sequences."""

    lake: ClassVar[SmallLake]
    migrations: ClassVar[Migrations]
    figures: ClassVar[Figures] = Figures()
    with_restore: ClassVar[bool] = True
    with_litter: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.figures.sequences += 1
        self.lake.reset()
        self.folder = TemporaryDirectory(prefix="any-order-")
        self.plans: list[PlanModel] = []
        self.source = dict(PLAIN)
        self.theirs: dict[str, tuple[str, bytes | None]] = {}
        """Key of the target → ETag and bytes that somebody wrote there; bytes None: a file of a table."""
        self.maybe_ours: dict[str, set[bytes]] = {}
        """Key of the target → what a plan that was begun would write there. For such an object it is not known who
        wrote it."""
        self.tables = [
            TableModel(t, {1000 * n, 1000 * n + 1}, t.pointer, t.pointer) for n, t in enumerate(self.lake.tables)
        ]
        self.next_row, self.unique = 10_000, 0
        self.rows_at: dict[Any, frozenset[int]] = {}
        self.old = {bucket: self.lake.listing(bucket) for bucket in OLD}
        self.finished: PlanModel | None = None
        self.story: list[str] = []
        """The steps and their results."""
        self.violated = False

    # -- changes by other people ---------------------------------------------------------------------

    @rule(place=st.sampled_from(KEYS), data=DATA, in_parts=st.booleans())
    def change_source(self, place: tuple[str, str], data: bytes | None, in_parts: bool) -> None:
        with self._step("change_source", place, data, in_parts):
            self._change_source(place, data, in_parts=in_parts)

    @rule(number=st.integers(0, 2), with_hint=st.booleans())
    def commit(self, number: int, with_hint: bool) -> None:
        with self._step("commit", number, with_hint):
            self._commit(self.tables[number], with_hint=with_hint)

    @rule(place=st.sampled_from([mapped(*key) for key in KEYS] + OTHERS), data=DATA)
    def change_target(self, place: str, data: bytes | None) -> None:
        with self._step("change_target", place, data):
            self._change_target(place, data)

    @precondition(lambda self: self.with_litter)
    @rule(number=st.integers(0, 2), which=st.integers(0, 20), data=DATA)
    def change_at_a_table(self, number: int, which: int, data: bytes | None) -> None:
        """Somebody writes or deletes an object with the key of a table's file. The table does not live at the
        target."""
        with self._step("change_at_a_table", number, which, data):
            if key := self._file_of_table(number, which):
                self._change_target(key, data)

    @precondition(lambda self: self.with_restore and any(t.moved for t in self.tables))
    @rule(number=st.integers(0, 2))
    def restore(self, number: int) -> None:
        """Somebody restores a catalog from a backup: a table is in the old place again."""
        with self._step("restore", number):
            moved = [t for t in self.tables if t.moved]
            known = moved[number % len(moved)]
            known.table.set_pointer(known.old_pointer)
            self._note_pointers()
            self._changed(source="")

    @precondition(lambda self: any(t.new_pointer and not t.moved for t in self.tables))
    @rule(number=st.integers(0, 2))
    def undo_restore(self, number: int) -> None:
        """Somebody keeps the state at the target, and discards the commits in the old place."""
        with self._step("undo_restore", number):
            back = [t for t in self.tables if t.new_pointer and not t.moved]
            known = back[number % len(back)]
            assert known.new_pointer is not None
            known.table.set_pointer(known.new_pointer)
            self._note_pointers()
            rows = set(self._rows(known))
            known.forked = known.forked or rows != known.committed
            known.committed = rows
            known.astray.clear()
            self._changed(source="")

    # -- migrator ------------------------------------------------------------------------------------

    @precondition(lambda self: self.plans)
    @rule(age=AGE, discard=SELDOM, keep=SELDOM)
    def roll_back(self, age: int, discard: bool, keep: bool) -> None:
        """Undo a cutover. The users of a Hadoop catalog then read the old warehouse again."""
        with self._step("roll_back", age, discard, keep):
            before = self._see()
            path = self._chosen(age).path
            done = self._call(lambda: rollback_lake(path, discard_newer=discard, bring_back=keep))
            refused = isinstance(done, MigratorError) or done.nothing_to_do
            self._hold("a rollback writes no object", self.lake.listing(TARGET) == before.target, "the target changed")
            for bucket in OLD:
                self._see_what_came_home(bucket, keep)
            for known in self.tables:
                if isinstance(known.table, HadoopTable) and not refused and done.by_hint:
                    known.table.set_pointer(f"{known.table.location}/")
            self._note_pointers()
            if refused:
                now = [known.pointer for known in self.tables]
                self._hold(
                    "a refused rollback changes no pointer", now == before.pointers, f"{before.pointers} → {now}"
                )
                return
            given_up = {place.table.name for place in done.discarded}
            kept = {brought.table.rpartition(".")[2] for brought in done.brought_back}
            for known, rows in zip(self.tables, before.rows, strict=True):
                now_there = self._rows(known)
                if known.table.name in kept:
                    known.forked = known.forked or isinstance(known.table, HadoopTable)
                    self._hold("what is brought back is whole", now_there == rows, f"{known}: {rows} → {now_there}")
                elif known.table.name in given_up:
                    known.forked = known.forked or isinstance(known.table, HadoopTable)
                    known.committed = set(now_there)
                else:
                    self._hold("a rollback loses no row", now_there >= rows, f"{known}: {sorted(rows)} → {now_there}")
                if known.table.name in {name.rpartition(".")[2] for name in done.put_back}:
                    self._hold("what is put back is in the old place", not known.moved, f"{known}")
            self._chosen(age).cut_over = False
            self._changed(source="")

    def _see_what_came_home(self, bucket: str, keep: bool) -> None:
        """A rollback that keeps commits writes new keys to the old buckets, and sets a version hint."""
        before, now = self.old[bucket], self.lake.listing(bucket)
        came = {key for key in now if key not in before or key.endswith("/version-hint.text")} if keep else set()
        same = {key: entry for key, entry in now.items() if key not in came}
        was = {key: entry for key, entry in before.items() if key not in came}
        self._hold("a rollback overwrites nothing in the old buckets", same == was, bucket)
        self.old[bucket] = now

    @precondition(lambda self: len(self.plans) < 2 or self.plans[-2].changed)
    @rule()
    def plan(self) -> None:
        with self._step("plan"):
            self._plan()

    @rule(
        tidy=USUALLY,
        kill_at=st.one_of(st.just(0), STEP),
        before=st.booleans(),
        look=st.booleans(),
    )
    def plan_and_migrate(self, tidy: bool, kill_at: int, before: bool, look: bool) -> None:
        """``tidy``: somebody first follows the advice of a blocked plan, and removes the objects that block it.
        ``look``: the plan before this one is verified at the end."""
        with self._step("plan_and_migrate", tidy, kill_at, before, look):
            for key in [key for key in self.theirs if tidy and self._is_in_the_way(key)]:
                self._change_target(key, None)
            self._plan()
            if kill_at:
                self._migrate(self.plans[-1], stop_at=kill_at, before=before)
            self._migrate(self.plans[-1])
            if look:
                self._verify(self._chosen(1), deep=False)

    @precondition(lambda self: self.plans)
    @rule(age=AGE, cutover=USUALLY, accept_late=SELDOM, look=st.one_of(st.none(), AGE))
    def migrate(self, age: int, cutover: bool, accept_late: bool, look: int | None) -> None:
        """``look``: a plan of that age is verified afterwards."""
        with self._step("migrate", age, cutover, accept_late, look):
            self._migrate(self._chosen(age), cutover=cutover, accept_late=accept_late)
            if look is not None:
                self._verify(self._chosen(look), deep=False)

    @rule(age=AGE, anew=USUALLY, cutover=USUALLY, kill_at=STEP, before=st.booleans(), again=st.booleans())
    def kill(self, age: int, anew: bool, cutover: bool, kill_at: int, before: bool, again: bool) -> None:
        """Kill a migration, and perhaps run the same command again. ``anew``: kill the migration of a new plan that has
        something to do."""
        with self._step("kill", age, anew, cutover, kill_at, before, again):
            plan = self._plan_anew(kill_at) if anew or not self.plans else self._chosen(age)
            self._migrate(plan, cutover=cutover, stop_at=kill_at, before=before)
            if again:
                self._migrate(plan, cutover=cutover)

    @rule(
        age=AGE,
        anew=USUALLY,
        cutover=USUALLY,
        at=STEP,
        before=st.booleans(),
        what=st.sampled_from(("source", "target", "table", "commit")),
        which=st.integers(0, 20),
        data=DATA,
    )
    def meanwhile(
        self, age: int, anew: bool, cutover: bool, at: int, before: bool, what: str, which: int, data: bytes | None
    ) -> None:
        """Somebody changes something during a migration."""
        with self._step("meanwhile", age, anew, cutover, at, before, what, which, data):
            plan = self._plan_anew(which) if anew or not self.plans else self._chosen(age)
            act = self._act(plan, what, which, data)
            self._migrate(plan, cutover=cutover, stop_at=at, before=before, act=act)

    def _plan_anew(self, which: int) -> PlanModel:
        self._make_work(which)
        self._plan()
        return self.plans[-1]

    def _act(self, plan: PlanModel, what: str, which: int, data: bytes | None) -> Act | None:
        place, known = KEYS[which % len(KEYS)], self.tables[which % len(self.tables)]
        if what == "source":
            return Act(lambda: self._change_source(place, data, in_parts=which % 2 == 0), mapped(*place))
        if what == "commit":
            hadoop = isinstance(known.table, HadoopTable) and not known.moved
            return Act(lambda: self._commit(known), "", table=known if hadoop else None)
        if what == "target":
            return Act(lambda: self._change_target(mapped(*place), data), mapped(*place), at_target=True)
        key = self._file_of_table(which % 3, which) if self.with_litter else None

        def litter() -> None:
            # Later the table lives at the target, and only its owner may change these files.
            if key and not cutover_begun(plan.path):
                self._change_target(key, data)

        return Act(litter, "")

    @precondition(lambda self: self.plans)
    @rule(age=AGE, deep=st.booleans())
    def verify(self, age: int, deep: bool) -> None:
        with self._step("verify", age, deep):
            plan = self._chosen(age)
            self._verify(plan, deep=deep)

    def teardown(self) -> None:
        """At the end of a sequence whose last migration succeeded, the old buckets are deleted."""
        try:
            plan = self.finished
            if plan is not None and not self.violated:
                for bucket in OLD:
                    self.lake.empty(bucket)
                self.old, self.rows_at = {bucket: {} for bucket in OLD}, {}
                for known in self.tables:
                    self._hold("without the old buckets", set(self._rows(known)) == known.committed, f"{known}")
                if not plan.changed:
                    self._verify(plan, deep=False)
                self.figures.rules["(the old buckets are deleted)"] += 1
        finally:
            self.folder.cleanup()

    # -- carrying it out -----------------------------------------------------------------------------

    @contextmanager
    def _step(self, name: str, *arguments: Any) -> Iterator[None]:
        self.figures.rules[name] += 1
        self.story.append(f"{name}{arguments}")
        try:
            yield
        except BaseException:
            self.violated = True
            self.figures.first_violation = self.figures.first_violation or "\n".join(self.story)
            raise

    def _tell(self, what: str) -> None:
        """Add the result of a step to the sequence."""
        note(f"    {what}")
        self.story.append(f"    {what}")

    def _call(self, function: Callable[[], Any]) -> Any:
        """The result of the call, or the error that it raises, which must be one of migrator's own."""
        try:
            result = function()
        except MigratorError as error:
            result = error
        self.figures.checked["only errors of migrator's own"] += 1
        self._tell(f"→ {type(result).__name__} {result if isinstance(result, MigratorError) else ''}")
        return result

    def _plan(self) -> None:
        before = self._see()
        path = Path(self.folder.name) / f"{len(self.plans) + 1}.db"
        made = self._call(lambda: plan_lake(load_settings(self.lake.config), path))
        self._check_world(before, reads_only=True)
        free = self._is_free()
        self._hold("a plan is made", not isinstance(made, MigratorError), str(made))
        blocks = [(f["code"], f["place"], f["message"]) for f in made["findings"] if f["severity"] == "block"]
        self._tell(f"blocked: {blocks}")
        self._hold("a plan is free where the model is", not (free and made["blocked"]), f"blocked by {blocks}")
        plain = {mapped(*place): data for place, data in self.source.items()}
        writes = {key: data for key, data in plain.items() if not self._holds(before.target, key, data)}
        littered = any(self._is_in_the_way(key) for key in self.theirs)
        self.plans.append(PlanModel(path, made["blocked"], plain, writes, littered))

    def _is_free(self) -> bool:
        """True if there is certainly nothing that must block a plan."""
        in_the_way = any(self._is_in_the_way(key) for key in self.theirs)
        return not in_the_way and not any(t.forked or set(self._rows(t)) != t.committed for t in self.tables)

    def _is_in_the_way(self, key: str) -> bool:
        """True for an object of somebody else at the target, if migrator would have to write another object there."""
        data = self.theirs[key][1]
        source = {mapped(*place): data for place, data in self.source.items()}
        return data is not None and (data != source[key] if key in source else self._is_of_a_table(key))

    def _chosen(self, age: int) -> PlanModel:
        return self.plans[-1 - age % len(self.plans)]

    def _migrate(
        self,
        plan: PlanModel,
        *,
        cutover: bool = True,
        accept_late: bool = False,
        stop_at: int = 0,
        before: bool = True,
        act: Act | None = None,
    ) -> None:
        seen = self._see()
        ended = self.migrations.run(
            plan.path,
            cutover=cutover,
            accept_late=accept_late,
            stop_at=stop_at,
            before=before,
            meanwhile=act.do if act else None,
        )
        self._tell(f"→ {ended}")
        if ended.killed:
            self.figures.killed_at[stop_at] += 1
            self._settle()
        if ended.waited:
            self.figures.acted_at[stop_at] += 1
        how = "killed" if ended.killed else f"exit {ended.exit_code}" if ended.exit_code else "ok"
        self.figures.ended[how] += 1
        if not plan.blocked:
            for key, data in plan.writes.items():
                self.maybe_ours.setdefault(key, set()).add(data)
        for other in self.plans:
            other.changed = other.changed or other is not plan
        self._hold("only errors of migrator's own", not ended.crashed, ended.message)
        may_cut_over = cutover and (ended.killed or ended.ok or ended.cut_over or ended.error == "CutoverIncomplete")
        self._check_world(seen, keeps_pointers=not may_cut_over and not ended.waited)
        if not ended.killed and not plan.changed and not plan.blocked:
            stopped = plan.littered and ended.exit_code == 3
            self._hold("what nothing stands against succeeds", ended.ok or stopped, ended.message)
        if plan.blocked:
            self._hold("a blocked plan is refused", not ended.ok, str(ended))
        if ended.ok and ended.cut_over:
            for known in self.tables:
                if isinstance(known.table, HadoopTable):  # its users now use it at the target
                    known.table.set_pointer(f"s3://{TARGET}/")
            self._note_pointers()
            unseen = act.unseen(ended, stop_at) if act and ended.waited else set()
            if unseen and act and act.table:
                self._forget_commit(act.table)
            touched = (plan.touched if ended.nothing_to_do else set()) | unseen
            self._check_all_is_there(plan, touched, accept_late=accept_late)
            if not plan.cut_over:
                plan.touched = unseen
            plan.cut_over = True
            self.finished = None if accept_late or unseen else plan

    def _forget_commit(self, known: TableModel) -> None:
        """No Hadoop catalog can refuse a commit in the old place that comes while the new version hint is written:
        its writers must be stopped before a cutover."""
        assert isinstance(known.table, HadoopTable)
        rows = set(self._rows(known))
        known.forked = known.forked or rows != known.committed
        known.committed = rows

    def _verify(self, plan: PlanModel, *, deep: bool) -> None:
        before = self._see()
        found = self._call(lambda: verify_lake(plan.path, deep=deep))
        self._status(plan)
        self._check_world(before, reads_only=True)
        if isinstance(found, MigratorError):
            self._hold("a plan can be verified", plan.changed or plan.blocked, str(found))
            return
        problems = [problem for check in found.checks for problem in check.problems]
        if plan.cut_over and not plan.changed:
            self._hold("what is true is green", found.ok and found.superseded_by is None, str(problems))
        if found.ok and found.cut_over and found.superseded_by is None:
            for key, data in plan.plain.items():
                self._hold("green is true", self._holds(before.target, key, data), f"{key} is not {data!r}")
            for known in self.tables:
                moved, rows = known.moved, set(self._rows(known))
                if isinstance(known.table, HadoopTable) and known.new_pointer and not moved:
                    # A Hadoop catalog has no pointer, so it does not show that engines use the old warehouse again.
                    # "migrate" finds their commits, because it lists the old buckets.
                    moved, rows = True, self.lake.read(known.new_pointer) | known.astray
                self._hold("green is true", moved and rows == known.committed, f"{known}: {rows}")

    def _status(self, plan: PlanModel) -> None:
        status = self._call(lambda: plan_status(plan.path))
        if isinstance(status, MigratorError):
            self._hold("every plan has a status", False, str(status))
        self._hold("status looks", status.not_checked is None, f"status could not look: {status.not_checked}")
        said = {one["table"].rpartition(".")[2] for one in status.tables if one["cut_over"]}
        never = [t.table.name for t in self.tables if t.new_pointer is None]
        self._hold("nothing is called cut over that is not", said.isdisjoint(never), f"{said}, not {never}")

    # -- invariants ----------------------------------------------------------------------------------

    def _hold(self, name: str, condition: bool, message: str) -> None:
        self.figures.checked[name] += 1
        if not condition:
            self.story.append(f"VIOLATED: {name}: {message}")
        assert condition, f"{name}: {message}"

    def _check_world(self, before: Seen, *, reads_only: bool = False, keeps_pointers: bool = True) -> None:
        """Check what must be true after any call of migrator, however it ended."""
        for bucket in OLD:
            self._hold("old buckets are only read", self.lake.listing(bucket) == self.old[bucket], bucket)
        target = self.lake.listing(TARGET)
        if reads_only:
            self._hold("nothing is written by what only reads", target == before.target, "the target changed")
        for key, (etag, data) in self.theirs.items():
            there = target[key][1] if key in target else None
            if data is None or data not in self.maybe_ours.get(key, ()):
                self._hold("nothing of anybody's is overwritten", there == etag, f"{key}: {data!r}, {etag} → {there}")
        self._note_pointers()
        if keeps_pointers or reads_only:
            now = [known.pointer for known in self.tables]
            self._hold("pointers change at a cutover only", now == before.pointers, f"{before.pointers} → {now}")
        for known, rows in zip(self.tables, before.rows, strict=True):
            now = self._rows(known)
            self._hold("no row is lost", now >= rows, f"{known}: {sorted(rows)} → {sorted(now)}")

    def _check_all_is_there(self, plan: PlanModel, touched: set[str], *, accept_late: bool) -> None:
        """Check what must be true after a migration that reported success. ``touched``: keys of the target that
        somebody changed after migrator had listed them for the last time."""
        target = self.lake.listing(TARGET)
        for place, data in self.source.items():
            key = mapped(*place)
            if (accept_late and plan.plain.get(key) != data) or key in touched:
                continue
            self._hold("every object is at the target", self._holds(target, key, data), f"{key} is not {data!r}")
        for known in self.tables:
            rows = set(self._rows(known))
            self._hold("every table is at the target", known.moved, f"{known}")
            self._hold("every row is at the target", rows == known.committed, f"{known}: {sorted(rows)}")

    # -- reading -------------------------------------------------------------------------------------

    def _see(self) -> Seen:
        self._note_pointers()
        rows = [self._rows(known) for known in self.tables]
        return Seen([known.pointer for known in self.tables], rows, self.lake.listing(TARGET))

    def _rows(self, known: TableModel) -> frozenset[int]:
        """The rows at the table's pointer; read again only if something in its bucket changed."""
        bucket = known.pointer.split("/")[2]
        folder = known.table.location.split("/", 3)[3]
        prefix = mapped(known.table.location.split("/")[2], folder) if known.moved else folder
        state = (known.pointer, *sorted((k, v[1]) for k, v in self.lake.listing(bucket, f"{prefix}/").items()))
        if state not in self.rows_at:
            self.rows_at[state] = self.lake.read(known.pointer)
        return self.rows_at[state]

    def _note_pointers(self) -> None:
        for known in self.tables:
            known.pointer = known.table.pointer
            if known.moved:
                known.new_pointer = known.pointer
            else:
                known.old_pointer = known.pointer

    def _holds(self, target: Listing, key: str, data: bytes) -> bool:
        """True if the object at the target has these bytes."""
        if key not in target or target[key][0] != len(data):
            return False
        return target[key][1] == _etag(data) or self.lake.get(TARGET, key) == data

    def _settle(self) -> None:
        """Wait until the server has carried out the requests of a killed process."""
        before: Any = None
        while (now := self.lake.listing(TARGET)) != before:
            before = now
            time.sleep(0.1)

    def _file_of_table(self, number: int, which: int) -> str | None:
        """The target key of a file of a table that was never cut over."""
        known = self.tables[number]
        if known.new_pointer is not None:
            return None
        bucket, folder = known.table.location.split("/", 3)[2:]
        keys = sorted(key for key in self.old[bucket] if key.startswith(f"{folder}/"))
        return mapped(bucket, keys[which % len(keys)])

    def _is_of_a_table(self, key: str) -> bool:
        return any(key.startswith(f"{mapped(*t.table.location.split('/', 3)[2:])}/") for t in self.tables)

    # -- changing ------------------------------------------------------------------------------------

    def _change_source(self, place: tuple[str, str], data: bytes | None, *, in_parts: bool) -> None:
        if data is None:
            self.lake.delete(*place)
            self.source.pop(place, None)
        else:
            self.lake.put(*place, data, in_parts=in_parts and bool(data))
            self.source[place] = data
        self._changed(source=place[0])

    def _change_target(self, key: str, data: bytes | None) -> None:
        if data is None:
            self.lake.delete(TARGET, key)
            self.theirs.pop(key, None)
        else:
            self.lake.put(TARGET, key, data)
            self.theirs[key] = (_etag(data), data)
        self._touched([key])
        self._changed()

    def _commit(self, known: TableModel, *, with_hint: bool = True) -> None:
        self._note_pointers()
        folder = f"{mapped(*known.table.location.split('/', 3)[2:])}/"
        before = self.lake.listing(TARGET, folder) if known.moved else {}
        known.table.commit([self.next_row], with_hint=with_hint)
        known.committed.add(self.next_row)
        if not known.moved and known.new_pointer and isinstance(known.table, HadoopTable):
            known.astray.add(self.next_row)
            known.forked = True
        self.next_row += 1
        after = self.lake.listing(TARGET, folder) if known.moved else {}
        made = {key: (entry[1], None) for key, entry in after.items() if entry != before.get(key)}
        self.theirs.update(made)
        self._touched(made)
        self._note_pointers()
        self._changed(source=None if known.moved else known.old_pointer.split("/")[2])

    def _make_work(self, which: int) -> None:
        """Something for the next plan to do."""
        self.unique += 1
        self._change_source(KEYS[which % len(KEYS)], f"{self.unique}".encode(), in_parts=which % 3 == 0)
        for known in self.tables:
            if not known.moved and which % 2:
                self._commit(known)
                break

    def _touched(self, keys: Any) -> None:
        for plan in self.plans:
            plan.touched.update(keys)

    def _changed(self, source: str | None = None) -> None:
        """Record that somebody changed something. ``source``: the old bucket, or "" for a change in no old bucket."""
        for plan in self.plans:
            plan.changed = True
        if source is not None:
            self.finished = None
        if source:
            self.old[source] = self.lake.listing(source)


def cutover_begun(plan: Path) -> bool:
    # Not only for reading: the incomplete last transaction of a killed process must be undone first.
    with closing(sqlite3.connect(f"file:{plan}?mode=rw", uri=True, timeout=60)) as db:
        query = "SELECT 1 FROM events WHERE event = ?"
        return db.execute(query, (CUTOVER_BEGUN,)).fetchone() is not None


def _etag(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@contextmanager
def any_order(*, restore: bool = True, litter: bool = True) -> Iterator[type[AnyOrder]]:
    """A machine with its own server. Until it ends, the environment of this process points to that server."""
    environ = dict(os.environ)
    with (
        Server() as server,
        TemporaryDirectory(prefix="any-order-") as folder,
        Migrations(server.environ()) as processes,
    ):
        os.environ.update(server.environ())
        try:
            members = {"figures": Figures(), "migrations": processes, "with_restore": restore, "with_litter": litter}
            yield type("AnyOrder", (AnyOrder,), {**members, "lake": SmallLake(server, Path(folder))})
        finally:
            os.environ.clear()
            os.environ.update(environ)


def run(
    machine: type[AnyOrder], *, sequences: int, steps: int, number: int | None = None, shrink: bool = False
) -> None:
    """Run sequences. ``number`` None: always the same ones. Raises AssertionError, with a sequence that violates an
    invariant; ``shrink``: with the shortest that can be found in some minutes."""
    chosen = settings(
        phases=[Phase.generate, Phase.shrink] if shrink else [Phase.generate],
        max_examples=sequences,
        stateful_step_count=steps,
        derandomize=number is None,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    if number is not None:
        machine = seed(number)(type(machine.__name__, (machine,), {}))
    run_state_machine_as_test(machine, settings=chosen)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0, help="of the first round of sequences; each next one is greater")
    parser.add_argument("--sequences", type=int, default=12, help="in one round")
    parser.add_argument("--steps", type=int, default=20, help="in one sequence")
    parser.add_argument("--no-restore", action="store_true", help="nobody restores a catalog")
    parser.add_argument("--no-shrink", action="store_true", help="show the first violation as it came")
    parser.add_argument("--no-litter", action="store_true", help="nobody writes where files of tables go")
    given = parser.parse_args()
    began = said = time.monotonic()
    with any_order(restore=not given.no_restore, litter=not given.no_litter) as machine:
        number = given.seed
        while time.monotonic() - began < given.seconds:
            try:
                run(machine, sequences=given.sequences, steps=given.steps, number=number, shrink=not given.no_shrink)
            except Exception:
                traceback.print_exc()
                print(f"As it came first:\n{machine.figures.first_violation}\n", flush=True)
                print(f"VIOLATED, with --seed {number}:\n{machine.figures}", flush=True)
                return 1
            number += 1
            if time.monotonic() - said > 60:
                said = time.monotonic()
                print(f"{said - began:.0f} s, next --seed {number}: {machine.figures}", flush=True)
        print(f"{time.monotonic() - began:.0f} s, no violation: {machine.figures}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
