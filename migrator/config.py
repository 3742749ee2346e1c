"""``lake.toml`` and the command's options → frozen settings. Unknown keys are errors.

Settings hold no AWS credentials: boto3 finds these itself (environment, profile, instance role). Catalog passwords may
stay in pyiceberg's own configuration.
"""

from __future__ import annotations

import difflib
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from migrator.errors import ConfigError, redacted
from migrator.findings import ACCEPTABLE, ACCEPTABLE_AT_CHECK, CODES
from migrator.layout import Layout, Location
from migrator.scripts.found import CHECKPOINTS, Names
from migrator.store.endpoints import check_endpoint
from migrator.workers.settings import KINDS, MOST_EXECUTORS, EngineSettings

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT_TARGET = "data-lake"
MAX_PRICE = 1_000_000
"""The highest price in [prices]: a higher one is a mistake, and its sums would be too long to read."""

_KEYS: dict[str, tuple[str, ...]] = {
    "source": ("endpoint_url", "region", "profile", "inventories"),
    "target": ("bucket", "endpoint_url", "region", "profile"),
    "plan": ("accept", "all_versions", "object_lock", "keep_scripts"),
    "tables": ("leave", "only"),
    "rewrite-config": ("endpoints", "aliases", "checkpoints"),
    "check": ("layers", "accept"),
    "prices": ("currency", "per_1000_writes", "per_1000_reads", "per_gib_between_servers", "per_gib_month_stored"),
    "engine": ("kind", "master", "executors", "pack", "conf"),
}
MANIFEST_EXAMPLE = "s3://reports/bronze/daily/2026-11-25T01-00Z/manifest.json"
TARGET = "target"
"""The key of a catalog's table that describes the catalog to which its tables move."""
_SECRETS = ("access_key", "secret", "token", "password", "credential")


@dataclass(frozen=True)
class Prices:
    """What a server charges, for the estimates of a plan. A price that is not given is 0."""

    currency: str = "USD"
    per_1000_writes: float = 0.0
    """1,000 requests that list, write or copy: LIST, PUT, COPY, POST."""
    per_1000_reads: float = 0.0
    """1,000 requests that read: GET, HEAD."""
    per_gib_between_servers: float = 0.0
    """1 GiB that leaves the old server for another one."""
    per_gib_month_stored: float = 0.0
    """1 GiB stored for a month."""


