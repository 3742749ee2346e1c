"""The description of a plan: the types of the dictionaries that Python callers get and that ``--json`` prints.

``migrator explain --json-keys`` says what each key means. Sizes are in bytes.
"""

from __future__ import annotations

from typing import Any, TypedDict

from migrator.findings import FindingDescription

CARRIED_OUT = ("cut over", "finished", "retiring", "retired")
"""Phases in which everything that was planned is done."""
ROLLING_BACK = ("rolling back", "rolled back in part")
"""Phases of a rollback that has begun and has not ended."""

Actions = dict[str, dict[str, int]]
"""Action → ``objects`` and ``bytes``."""


class ServerDescription(TypedDict):
    """The servers of the old buckets and of the target, and whether the bytes go through this machine."""

    endpoint_url: str
    region: str | None
    profile: str | None
    target_endpoint_url: str
    target_region: str | None
    target_profile: str | None
    streamed: bool


class InventoryDescription(TypedDict):
    """An S3 Inventory report that the plan was made from. The age is that at the time of the plan."""

    bucket: str
    manifest: str
    created: str
    age_seconds: int
    age: str
    objects: int


class PrefixDescription(TypedDict):
    """What happens to the objects of one rule of the layout."""

    source: str
    target: str | None
    objects: int
    bytes: int
    actions: Actions


class TableDescription(TypedDict):
    """One table or view: what it is, what it uses, and whether it can be moved."""

    identifier: str
    catalog: str | None
    catalog_kind: str | None
    namespace: str
    name: str
    kind: str
    uuid: str | None
    format_version: int | None
    old_location: str | None
    new_location: str | None
    old_metadata: str
    new_metadata: str | None
    state: str
    snapshots: int | None
    manifests: int | None
    data_files: int | None
    delete_files: int | None
    rewrite_files: int
    rewrite_bytes: int
    data_bytes: int | None
    delete_bytes: int | None
    deletes: list[dict[str, Any]]
    writers: list[str]
    features: list[str]
    buckets: dict[str, dict[str, int]]
    snapshot_days: dict[str, int]
    problems: list[str]
    migratable: bool


class RequestsEstimate(TypedDict):
    """How many requests of one kind. ``exact``: only retries can change the number."""

    count: int
    exact: bool


class SecondsEstimate(TypedDict):
    """How long something takes: the most likely, the shortest and the longest time."""

    low: float
    likely: float
    high: float


class BytesEstimate(TypedDict):
    """Bytes copied by the server, and read and written through this machine."""

    copied_on_server: int
    read: int
    written: int


class MeasuredDescription(TypedDict):
    """What planning measured with trial requests; None if it did not measure it. ``why_not``: why copies were not
    measured."""

    copies_per_second: float | None
    reads_per_second: float | None
    copied_bytes_per_second: float | None
    read_bytes_per_second: float | None
    requests_at_once: int
    probe_seconds: float
    why_not: str | None


class CostEstimate(TypedDict):
    """Money at the prices in the plan. ``second_copy_per_day``: both copies are stored until ``retire``."""

    currency: str
    requests: float
    between_servers: float
    total: float
    second_copy_per_day: float


class ActualDescription(TypedDict):
    """How long carrying out the plan took, by its log. ``complete`` False: a run was interrupted, and its work after
    its last entry is not counted. ``as_estimated``: the total is within the estimated range."""

    seconds: dict[str, float]
    runs: int
    complete: bool
    as_estimated: bool | None


class EstimatesDescription(TypedDict):
    """The estimates for carrying out a plan. ``seconds`` and ``seconds_unknown`` are by stage, with a ``total``."""

    requests: dict[str, RequestsEstimate]
    bytes: BytesEstimate
    seconds: dict[str, SecondsEstimate | None]
    seconds_unknown: dict[str, str]
    measured: MeasuredDescription
    cost: CostEstimate | None
    plan_bytes: int | None
    journal_bytes: int
    actual: ActualDescription | None


class LayoutDescription(TypedDict):
    """The rules of a plan: those that it carries out, and those that are left to other plans."""

    layout: dict[str, Any]
    rules: list[str]
    later_rules: dict[str, Any]


class PlanDescription(ServerDescription, LayoutDescription):
    """Everything in a plan except its object rows."""

    plan: str
    format: int
    tool_version: str
    created: str
    digest: str
    first_digest: str
    config: str | None
    phase: str
    target_bucket: str
    catalogs: dict[str, str]
    target_catalogs: dict[str, str]
    blocked: bool
    changes_pending: bool
    pointers: dict[str, int]
    later: dict[str, int] | None
    actions: Actions
    s3_inventories: list[InventoryDescription]
    all_versions: bool
    object_lock: bool
    versions: dict[str, dict[str, int]]
    prefixes: list[PrefixDescription]
    tables: list[TableDescription]
    unregistered: list[dict[str, str]]
    namespaces: list[dict[str, str]]
    findings: list[FindingDescription]
    estimates: EstimatesDescription
    changes: list[dict[str, str]]
