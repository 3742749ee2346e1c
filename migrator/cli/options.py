"""The options that several commands share. Options that belong together arrive at a command as one value."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from migrator.copying.concurrency_limit import (
    MAX_BANDWIDTH,
    MAX_CONCURRENCY,
    MAX_TPS,
    MIN_BANDWIDTH,
    MIN_TPS,
    RequestLimits,
)
from migrator.copying.verify_modes import AUTO, MAX_FAILURES, VERIFY
from migrator.findings import AT_MIGRATION
from migrator.layout import MEDALLION
from migrator.settings.kinds import ENABLED, KEEP, SSE_KMS, SSE_S3, TRANSLATED, Decisions, option_of
from migrator.settings.new_lake import ABORT_DAYS, NewLake
from migrator.workers.settings import KINDS

if TYPE_CHECKING:
    from migrator.config import Settings
    from migrator.copying.stage import CopySettings
    from migrator.monitoring.measures import CountLimits

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]


@dataclass(frozen=True)
class LakeOptions:
    """The options that select a lake."""

    config: Path | None = None
    endpoint_url: str | None = None
    target: str | None = None
    target_endpoint_url: str | None = None
    catalogs: tuple[str, ...] = ()

    def settings(self) -> Settings:
        """The settings of ``--config``, changed by the other options. Raises ConfigError."""
        from migrator.config import Settings, load

        return (load(self.config) if self.config else Settings()).override(
            endpoint_url=self.endpoint_url,
            target=self.target,
            target_endpoint_url=self.target_endpoint_url,
            catalogs=self.catalogs,
        )


@dataclass(frozen=True)
class ScriptOptions:
    """The names under which scripts know a lake."""

    config: Path | None = None
    target: str | None = None
    endpoints: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    checkpoints: str | None = None

    def settings(self) -> Settings:
        """The settings of ``--config``, changed by the other options. Raises ConfigError."""
        from migrator.config import Settings, load

        settings = (load(self.config) if self.config else Settings()).override(target=self.target)
        return settings.for_scripts(endpoints=self.endpoints, aliases=self.aliases, checkpoints=self.checkpoints)


@dataclass(frozen=True)
class PlanOptions:
    """What a plan includes."""

    all_versions: bool = False
    object_lock: bool = False
    keep_scripts: bool = False
    rules: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()
    inventories: tuple[str, ...] = ()


@dataclass(frozen=True)
class CopyOptions:
    """How objects are copied. ``tps``: requests per second; ``bandwidth``: bytes per second."""

    concurrency: int = RequestLimits().concurrency
    tps: float | None = None
    bandwidth: float | None = None
    verify_content: str = AUTO
    max_failures: int = MAX_FAILURES
    files_from: Path | None = None
    engine: str | None = None

    def settings(self) -> CopySettings:
        """The same for :func:`migrator.api.migrate_lake`. Raises ConfigError if ``files_from`` cannot be read."""
        from migrator.api import CopySettings
        from migrator.copying.failed_list import read_list
        from migrator.copying.options import Options

        limits = RequestLimits(self.concurrency, self.tps, self.bandwidth)
        only = read_list(self.files_from) if self.files_from else None
        return CopySettings(Options(limits, self.verify_content), self.max_failures, only, self.engine)


@dataclass(frozen=True)
class CutoverOptions:
    """When a migration cuts over."""

    no_cutover: bool = False
    accept_late: bool = False
    accept: tuple[str, ...] = ()


@dataclass(frozen=True)
class LiveOptions:
    """How a lake in use is cut over. Times are in seconds."""

    quiet_for: float
    wait: float
    fence: bool = False
    fence_keep: bool = False
    unfence: bool = False

    def check(self) -> None:
        """Raises UsageError for more than one option about the fence."""
        if self.fence + self.fence_keep + self.unfence > 1:
            raise click.UsageError("Give one of --fence, --fence-keep and --unfence.")

    @property
    def how(self) -> str | None:
        """The same for :func:`migrator.api.cutover_lake`."""
        from migrator.api import FENCE, FENCE_KEEP

        return FENCE if self.fence else FENCE_KEEP if self.fence_keep else None


@dataclass(frozen=True)
class WatchOptions:
    """Where a migration shows its result and its progress."""

    metrics_file: Path | None = None
    as_json: bool = False


@dataclass(frozen=True)
class CountOptions:
    """What counts as small and as an orphan, and how many tables are shown one by one. Sizes are in bytes, times in
    seconds."""

    small_file: float
    orphan_age: float
    most_tables: int

    def limits(self) -> CountLimits:
        """The same for :func:`migrator.api.measure_lake`."""
        from migrator.monitoring.measures import CountLimits

        return CountLimits(int(self.small_file), self.orphan_age, self.most_tables)


@dataclass(frozen=True)
class AlsoRemove:
    """What a retirement removes in addition to the sources."""

    remove_buckets: bool = False
    remove_old_entries: bool = False


@dataclass(frozen=True)
class DecisionOptions:
    """What a person decides about the settings of the target."""

    without: tuple[str, ...] = ()
    encryption: str | None = None
    versioning: str | None = None
    expire_tables: bool = False
    shared: tuple[str, ...] = ()

    def decisions(self) -> Decisions:
        """The same for :func:`migrator.api.show_settings`."""
        shared = tuple(f"{prefix.strip('/')}/" for prefix in self.shared)
        return Decisions(frozenset(self.without), self.encryption, self.versioning, self.expire_tables, shared)


@dataclass(frozen=True)
class NewLakeOptions:
    """What a new lake gets."""

    target: str = ""
    layers: str = ""
    expire: tuple[tuple[str, int], ...] = ()
    expire_tables: bool = False
    abort_uploads: int = ABORT_DAYS
    encryption: str | None = None
    versioning: bool = False
    markers: bool = False

    def new_lake(self) -> NewLake:
        """The same for :func:`migrator.api.init_lake`. Raises UsageError or ConfigError for wrong layers."""
        named = (name.strip().strip("/") for name in self.layers.split(","))
        layers = tuple(dict.fromkeys(name for name in named if name))
        if not layers:
            raise click.UsageError("--layers: name at least one.")
        new = NewLake(
            self.target,
            layers,
            dict(self.expire),
            self.abort_uploads,
            self.encryption,
            self.versioning,
            self.markers,
            self.expire_tables,
        )
        new.check()
        return new


def is_given(options: LakeOptions | PlanOptions) -> bool:
    """True if the command line has any of these options."""
    return any(vars(options).values())


def _together(name: str, kind: type, *options: Decorator[Any]) -> Decorator[Command]:
    """A decorator that gives a command these options, in this order, and passes them as one ``kind`` named ``name``."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def call(*arguments: Any, **given: Any) -> Any:
            given[name] = kind(**{field.name: given.pop(field.name) for field in fields(kind)})
            return command(*arguments, **given)

        decorated: Any = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


