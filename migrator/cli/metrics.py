"""``migrator metrics``"""

from __future__ import annotations

import errno
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migrator import reference
from migrator.cli.options import CountOptions, Duration, LakeOptions, count_options, lake_options
from migrator.cli.terminal import progress, say_file
from migrator.errors import ConfigError
from migrator.progress import Progress
from migrator.progress.metrics_file import SUFFIX, check_prometheus_client

if TYPE_CHECKING:
    from migrator.config import Settings
    from migrator.monitoring.measures import CountLimits

LOOPBACK = "127.0.0.1"


class Address(click.ParamType):  # type: ignore[type-arg]
    """Where to listen: 9475, or 0.0.0.0:9475. Without a host it is the loopback address."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """(host, port). Fails with a usage error."""
        match = re.fullmatch(r"(?:(\[[^\]\s]+\]|[^:\s\[\]]*):)?([0-9]{1,5})", str(value))
        if match is None or int(match[2]) > 65_535:
            self.fail(f"{value!r} is not an address: write HOST:PORT, such as 127.0.0.1:9475.", param, ctx)
        return (match[1] or LOOPBACK).strip("[]"), int(match[2])


@click.command()
@lake_options
@click.option(
    "--listen",
    metavar="ADDRESS",
    type=Address(),
    help="Answer scrapes on this HOST:PORT until Ctrl-C; without HOST, on this machine only.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.prom",
    help="Write the metrics to this file, for the textfile collector of node exporter.",
)
@click.option(
    "--every",
    type=Duration(),
    default="5m",
    show_default=True,
    help="With --listen: how long after a collection the next one begins.",
)
@count_options
@click.option("--dashboard", is_flag=True, help="Print a Grafana dashboard (JSON) for these metrics.")
@click.option("--rules", is_flag=True, help="Print alert rules (YAML) for Prometheus.")
def metrics(
    lake: LakeOptions,
    listen: tuple[str, int] | None,
    output: Path | None,
    every: float,
    counting: CountOptions,
    dashboard: bool,
    rules: bool,
) -> None:
    """Export metrics of a lake for Prometheus: objects, tables, orphans, old paths.

    There are metrics for each folder of the structure and each table. Without --listen and -o, prints them once. Reads
    the lake as "migrator check" does, and changes nothing.

    \b
    Example:
      migrator metrics --config lake.toml
      migrator metrics --config lake.toml --listen 127.0.0.1:9475 --every 10m
      migrator metrics --config lake.toml -o /var/lib/prometheus/node-exporter/lake.prom
      migrator metrics --dashboard > dashboard.json
      migrator metrics --rules > /etc/prometheus/migrator.rules.yml

    Findings of "migrator check" do not change the exit code; a lake that cannot be listed is an error. Needs the
    package prometheus_client: pip install 'lake-migrator[metrics]'.
    """
    if bool(listen) + bool(output) + dashboard + rules > 1:
        raise click.UsageError("Give one of --listen, -o, --dashboard and --rules.")
    given = click.get_current_context().get_parameter_source("every")
    if listen is None and given is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--every goes with --listen.")
    if listen and every < 1:
        raise click.UsageError("--every must be at least 1s.")
    if dashboard or rules:
        click.echo(reference.text(reference.DASHBOARD if dashboard else reference.RULES), nl=False)
        return
    if output is not None:
        _check_output(output)
    check_prometheus_client()
    limits, settings = counting.limits(), lake.settings()
    if listen:
        _serve(settings, limits, listen, every)
    else:
        _once(settings, limits, output)


def _check_output(output: Path) -> None:
    """Raises ConfigError for a file that cannot be written: before a collection, which may take long."""
    folder = output.absolute().parent
    if output.suffix != SUFFIX:
        raise ConfigError(f"-o {output}: the node exporter reads only files that end in {SUFFIX}.")
    if not folder.is_dir():
        raise ConfigError(f"-o: there is no folder {folder}.", next_move="Create it.")
    if not os.access(folder, os.W_OK):
        raise _unwritable(output, os.strerror(errno.EACCES))


def _once(settings: Settings, limits: CountLimits, output: Path | None) -> None:
    import time

    from migrator import api
    from migrator.monitoring.exposition import Status, as_text, write

    began = time.monotonic()
    measures = api.measure_lake(settings, limits=limits, progress=progress(as_json=output is None))
    now, seconds = time.time(), time.monotonic() - began
    status = Status(measures, up=True, collections=1, succeeded_at=now, seconds=seconds)
    if output is None:
        say_file(as_text(status))
    else:
        try:
            write(status, output)
        except OSError as error:  # its file name is a temporary one
            raise _unwritable(output, error.strerror or str(error)) from error


def _unwritable(output: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"-o {output} cannot be written: {reason}.", next_move="Name a file in a folder that you may write to."
    )


def _serve(settings: Settings, limits: CountLimits, address: tuple[str, int], every: float) -> None:
    from threading import Event

    from migrator import api
    from migrator.monitoring.service import Service

    collect = partial(api.measure_lake, settings, limits=limits, progress=Progress())
    service = Service(collect, partial(click.echo, err=True))
    host = address[0]
    port = service.serve(*address)
    click.echo(f"Serving http://{f'[{host}]' if ':' in host else host}:{port}/metrics", err=True)
    service.run(every, Event())
