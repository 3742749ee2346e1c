"""``migrator migrate`` with several plans: one question for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migrator.cli.options import CopyOptions, CutoverOptions, WatchOptions
from migrator.cli.output import output
from migrator.cli.terminal import Watched, ask, say, say_json
from migrator.errors import EXIT_FAILED, MigratorError, PlanStale

if TYPE_CHECKING:
    from migrator.api import OpenPlan
    from migrator.copying.stage import CopySettings
    from migrator.migration import Choices, Migration
    from migrator.reporting.description import PlanDescription


def migrate_together(
    paths: Sequence[Path], *, yes: bool, cutover: CutoverOptions, copying: CopyOptions, watching: WatchOptions
) -> None:
    """Check all plans, ask once, and carry them out one after the other. Stops at the first that fails."""
    from migrator import api
    from migrator.reporting.together import plans_done, plans_json

    if copying.files_from:
        raise click.UsageError("--files-from is the list of one plan: give only that PLAN.")
    choices = api.Choices(not cutover.no_cutover, cutover.accept_late, cutover.accept)
    with (
        Watched(watching, None) as watched,
        api.open_plans(paths, cutover=choices.cutover, progress=watched.progress) as opened,
    ):
        described = [plan.describe() for plan in opened]
        _announce(opened, described, cutover=choices.cutover, yes=yes)
        run = _Run(opened, described, watched, as_json=watching.as_json)
        try:
            run.carry_out(choices, copying.settings())
        finally:
            if watching.as_json:
                say_json(plans_json(described, run.carried_out, run.done))
        if not watching.as_json:
            say(plans_done(described, cutover=choices.cutover))


def _announce(opened: Sequence[OpenPlan], described: Sequence[PlanDescription], *, cutover: bool, yes: bool) -> None:
    """Print the summary of all plans, and ask whether to start, unless ``yes`` or nothing is left to do."""
    from migrator.reporting.together import plans_question, plans_report

    left = [text for plan, text in zip(opened, described, strict=True) if not plan.status().complete]
    shown = output()
    if left and not shown.json and not (shown.quiet and yes):
        say(plans_report(described), err=True)
    if left and not yes:
        ask(plans_question(left, cutover=cutover))


class _Run:
    """The plans while they are carried out. ``carried_out``: those that ended without an error; ``done``: how many of
    them succeeded."""

    def __init__(
        self,
        opened: Sequence[OpenPlan],
        described: Sequence[PlanDescription],
        watched: Watched,
        *,
        as_json: bool,
    ) -> None:
        self._opened, self._described, self._watched, self._as_json = opened, described, watched, as_json
        self.carried_out: list[tuple[Migration, PlanDescription]] = []
        self.done = 0

    def carry_out(self, choices: Choices, copying: CopySettings) -> None:
        """Carry out the plans. Raises the error of the first that fails, which says how far it came; or Exit, if the
        last verification of a plan found something."""
        from migrator.reporting.migration import migration_report
        from migrator.reporting.rendering import line
        from migrator.reporting.together import how_far

        for plan, described in zip(self._opened, self._described, strict=True):
            self._watched.planned(Path(described["plan"]))
            try:
                migration = plan.migrate(choices, copying)
            except MigratorError as error:
                error.message = f"{described['plan']}: {error.message}"
                far = how_far(self._described, self.done, stale=isinstance(error, PlanStale))
                error.next_move = f"{error.next_move}\n{far}".lstrip()
                raise
            self.carried_out.append((migration, described))
            if not self._as_json:
                say([line(f"Plan {described['plan']}", style="bold"), *migration_report(migration, described), line()])
            if not migration.ok:
                if not self._as_json:
                    say([line(text) for text in how_far(self._described, self.done).split("\n")])
                raise click.exceptions.Exit(EXIT_FAILED)
            self.done += 1