class Bandwidth(click.ParamType):  # type: ignore[type-arg]
    """A number of bytes: 500000, 200M, 1.5G; units are powers of 1,024."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that the text stands for. Fails with a usage error."""
        match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)(?:i?B)?(?:/s)?", str(value), re.IGNORECASE)
        if match is None or not float(match[1]):
            self.fail(f"{value!r} is not a size: write it like 200M.", param, ctx)
        exponent = " KMGT".index(match[2].upper() or " ")
        count = float(float(match[1]) * 1024**exponent)
        if not MIN_BANDWIDTH <= count <= MAX_BANDWIDTH:
            self.fail(f"{value!r} is out of bounds: between 1K and 1024T bytes per second.", param, ctx)
        return count


class Duration(click.ParamType):  # type: ignore[type-arg]
    """A time: 30s, 10m, 2h, or a number of seconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number of seconds. Fails with a usage error."""
        match = re.fullmatch(r"([0-9]{1,7}(?:\.[0-9]+)?)([smh]?)", str(value))
        if match is None:
            self.fail(f"{value!r} is not a time. Write it like 30s, 10m or 2h.", param, ctx)
        return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


class Encryption(click.ParamType):  # type: ignore[type-arg]
    """A default encryption: sse-s3, sse-kms or sse-kms:KEY."""

    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text as it is. Fails with a usage error."""
        if value not in (SSE_S3, SSE_KMS) and not re.fullmatch(rf"{SSE_KMS}:\S+", str(value)):
            self.fail(f"{value!r} is no encryption: write sse-s3, sse-kms or sse-kms:KEY.", param, ctx)
        return str(value)


class Expiration(click.ParamType):  # type: ignore[type-arg]
    """A layer and a number of days: logs=90."""

    name = "layer=days"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        """(layer, days). Fails with a usage error."""
        match = re.fullmatch(r"(.+)=([1-9][0-9]{0,5})", str(value))
        if match is None:
            self.fail(f"{value!r}: write it as LAYER=DAYS, such as logs=90.", param, ctx)
        return match[1].strip("/"), int(match[2])


class RequestRate(click.ParamType):  # type: ignore[type-arg]
    """A number of requests per second."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number that the text stands for. Fails with a usage error."""
        try:
            count = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number.", param, ctx)
        if not MIN_TPS <= count <= MAX_TPS:  # false for nan, too
            self.fail(f"{value!r} is out of bounds: between {MIN_TPS:g} and {MAX_TPS:,.0f}.", param, ctx)
        return count


_SETTINGS = tuple(option_of(setting) for setting in TRANSLATED)

