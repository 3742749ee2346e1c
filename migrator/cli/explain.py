"""``migrator explain``"""

from __future__ import annotations

import difflib

import click

from migrator import reference
from migrator.cli.terminal import say
from migrator.findings import AT_CHECK, AT_MIGRATION, AT_RETIRE, CODES

KNOWN = [*CODES, *AT_MIGRATION, *AT_RETIRE, *AT_CHECK]


def _complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The codes that complete what was typed in the shell."""
    return [code for code in KNOWN if code.startswith(incomplete)]


@click.command()
@click.argument("code", required=False, shell_complete=_complete)
@click.option("--config-example", is_flag=True, help="Print an example configuration (lake.toml) with comments.")
@click.option("--prices-example", is_flag=True, help="Print prices of AWS, to be put into a lake.toml.")
@click.option("--json-keys", is_flag=True, help="Print what the keys of --json mean, command by command.")
def explain(code: str | None, config_example: bool, prices_example: bool, json_keys: bool) -> None:
    """Explain a finding's CODE: its meaning, and what to do. Without CODE, list all codes.

    \b
    Example:
      migrator explain uncatalogued-table
      migrator explain --config-example > lake.toml
    """
    from migrator.reporting.explanations import codes_report, explanation_report

    asked = {
        reference.CONFIG_EXAMPLE: config_example,
        reference.PRICES_EXAMPLE: prices_example,
        reference.JSON_KEYS: json_keys,
    }
    texts = [name for name, wanted in asked.items() if wanted]
    if bool(code) + len(texts) > 1:
        raise click.UsageError("Give one of CODE, --config-example, --prices-example and --json-keys.")
    if texts:
        click.echo(reference.text(texts[0]), nl=False)
    elif code is None:
        say(codes_report())
    elif code in KNOWN:
        say(explanation_report(code))
    else:
        near = difflib.get_close_matches(code, KNOWN, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise click.UsageError(f'There is no finding {code!r}.{hint} "migrator explain" lists all.')
