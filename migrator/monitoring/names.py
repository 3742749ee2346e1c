"""Every metric: its name, type, labels and meaning. The program, the documents and the tests use them."""

from __future__ import annotations

from dataclasses import dataclass

GAUGE, COUNTER, UNTYPED = "gauge", "counter", "untyped"

LAYER = ("layer", "kind")
TABLE = ("catalog", "namespace", "table", "layer")
PLAN, STAGE = ("plan",), ("plan", "stage")


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. The name of a counter ends with ``_total``; a metric with such a name that may fall is untyped, because
    promtool refuses a gauge with that name."""

    name: str
    means: str
    labels: tuple[str, ...] = ()
    type: str = GAUGE


BUILD = Metric("migrator_build_info", "Always 1; the version of migrator is a label.", ("version",))
UP = Metric("migrator_up", "1 if the last collection succeeded, 0 if it failed, and 0 before the first one has ended.")
COLLECTIONS = Metric("migrator_collections_total", "Collections that ended, failed ones included.", type=COUNTER)
FAILURES = Metric("migrator_collection_failures_total", "Collections that failed.", type=COUNTER)
SUCCEEDED_AT = Metric(
    "migrator_collection_last_success_timestamp_seconds", "When the collection ended that the numbers are from."
)
FAILED_AT = Metric("migrator_collection_last_failure_timestamp_seconds", "When a collection failed last.")
DURATION = Metric("migrator_collection_duration_seconds", "How long the collection took that the numbers are from.")
COMPLETE = Metric(
    "migrator_collection_complete", "1 if every catalog, table and script could be read, 0 if something is missing."
)
TARGET_EXISTS = Metric("migrator_target_exists", "1 if the target bucket exists.")
CATALOG = Metric("migrator_catalog_readable", "1 if the catalog could be read.", ("catalog",))
FINDINGS = Metric(
    "migrator_findings", "Places that `migrator check` finds, by the code of the finding.", ("code", "severity")
)
TABLES = Metric("migrator_tables", "Tables in the target, those that could not be read included.")
UNREADABLE = Metric("migrator_tables_unreadable", "Tables that could not be read.")
NOT_EXPORTED = Metric(
    "migrator_tables_not_exported", "Tables beyond `--most-tables`, which have no series of their own."
)

LAYER_OBJECTS = Metric("migrator_layer_objects", "Objects in the folder.", LAYER)
LAYER_BYTES = Metric("migrator_layer_bytes", "Bytes of these objects.", LAYER)
LAYER_NEWEST = Metric(
    "migrator_layer_newest_object_timestamp_seconds",
    "When the newest object was written; absent if there is none.",
    LAYER,
)
LAYER_SMALL = Metric(
    "migrator_layer_small_files", "Parquet, ORC and Avro files of data that are smaller than `--small-file`.", LAYER
)
LAYER_ORPHANS = Metric(
    "migrator_layer_orphans",
    "Objects under the location of a table that no snapshot of a table names, older than `--orphan-age`. Absent while "
    "a table in the folder cannot be read.",
    LAYER,
)
LAYER_ORPHAN_BYTES = Metric("migrator_layer_orphan_bytes", "Bytes of these objects.", LAYER)
LAYER_OLD_PATHS = Metric(
    "migrator_layer_old_paths",
    "Tables, logs, checkpoints, scripts and entries of catalogs that name an old bucket. The layer is empty for "
    "entries of catalogs.",
    LAYER,
)
LAYER_TABLES = Metric("migrator_layer_tables", "Tables in the folder, those that could not be read included.", LAYER)
LAYER_UNREADABLE = Metric("migrator_layer_tables_unreadable", "Tables in the folder that could not be read.", LAYER)

TABLE_READABLE = Metric(
    "migrator_table_readable", "1 if the table could be read. If it is 0, the table has no other metric.", TABLE
)
TABLE_VERSION = Metric("migrator_table_format_version", "Version of the Iceberg format.", TABLE)
TABLE_SNAPSHOTS = Metric("migrator_table_snapshots", "Snapshots.", TABLE)
TABLE_CURRENT = Metric(
    "migrator_table_current_snapshot_timestamp_seconds",
    "When the current snapshot was committed; absent for an empty table.",
    TABLE,
)
TABLE_FILES = Metric("migrator_table_data_files", "Data files of the current snapshot.", TABLE)
TABLE_BYTES = Metric("migrator_table_data_bytes", "Bytes of these data files.", TABLE)
TABLE_RECORDS = Metric("migrator_table_records", "Rows in these data files, without taking deleted rows away.", TABLE)
TABLE_SMALL = Metric(
    "migrator_table_small_files", "Data files of the current snapshot that are smaller than `--small-file`.", TABLE
)
TABLE_DELETES = Metric(
    "migrator_table_delete_files",
    "Files of deletes of the current snapshot; of deletion vectors, the vectors. Kinds: `position`, `equality`, "
    "`deletion-vector`.",
    (*TABLE, "kind"),
)
TABLE_ORPHANS = Metric(
    "migrator_table_orphans",
    "Objects under the location of the table that no snapshot of a table names, older than `--orphan-age`.",
    TABLE,
)
TABLE_ORPHAN_BYTES = Metric("migrator_table_orphan_bytes", "Bytes of these objects.", TABLE)
TABLE_OLD_PATHS = Metric(
    "migrator_table_old_paths", "Different paths in an old bucket that files of the table name.", TABLE
)

LAKE = (
    *(BUILD, UP, COLLECTIONS, FAILURES, SUCCEEDED_AT, FAILED_AT, DURATION, COMPLETE),
    *(TARGET_EXISTS, CATALOG, FINDINGS, TABLES, UNREADABLE, NOT_EXPORTED),
    *(LAYER_OBJECTS, LAYER_BYTES, LAYER_NEWEST, LAYER_SMALL, LAYER_ORPHANS, LAYER_ORPHAN_BYTES),
    *(LAYER_OLD_PATHS, LAYER_TABLES, LAYER_UNREADABLE),
    *(TABLE_READABLE, TABLE_VERSION, TABLE_SNAPSHOTS, TABLE_CURRENT, TABLE_FILES, TABLE_BYTES, TABLE_RECORDS),
    *(TABLE_SMALL, TABLE_DELETES, TABLE_ORPHANS, TABLE_ORPHAN_BYTES, TABLE_OLD_PATHS),
)
"""What ``migrator metrics`` exports, in this order."""

MIGRATION = (
    Metric("migrator_stage_info", "1 for the stage that is going on, and what it counts.", (*STAGE, "unit")),
    Metric("migrator_stage_objects_done", "Objects of the stage that are done.", STAGE),
    Metric("migrator_stage_objects_total", "Objects of the stage.", STAGE, UNTYPED),
    Metric("migrator_stage_bytes_done", "Bytes of the stage that are done.", STAGE),
    Metric("migrator_stage_bytes_total", "Bytes of the stage.", STAGE, UNTYPED),
    Metric("migrator_stage_seconds_left", "Estimated seconds until the stage ends.", STAGE),
    Metric("migrator_objects_per_second", "Objects done in a second.", PLAN),
    Metric("migrator_bytes_per_second", "Bytes done in a second.", PLAN),
    Metric("migrator_retries_total", "Requests that were sent again.", PLAN, COUNTER),
    Metric("migrator_errors_total", "Objects and requests that failed.", PLAN, COUNTER),
    Metric("migrator_run_finished_timestamp_seconds", "When the run ended.", PLAN),
    Metric("migrator_run_success", "1 if the run ended well, 0 if it failed.", PLAN),
)
"""What ``migrator migrate --metrics-file`` writes."""
