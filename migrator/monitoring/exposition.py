"""Turns the counts into metrics of ``prometheus_client``, and these into text.

Names of tables, folders and catalogs are untrusted. ``prometheus_client`` escapes quotes, backslashes and line ends;
characters that the text formats do not allow are replaced here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from migrator._version import __version__
from migrator.errors import redacted
from migrator.monitoring import names
from migrator.monitoring.measures import LakeMeasures, LayerMeasures, TableMeasures

Family = GaugeMetricFamily | CounterMetricFamily
Values = tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """The state of collecting, and the last result. Times are in seconds since the epoch."""

    measures: LakeMeasures | None = None
    """Of the last collection that succeeded; None before there is one."""
    up: bool = False
    collections: int = 0
    failures: int = 0
    succeeded_at: float | None = None
    failed_at: float | None = None
    seconds: float | None = None
    """How long the last collection took that succeeded."""


def label(text: str) -> str:
    """A value of a label: without passwords, and without characters that the formats do not allow (NUL, lone
    surrogates)."""
    return redacted(text).replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


class LakeCollector(Collector):
    """Returns the metrics of the last status to ``prometheus_client``."""

    def __init__(self, status: Status | None = None) -> None:
        self.status = status or Status()

    def collect(self) -> Iterator[Metric]:
        """All metrics. Nothing is read or waited for."""
        families = _Families()
        status = self.status  # read once, because another thread may replace it
        _add_status(families, status)
        if status.measures is not None:
            _add_lake(families, status.measures)
            for layer in status.measures.layers:
                _add_layer(families, layer)
            for table, labels in _labelled(status.measures.shown()):
                _add_table(families, table, labels)
        yield from families.made()


def registry_of(collector: Collector) -> CollectorRegistry:
    """A registry with only this collector."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def as_text(status: Status) -> str:
    """The metrics in Prometheus' text format."""
    return generate_latest(registry_of(LakeCollector(status))).decode()


def write(status: Status, path: Path) -> None:
    """Write the metrics in Prometheus' text format to a file, which is replaced as a whole; of a link, the file that it
    leads to. Raises OSError."""
    write_to_textfile(os.path.realpath(path), registry_of(LakeCollector(status)))


class _Families:
    """The metrics of :data:`names.LAKE`; those without a value are left out."""

    def __init__(self) -> None:
        self._families: dict[str, Family] = {}

    def add(self, metric: names.Metric, value: float | None, labels: Iterable[str] = ()) -> None:
        """Add a value to a metric. None adds nothing."""
        if value is None:
            return
        family = self._families.get(metric.name)
        if family is None:
            kind = CounterMetricFamily if metric.type == names.COUNTER else GaugeMetricFamily
            family = self._families[metric.name] = kind(metric.name, metric.means, labels=metric.labels)
        family.add_metric([label(text) for text in labels], value)

    def made(self) -> Iterator[Family]:
        """The metrics with a value, in the order of :data:`names.LAKE`."""
        return (self._families[metric.name] for metric in names.LAKE if metric.name in self._families)


def _add_status(to: _Families, status: Status) -> None:
    to.add(names.BUILD, 1, [__version__])
    to.add(names.UP, status.up)
    to.add(names.COLLECTIONS, status.collections)
    to.add(names.FAILURES, status.failures)
    to.add(names.SUCCEEDED_AT, status.succeeded_at)
    to.add(names.FAILED_AT, status.failed_at)
    to.add(names.DURATION, status.seconds)


def _add_lake(to: _Families, lake: LakeMeasures) -> None:
    to.add(names.COMPLETE, lake.complete)
    to.add(names.TARGET_EXISTS, lake.target_exists)
    for catalog, readable in lake.catalogs.items():
        to.add(names.CATALOG, readable, [catalog])
    for (code, severity), count in lake.findings.items():
        to.add(names.FINDINGS, count, [code, severity])
    to.add(names.TABLES, len(lake.tables))
    to.add(names.UNREADABLE, lake.unreadable)
    to.add(names.NOT_EXPORTED, len(lake.tables) - len(lake.shown()))


def _add_layer(to: _Families, layer: LayerMeasures) -> None:
    labels = (layer.layer, layer.kind)
    known = not layer.unreadable
    for metric, value in (
        (names.LAYER_OBJECTS, layer.objects),
        (names.LAYER_BYTES, layer.bytes),
        (names.LAYER_NEWEST, _seconds(layer.newest)),
        (names.LAYER_SMALL, layer.small_files),
        (names.LAYER_ORPHANS, layer.orphans if known else None),
        (names.LAYER_ORPHAN_BYTES, layer.orphan_bytes if known else None),
        (names.LAYER_OLD_PATHS, layer.old_paths),
        (names.LAYER_TABLES, layer.tables),
        (names.LAYER_UNREADABLE, layer.unreadable),
    ):
        to.add(metric, value, labels)


def _add_table(to: _Families, table: TableMeasures, labels: Values) -> None:
    to.add(names.TABLE_READABLE, table.readable, labels)
    if not table.readable:
        return
    for metric, value in (
        (names.TABLE_VERSION, table.format_version),
        (names.TABLE_SNAPSHOTS, table.snapshots),
        (names.TABLE_CURRENT, _seconds(table.current)),
        (names.TABLE_FILES, table.data_files),
        (names.TABLE_BYTES, table.data_bytes),
        (names.TABLE_RECORDS, table.records),
        (names.TABLE_SMALL, table.small_files),
        (names.TABLE_ORPHANS, table.orphans),
        (names.TABLE_ORPHAN_BYTES, table.orphan_bytes),
        (names.TABLE_OLD_PATHS, table.old_paths),
    ):
        to.add(metric, value, labels)
    for kind, count in table.deletes.items():
        to.add(names.TABLE_DELETES, count, (*labels, kind))


def _labelled(tables: Iterable[TableMeasures]) -> Iterator[tuple[TableMeasures, Values]]:
    """Each table and its labels. Prometheus refuses two series with the same labels: names that only differ in
    characters that a label cannot have get a number."""
    taken: set[Values] = set()
    for table in tables:
        labels = tuple(label(text) for text in (table.catalog, table.namespace, table.name, table.layer))
        unique, number = labels, 1
        while unique in taken:
            number += 1
            unique = (*labels[:2], f"{labels[2]} ({number})", labels[3])
        taken.add(unique)
        yield table, unique


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