@dataclass(frozen=True)
class Settings:
    """The settings of one lake. If ``layout`` is None, the built-in medallion layout is used."""

    target_bucket: str = DEFAULT_TARGET
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    target_endpoint_url: str | None = None
    target_region: str | None = None
    target_profile: str | None = None
    """Given if the target is on another server than the old buckets; see :attr:`connection`."""
    layout: Mapping[str, str | bool] | None = None
    catalogs: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Catalog name → the properties that lake.toml gives; pyiceberg's own configuration fills the rest."""
    catalog_targets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Catalog name → the properties of the catalog to which its tables move: [catalogs.NAME.target]. A catalog without
    an entry here keeps its tables."""
    accept: tuple[str, ...] = ()
    """Codes of blocking findings that the user accepts."""
    leave: tuple[str, ...] = ()
    """Tables that stay where they are: ``namespace.table`` or ``catalog.namespace.table``."""
    only: tuple[str, ...] = ()
    """Patterns of the tables that move in this wave; all tables move if there is none. See
    :func:`migrator.inventory.tables.matches`."""
    rules: tuple[str, ...] = ()
    """The sources of the rules that this plan carries out; all rules if there is none. See
    :mod:`migrator.layout.choice`."""
    inventories: tuple[str, ...] = ()
    """URIs of the manifests of Amazon S3 Inventory reports, which are read in place of listing their buckets. A plan
    that is made anew lists these buckets, so it has none."""
    all_versions: bool = False
    """Copy older versions of the objects, too."""
    object_lock: bool = False
    """Copy retention and legal hold, too."""
    preflight: bool = True
    """Try while planning whether the migration will have the permissions that it needs."""
    left_out: tuple[str, ...] = ()
    """What is not copied with an object: "tags", and storage classes by name. Set from a plan only."""
    asked: tuple[str, ...] = ()
    """Buckets whose objects need a HEAD request before they are copied. Set from a plan only."""
    rewrite_scripts: bool = True
    """The scripts in the lake are rewritten at the target; else copied as they are."""
    known_scripts: Mapping[tuple[str, str, str], bool] | None = None
    """(bucket, key, ETag) → whether this script is rewritten, as an earlier generation of the plan has found; it is not
    read again. None: a new plan. Set from a plan only."""
    script_endpoints: tuple[str, ...] = ()
    """More URLs under which scripts reach the server of the old buckets."""
    script_aliases: tuple[str, ...] = ()
    """Aliases of mc that stand for that server in scripts."""
    script_checkpoints: str | None = None
    """The local folder of checkpoints that scripts name; None for the usual one."""
    check_layers: tuple[str, ...] = ()
    """Folders of the target that belong to its structure, although no old bucket becomes them."""
    check_accept: tuple[str, ...] = ()
    """Codes of findings because of which a check does not fail."""
    prices: Prices | None = None
    """What requests, transfer and storage cost; None: a plan shows no money."""
    engine: EngineSettings = field(default_factory=EngineSettings)
    """Where the work of a migration is done."""
    path: Path | None = None

    @property
    def connection(self) -> dict[str, Any]:
        """The arguments of :func:`migrator.store.connect`.

        Settings of the target that are not given are those of the source; but if the target has a profile of its own,
        its region comes from that profile.
        """
        how: dict[str, Any] = {"left_out": self.left_out} if self.left_out else {}
        if self.asked:
            how["asked"] = self.asked
        if self.object_lock:
            how["locks"] = True
        return {
            "endpoint_url": self.endpoint_url,
            "region": self.region,
            "profile": self.profile,
            **how,
            "target": {
                "endpoint_url": self.target_endpoint_url or self.endpoint_url,
                "region": self.target_region or (None if self.target_profile else self.region),
                "profile": self.target_profile or self.profile,
                **how,
            },
            "target_bucket": self.target_bucket,
        }

    def override(
        self,
        *,
        endpoint_url: str | None = None,
        target: str | None = None,
        target_endpoint_url: str | None = None,
        catalogs: tuple[str, ...] = (),
        all_versions: bool = False,
        object_lock: bool = False,
        preflight: bool = True,
        keep_scripts: bool = False,
        leave: tuple[str, ...] = (),
        inventories: tuple[str, ...] = (),
        accept: tuple[str, ...] = (),
        rules: tuple[str, ...] = (),
    ) -> Settings:
        """These settings with the command line's options on top. ``None`` and False leave a setting as it is;
        ``inventories`` take the place of those in lake.toml.

        Raises ConfigError for an invalid endpoint, an invalid URI of a manifest, and an unknown code in ``accept``.
        """
        for option, url in (("--endpoint-url", endpoint_url), ("--target-endpoint-url", target_endpoint_url)):
            if url:
                check_endpoint(url, option)
        merged = {**{name: {} for name in catalogs}, **self.catalogs}
        return replace(
            self,
            endpoint_url=endpoint_url or self.endpoint_url,
            target_bucket=target or self.target_bucket,
            target_endpoint_url=target_endpoint_url or self.target_endpoint_url,
            catalogs=merged,
            all_versions=all_versions or self.all_versions,
            object_lock=object_lock or self.object_lock,
            preflight=preflight and self.preflight,
            rewrite_scripts=self.rewrite_scripts and not keep_scripts,
            leave=tuple(dict.fromkeys((*self.leave, *leave))),
            inventories=_inventories(inventories, "--inventory") or self.inventories,
            accept=tuple(dict.fromkeys((*self.accept, *checked_codes(accept, "--accept")))),
            rules=tuple(dict.fromkeys(rules)) or self.rules,
        )

    def for_scripts(
        self, *, endpoints: Iterable[str] = (), aliases: Iterable[str] = (), checkpoints: str | None = None
    ) -> Settings:
        """These settings with more names under which scripts know the lake. Raises ConfigError for an invalid
        endpoint."""
        return replace(
            self,
            script_endpoints=(*self.script_endpoints, *_endpoints(endpoints, "--endpoint")),
            script_aliases=(*self.script_aliases, *aliases),
            script_checkpoints=checkpoints or self.script_checkpoints,
        )

    def rewrite_config(self, place: str) -> str:
        """The command that shows what these settings change in the scripts of a place in the lake."""
        if self.path is not None:
            return f"migrator rewrite-config --config {shlex.quote(str(self.path))} {shlex.quote(place)}"
        endpoint = f"AWS_ENDPOINT_URL_S3={shlex.quote(self.endpoint_url)} " if self.endpoint_url else ""
        target = "" if self.target_bucket == DEFAULT_TARGET else f"--target {shlex.quote(self.target_bucket)} "
        return f"{endpoint}migrator rewrite-config {target}{shlex.quote(place)}"

    def script_names(self, layout: Layout) -> Names:
        """The names under which scripts know the lake. Raises ConfigError."""
        endpoints = [*([self.endpoint_url] if self.endpoint_url else []), *self.script_endpoints]
        return Names(
            layout,
            tuple(dict.fromkeys(endpoints)),
            tuple(dict.fromkeys(self.script_aliases)),
            self.script_checkpoints or CHECKPOINTS,
            other_server=self.target_endpoint_url not in (None, self.endpoint_url),
        )


def load(path: Path) -> Settings:
    """Read ``lake.toml``. Raises ConfigError that names the file, the key and the nearest known one."""
    try:
        return _parsed(path)
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply.", next_move="Correct it.") from error


def _parsed(path: Path) -> Settings:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.", next_move="Check --config.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.", next_move="Correct it.") from error
    try:
        return _settings(document, path)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error.message}", next_move=error.next_move) from error


def _settings(document: dict[str, Any], path: Path) -> Settings:
    _known("", document, (*_KEYS, "layout", "catalogs"))
    source, target, plan, tables, scripts, check, prices, engine = (_section(document, name) for name in _KEYS)
    bucket = _text("target", target, "bucket") or DEFAULT_TARGET
    return Settings(
        target_bucket=bucket,
        endpoint_url=_endpoint("source", source),
        region=_text("source", source, "region"),
        profile=_text("source", source, "profile"),
        inventories=_inventories(_texts("source", source, "inventories", MANIFEST_EXAMPLE), "[source] inventories"),
        target_endpoint_url=_endpoint("target", target),
        target_region=_text("target", target, "region"),
        target_profile=_text("target", target, "profile"),
        layout=_layout(document, bucket),
        catalogs={name: _properties(name, given) for name, given in _table(document, "catalogs").items()},
        catalog_targets={
            name: _properties(f"{name}.{TARGET}", given[TARGET])
            for name, given in _table(document, "catalogs").items()
            if TARGET in given
        },
        accept=checked_codes(_texts("plan", plan, "accept", "delta-log"), "[plan] accept"),
        leave=_texts("tables", tables, "leave", "db.table"),
        only=_texts("tables", tables, "only", "gold.*"),
        script_endpoints=_endpoints(
            _texts("rewrite-config", scripts, "endpoints", "http://minio:9000"), "[rewrite-config] endpoints"
        ),
        script_aliases=_texts("rewrite-config", scripts, "aliases", "myminio"),
        script_checkpoints=_text("rewrite-config", scripts, "checkpoints"),
        check_layers=checked_layers(_texts("check", check, "layers", "platinum/"), "[check] layers"),
        check_accept=checked_codes(_texts("check", check, "accept", "old-path"), "[check] accept", ACCEPTABLE_AT_CHECK),
        prices=_prices(prices) if prices else None,
        engine=_engine(engine),
        all_versions=_flag("plan", plan, "all_versions"),
        object_lock=_flag("plan", plan, "object_lock"),
        rewrite_scripts=not _flag("plan", plan, "keep_scripts"),
        path=path.resolve(),
    )


def _layout(document: dict[str, Any], bucket: str) -> dict[str, Any] | None:
    """The rules, or None for the built-in ones. Mistakes are reported before any request is sent."""
    if "layout" not in document:
        return None
    layout = _table(document, "layout")
    if not layout:
        raise ConfigError(
            "[layout] has no rule, so nothing would move.",
            next_move='Write at least one, such as "s3://bronze/" = "bronze/", or leave [layout] out: then buckets '
            "with the names of the medallion layout move.",
        )
    Layout.from_mapping(bucket, layout)
    return layout


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"[{name}] must be a table.", next_move=f"Write it as [{name}] with keys below.")
    return value


def _section(document: dict[str, Any], name: str) -> dict[str, Any]:
    section = _table(document, name)
    _known(name, section, _KEYS[name])
    return section


def _known(section: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key in known:
            continue
        where = f"[{section}] {key}" if section else f"[{key}]"
        if any(word in key.lower() for word in _SECRETS):
            raise ConfigError(
                f"{where}: credentials do not belong in lake.toml.",
                next_move="Set AWS_PROFILE or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.",
            )
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known here: {', '.join(known)}."
        raise ConfigError(f"unknown key {where}.", next_move=hint)


def _text(section: str, given: Mapping[str, Any], key: str) -> str | None:
    value = given.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"[{section}] {key} must be a non-empty string, not {value!r}.")
    return value


def _endpoint(section: str, given: Mapping[str, Any]) -> str | None:
    url = _text(section, given, "endpoint_url")
    if url is not None:
        check_endpoint(url, f"[{section}] endpoint_url")
    return url


def _endpoints(urls: Iterable[str], where: str) -> tuple[str, ...]:
    urls = tuple(urls)
    for url in urls:
        check_endpoint(url, where)
    return urls


def _inventories(uris: Iterable[str], where: str) -> tuple[str, ...]:
    """The URIs of manifests. Raises ConfigError for a URI that is no object in S3."""
    uris = tuple(dict.fromkeys(uris))
    for uri in uris:
        at = Location.parse(uri)
        if at is None or not at.key or at.key.endswith("/"):
            raise ConfigError(
                f"{where}: {redacted(uri)!r} is no manifest of an S3 Inventory report.",
                next_move=f"For example {MANIFEST_EXAMPLE!r}.",
            )
    return uris


def _flag(section: str, given: Mapping[str, Any], key: str) -> bool:
    value = given.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"[{section}] {key} must be true or false, not {value!r}.")
    return value


def _prices(given: Mapping[str, Any]) -> Prices:
    amounts = {key: _amount("prices", given, key) for key in given if key != "currency"}
    return Prices(_text("prices", given, "currency") or Prices.currency, **amounts)


def _amount(section: str, given: Mapping[str, Any], key: str) -> float:
    value = given[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_PRICE:
        raise ConfigError(f"[{section}] {key} must be a number from 0 to {MAX_PRICE:,}, not {value!r}.")
    return float(value)


def _engine(given: Mapping[str, Any]) -> EngineSettings:
    kind = _text("engine", given, "kind") or EngineSettings.kind
    if kind not in KINDS:
        raise ConfigError(f"[engine] kind must be one of {', '.join(KINDS)}, not {kind!r}.")
    executors = given.get("executors")
    if executors is not None and (type(executors) is not int or not 1 <= executors <= MOST_EXECUTORS):
        raise ConfigError(f"[engine] executors must be a whole number from 1 to {MOST_EXECUTORS:,}, not {executors!r}.")
    conf = {}
    for key, value in _table(dict(given), "conf").items():
        if any(word in key.lower().replace(".", "_") for word in _SECRETS):
            raise ConfigError(
                f"[engine.conf] {key}: credentials do not belong in lake.toml.",
                next_move="Executors find theirs in the usual AWS places; others belong in spark-defaults.conf.",
            )
        if isinstance(value, dict | list):
            raise ConfigError(f"[engine.conf] {key} must be a plain value.", next_move=f'Quote the key: "{key}.…".')
        conf[key] = str(value).lower() if isinstance(value, bool) else str(value)
    pack = _text("engine", given, "pack")
    return EngineSettings(kind, _text("engine", given, "master"), executors, pack, conf)


def _properties(name: str, given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        raise ConfigError(f"[catalogs] {name} must be a table.", next_move=f"Write [catalogs.{name}].")
    properties = {}
    for key, value in given.items():
        if key == TARGET and isinstance(value, dict) and not name.endswith(f".{TARGET}"):
            continue
        if isinstance(value, dict | list):
            raise ConfigError(f"[catalogs.{name}] {key} must be a plain value.", next_move=f'Quote the key: "{key}.…".')
        properties[key] = str(value).lower() if isinstance(value, bool) else str(value)
    return properties


def _texts(section: str, given: Mapping[str, Any], key: str, example: str) -> tuple[str, ...]:
    values = given.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ConfigError(f"[{section}] {key} must be a list of strings.", next_move=f'For example ["{example}"].')
    return tuple(values)


def checked_codes(codes: Iterable[str], where: str, among: Sequence[str] = ACCEPTABLE) -> tuple[str, ...]:
    """The codes, after checking that each is in ``among``, the codes that may be accepted. Raises ConfigError for the
    first that is not."""
    codes = tuple(codes)
    for code in codes:
        if code in among:
            continue
        what = "is a finding that cannot be accepted" if code in CODES else "is not the code of a finding"
        near = difflib.get_close_matches(code, among, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"{where} cannot include {code!r}, which {what}.",
            next_move=f"{hint}It may include: {', '.join(among)}.",
        )
    return codes


def checked_layers(names: Iterable[str], where: str) -> tuple[str, ...]:
    """The names of layers, without slashes at their ends. Raises ConfigError for one that is no plain folder."""
    layers = []
    for given in names:
        name = given.strip().removesuffix("/")
        parts = name.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "://" in name:
            raise ConfigError(f"{where}: {given!r} is not the name of a folder.", next_move='For example "platinum/".')
        layers.append(name)
    return tuple(dict.fromkeys(layers))