endpoint_url_option = click.option(
    "--endpoint-url", metavar="URL", help="The S3 endpoint.  [default: AWS_ENDPOINT_URL_S3, else AWS]"
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help='Print JSON; "migrator explain --json-keys" says what the keys mean.'
)
plan_argument = click.argument("plan", type=click.Path(path_type=Path))
plans_argument = click.argument("plans", type=click.Path(path_type=Path), nargs=-1, metavar="[PLAN]...")
plans_to_verify = click.argument("plans", type=click.Path(path_type=Path), nargs=-1, required=True, metavar="PLAN...")
optional_plan_argument = click.argument("plan", type=click.Path(path_type=Path), required=False)

lake_options = _together(
    "lake",
    LakeOptions,
    click.option(
        "--config",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help='A configuration file (lake.toml); "migrator explain --config-example" prints one.',
    ),
    endpoint_url_option,
    click.option("--target", metavar="BUCKET", help="The bucket that everything is copied to.  [default: data-lake]"),
    click.option(
        "--target-endpoint-url", metavar="URL", help="The S3 endpoint of the target.  [default: the same endpoint]"
    ),
    click.option(
        "--catalog",
        "catalogs",
        multiple=True,
        metavar="NAME",
        help="A catalog of your pyiceberg configuration whose tables move. Repeatable.",
    ),
)

count_options = _together(
    "counting",
    CountOptions,
    click.option(
        "--small-file",
        type=Bandwidth(),
        default="16M",
        show_default=True,
        help="Data files below this size count as small.",
    ),
    click.option(
        "--orphan-age",
        type=Duration(),
        default="72h",
        show_default=True,
        help="Younger objects do not count as orphans: they may belong to a commit in progress.",
    ),
    click.option(
        "--most-tables",
        type=click.IntRange(0, 1_000_000),
        default=1_000,
        show_default=True,
        help="How many tables get separate metrics: unreadable ones first, then the largest.",
    ),
)

script_options = _together(
    "names",
    ScriptOptions,
    click.option("--config", type=click.Path(path_type=Path), metavar="FILE", help="Use the layout of this lake.toml."),
    click.option("--target", metavar="BUCKET", help="The bucket that everything is moved to.  [default: data-lake]"),
    click.option(
        "--endpoint",
        "endpoints",
        multiple=True,
        metavar="URL",
        help="An S3 endpoint in whose URLs paths are rewritten. Repeatable.",
    ),
    click.option(
        "--alias",
        "aliases",
        multiple=True,
        metavar="NAME",
        help="An alias of mc that stands for the server of the old buckets. Repeatable.",
    ),
    click.option(
        "--checkpoints", metavar="FOLDER", help="The local folder of checkpoints.  [default: /tmp/checkpoints/]"
    ),
)

decision_options = _together(
    "decided",
    DecisionOptions,
    click.option(
        "--without",
        multiple=True,
        type=click.Choice(_SETTINGS),
        metavar="SETTING",
        help=f"Leave this setting of the target as it is: {', '.join(_SETTINGS)}. Repeatable.",
    ),
    click.option(
        "--encryption",
        type=Encryption(),
        metavar="KIND",
        help="The default encryption, where the old buckets differ: sse-s3, sse-kms or sse-kms:KEY.",
    ),
    click.option(
        "--versioning",
        type=click.Choice((ENABLED, KEEP)),
        help="Whether older versions are kept, where the old buckets differ; keep: as the target is set now.",
    ),
    click.option(
        "--expire-tables", is_flag=True, help="Carry over rules that delete objects of tables or checkpoints by age."
    ),
    click.option(
        "--shared",
        multiple=True,
        metavar="PREFIX",
        help="Apply the settings of one old place to everything that goes to this prefix. Repeatable.",
    ),
)

new_lake_options = _together(
    "asked",
    NewLakeOptions,
    click.option(
        "--target", default="data-lake", show_default=True, metavar="BUCKET", help="The bucket of the new lake."
    ),
    click.option(
        "--layers",
        default=",".join(MEDALLION),
        metavar="NAMES",
        help=f"The layers, with commas between them.  [default: {', '.join(MEDALLION)}]",
    ),
    click.option(
        "--expire",
        multiple=True,
        type=Expiration(),
        metavar="LAYER=DAYS",
        help="Delete the objects of this layer after this number of days. Repeatable. Nothing is deleted without it.",
    ),
    click.option("--expire-tables", is_flag=True, help="Allow --expire for warehouse and checkpoints, too."),
    click.option(
        "--abort-uploads",
        default=ABORT_DAYS,
        show_default=True,
        type=click.IntRange(1, 3650),
        metavar="DAYS",
        help="Remove the parts of uploads that were not finished after this number of days.",
    ),
    click.option(
        "--encryption",
        type=Encryption(),
        metavar="KIND",
        help="The default encryption: sse-s3, sse-kms or sse-kms:KEY.  [default: sse-s3, where the server can]",
    ),
    click.option("--versioning", is_flag=True, help="Keep older versions of objects."),
    click.option("--markers", is_flag=True, help="Write an empty object for each layer, so that consoles show it."),
)

