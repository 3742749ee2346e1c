"""``migrator verify``"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from migrator.cli.options import engine_option, json_option, plans_to_verify
from migrator.cli.terminal import progress, say, say_json
from migrator.errors import EXIT_FAILED


@click.command()
@plans_to_verify
@click.option("--deep", is_flag=True, help="Also compare every row, and the bytes of every copied object.")
@engine_option("Where --deep compares the bytes of objects")
@json_option
def verify(plans: tuple[Path, ...], deep: bool, engine: str | None, as_json: bool) -> None:
    """Compare the target with each PLAN.

    Compares every object, every file of every table, and the number of rows of every snapshot. Does not compare user
    metadata, other headers and tags of objects.

    \b
    Example:
      migrator verify --deep plans/lake.db
      migrator verify plans/bronze.db plans/silver.db

    Does not need the old buckets. Only --deep reads them, where they still exist. Exits with 3 if anything differs
    or cannot be read at the target. What could not be compared, because an old bucket is gone or cannot be read, is
    counted, with the reason; it does not change the exit code.
    """
    from migrator import api
    from migrator.reporting.json_forms import verification_json
    from migrator.reporting.rendering import line
    from migrator.reporting.verification import verification_report

    if engine and not deep:
        raise click.UsageError("--engine needs --deep: only that compares the bytes of objects.")
    bars = progress(as_json=as_json)
    documents: list[dict[str, Any]] = []
    for plan in plans:
        verification = api.verify_lake(plan, deep=deep, engine=engine, progress=bars)
        documents.append(verification_json(verification))
        if not as_json:
            head = [line(f"Plan {plan}", style="bold")] if len(plans) > 1 else []
            say([*head, *verification_report(verification)])
    ok = all(document["ok"] for document in documents)
    if as_json and len(plans) == 1:
        say_json(documents[0])
    elif as_json:
        named = zip(plans, documents, strict=True)
        say_json({"ok": ok, "plans": [{"plan": str(plan), **document} for plan, document in named]})
    if not ok:
        raise click.exceptions.Exit(EXIT_FAILED)
