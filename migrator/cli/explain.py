"""``migrator explain``"""

from __future__ import annotations

import difflib

import click

from migrator.cli.terminal import say
from migrator.findings import AT_MIGRATION, CODES

KNOWN = [*CODES, *AT_MIGRATION]


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The codes that the shell proposes."""
    return [code for code in KNOWN if code.startswith(incomplete)]


@click.command()
@click.argument("code", required=False, shell_complete=_complete)
def explain(code: str | None) -> None:
    """Say what a finding's CODE means, why it matters and what to do. Without CODE, list all codes.

    \b
    Example:
      migrator explain uncatalogued-table
    """
    from migrator.reporting.explanations import codes_report, explanation_report

    if code is None:
        say(codes_report())
    elif code in KNOWN:
        say(explanation_report(code))
    else:
        near = difflib.get_close_matches(code, KNOWN, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise click.UsageError(f'There is no finding {code!r}.{hint} "migrator explain" lists all.')