plan_options = _together(
    "planning",
    PlanOptions,
    click.option("--all-versions", is_flag=True, help="Also copy older versions of objects, and delete markers."),
    click.option("--object-lock", is_flag=True, help="Also copy the retention and legal hold of objects."),
    click.option(
        "--keep-scripts", is_flag=True, help="Copy the scripts in the lake without changing the paths in them."
    ),
    click.option(
        "--rule",
        "rules",
        multiple=True,
        metavar="SOURCE",
        help="Carry out only this rule of the layout, such as s3://bronze/; the others stay for other plans. "
        "Repeatable.",
    ),
    click.option(
        "--leave",
        multiple=True,
        metavar="NAME",
        help="Do not move this table of a catalog: namespace.table or catalog.namespace.table. Repeatable.",
    ),
    click.option(
        "--inventory",
        "inventories",
        multiple=True,
        metavar="URI",
        help="Read this Amazon S3 Inventory report (the URI of its manifest.json) in place of listing its bucket; "
        "folders of tables are listed all the same. Repeatable.",
    ),
)


def engine_option(what: str) -> Callable[[Any], Any]:
    """The option ``--engine``. ``what``: which work is done there."""
    where = "on this machine, or on the executors of Spark.  [default: [engine] in lake.toml, else local]"
    return click.option("--engine", type=click.Choice(KINDS), help=f"{what}: {where}")


copy_options = _together(
    "copying",
    CopyOptions,
    click.option(
        "--concurrency",
        type=click.IntRange(1, MAX_CONCURRENCY),
        default=RequestLimits().concurrency,
        show_default=True,
        help="Maximum concurrent requests; tuned automatically.",
    ),
    click.option("--tps", type=RequestRate(), metavar="NUMBER", help="Maximum requests per second."),
    click.option("--bandwidth", type=Bandwidth(), metavar="SIZE", help="Maximum bytes per second, such as 200M."),
    click.option(
        "--verify-content",
        type=click.Choice(VERIFY),
        default=AUTO,
        show_default=True,
        help="When to compare the bytes of a copy with those of its source; auto: only where no ETag or checksum "
        "proves that they are equal.",
    ),
    click.option(
        "--max-failures",
        type=click.IntRange(min=1),
        default=MAX_FAILURES,
        show_default=True,
        help="Stop when this number of objects could not be copied.",
    ),
    click.option(
        "--files-from",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Copy only the objects that FILE lists, one s3:// URI per line, then stop.",
    ),
    engine_option("Where the work is done"),
)

cutover_options = _together(
    "cutover",
    CutoverOptions,
    click.option("--no-cutover", is_flag=True, help="Copy and rewrite, but do not change any pointer yet."),
    click.option(
        "--accept-late",
        is_flag=True,
        help="Cut over even if the old buckets changed since planning; those changes are not copied.",
    ),
    click.option(
        "--accept",
        multiple=True,
        type=click.Choice(sorted(AT_MIGRATION)),
        help='Continue despite findings with this code before the cutover; see "migrator explain CODE". Repeatable.',
    ),
)

live_options = _together(
    "live",
    LiveOptions,
    click.option(
        "--quiet-for",
        type=Duration(),
        default="10s",
        show_default=True,
        help="How long the old buckets must have been without a write.",
    ),
    click.option("--wait", type=Duration(), default="10m", show_default=True, help="How long to wait for that."),
    click.option(
        "--fence", is_flag=True, help="Deny writes to the old buckets by their policies until the command has ended."
    ),
    click.option(
        "--fence-keep", is_flag=True, help="The same, and keep denying writes after a cutover that succeeded."
    ),
    click.option("--unfence", is_flag=True, help="Only give the fenced old buckets their policies back."),
)

watch_options = _together(
    "watching",
    WatchOptions,
    click.option(
        "--metrics-file",
        type=click.Path(path_type=Path),
        metavar="FILE.prom",
        help="Keep the progress in FILE.prom, for the textfile collector of Prometheus' node exporter.",
    ),
    json_option,
)

also_remove_options = _together(
    "also",
    AlsoRemove,
    click.option("--remove-buckets", is_flag=True, help="Also remove the old buckets that are empty then."),
    click.option(
        "--remove-old-entries",
        is_flag=True,
        help="Also remove from the old catalog the entries of tables that moved to another catalog; no file is "
        "deleted.",
    ),
)
