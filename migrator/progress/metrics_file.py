"""The progress of a running migration as a file for the textfile collector of Prometheus' node exporter."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from migrator.errors import ConfigError
from migrator.progress.counts import RETRIES
from migrator.progress.pace import Stage
from migrator.progress.reporter import Clock, Reporter

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_Value = tuple[tuple[str, ...], float]
"""Labels, without the plan, and a number."""

EVERY = 5.0
"""Seconds between two files, in addition to those at the beginning and the end of a stage."""
MODE = 0o644
"""Everybody may read it: the node exporter is another user."""
SUFFIX = ".prom"
"""The node exporter reads no other files."""


class MetricsFile(Reporter):
    """Writes a file with the progress of one run, each time a complete one by renaming. If it cannot be written during
    the run, the run continues: see :attr:`trouble`.

    ``plan``: the label of all metrics. ``now``: the time of day in seconds; only tests need another one.
    """

    def __init__(self, path: Path, plan: str, *, clock: Clock = time.monotonic, now: Clock = time.time) -> None:
        """Writes the first file. Raises ConfigError if the path cannot be written, or prometheus_client is missing."""
        super().__init__(every=EVERY, clock=clock)
        self.plan = plan
        self.trouble: OSError | None = None
        """The last error of writing the file; None if there was none."""
        self._path, self._now = Path(os.path.realpath(path)), now  # a link stays, and the file that it leads to changes
        self._stages: dict[str, Stage] = {}
        self._errors = 0
        self._retries_before = RETRIES.total
        self._ended: tuple[float, bool] | None = None
        self._text = _text_of()
        if path.suffix != SUFFIX:
            raise ConfigError(
                f"--metrics-file {path}: the node exporter reads only files that end in {SUFFIX}.",
                next_move=f"Write {path.with_suffix(SUFFIX)}." if path.name else f"Name a file, such as run{SUFFIX}.",
            )
        try:
            self._replace()
        except OSError as error:
            raise ConfigError(
                f"--metrics-file {path} cannot be written: {error.strerror or error}.",
                next_move="Name a file in an existing folder that you may write to.",
            ) from error

    def began(self, stage: Stage) -> None:
        """See :class:`Reporter`."""
        earlier = self._stages.pop(stage.name, None)
        self._errors += earlier.failed if earlier is not None else 0
        self._stages[stage.name] = stage
        self._write()

    def goes_on(self, stage: Stage) -> None:
        """See :class:`Reporter`."""
        self._write()

    def ended(self, stage: Stage, error: type[BaseException] | None) -> None:
        """See :class:`Reporter`."""
        self._write()

    def finish(self, *, success: bool) -> None:
        """The run has ended: write the last file."""
        with self._lock:
            self._open.clear()
            self._ended = self._now(), success
            self._write()

    # -- the file ------------------------------------------------------------------------------------

    def _write(self) -> None:
        self.postpone()
        try:
            self._replace()
        except OSError as error:
            self.trouble = error

    def _replace(self) -> None:
        # In the same folder, so that it can be renamed, and without the suffix, so that the exporter does not read an
        # incomplete file.
        partial = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            partial.write_bytes(self._text(self))
            partial.chmod(MODE)
            partial.replace(self._path)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise

    def collect(self) -> Iterator[Metric]:
        """All metrics as they are now; what is not known is left out."""
        yield from self._of_stages()
        yield from self._of_the_run()

    def _of_stages(self) -> Iterator[Metric]:
        now, current = self._clock(), self._open[-1] if self._open else None
        unit = [] if current is None else [((current.name, current.unit), 1.0)]
        yield self._gauge("stage_info", "The present stage, and its unit.", unit, "stage", "unit")
        for name, described, value_of in _OF_A_STAGE:
            values = [((s.name,), value) for s in self._stages.values() if (value := value_of(s)) is not None]
            yield self._gauge(name, described, values, "stage")
        pace = current.pace(now) if current is not None else None
        left = [((current.name,), pace.left)] if current and pace and pace.left is not None else []
        yield self._gauge("stage_seconds_left", "Estimated seconds until the present stage ends.", left, "stage")
        rate, size_rate = (None, None) if pace is None else (pace.rate, pace.size_rate)
        for name, described, each in (
            ("objects_per_second", "Units per second in the present stage.", rate),
            ("bytes_per_second", "Bytes per second in the present stage.", size_rate),
        ):
            yield self._gauge(name, described, [] if each is None else [((), each)])

    def _of_the_run(self) -> Iterator[Metric]:
        retries = RETRIES.total - self._retries_before
        errors = self._errors + sum(stage.failed for stage in self._stages.values())
        yield self._counter("retries", "Retries of requests and reads.", retries)
        yield self._counter("errors", "Objects, files and versions that could not be done.", errors)
        if self._ended is not None:
            moment, success = self._ended
            yield self._gauge("run_finished_timestamp_seconds", "When the run ended.", [((), moment)])
            yield self._gauge("run_success", "1 if the run succeeded, 0 if not.", [((), float(success))])

    def _gauge(self, name: str, described: str, values: Iterable[_Value], *labels: str) -> Metric:
        from prometheus_client.core import GaugeMetricFamily, UnknownMetricFamily

        # The total of a stage is not a counter, although its name ends with _total: promtool requires such metrics to
        # have no type.
        kind = UnknownMetricFamily if name.endswith("_total") else GaugeMetricFamily
        family = kind(f"migrator_{name}", described, labels=["plan", *labels])
        for named, value in values:
            family.add_metric([self.plan, *named], value)
        return family

    def _counter(self, name: str, described: str, value: float) -> Metric:
        from prometheus_client.core import CounterMetricFamily

        family = CounterMetricFamily(f"migrator_{name}", described, labels=["plan"])
        family.add_metric([self.plan], value)
        return family


def _done(stage: Stage) -> float | None:
    return stage.done if stage.unit else None


def _size_done(stage: Stage) -> float | None:
    return stage.size if stage.size or stage.size_total else None


_OF_A_STAGE: tuple[tuple[str, str, Callable[[Stage], float | None]], ...] = (
    ("stage_objects_done", "Units that a stage of this run has done.", _done),
    ("stage_objects_total", "Units that a stage of this run has to do.", lambda stage: stage.total),
    ("stage_bytes_done", "Bytes that a stage of this run has done.", _size_done),
    ("stage_bytes_total", "Bytes that a stage of this run has to do.", lambda stage: stage.size_total),
)


def check_prometheus_client() -> None:
    """Raises ConfigError if the package that writes metrics is not installed."""
    try:
        import prometheus_client  # noqa: F401
    except ImportError:
        raise ConfigError(
            "The package prometheus_client is not installed.", next_move="pip install 'lake-migrator[metrics]'"
        ) from None


def _text_of() -> Callable[[MetricsFile], bytes]:
    """The function that turns all metrics into the text of the file. Raises ConfigError without prometheus_client."""
    check_prometheus_client()
    from prometheus_client import CollectorRegistry, generate_latest

    def text(metrics: MetricsFile) -> bytes:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(metrics)
        return bytes(generate_latest(registry))

    return text
