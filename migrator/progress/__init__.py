"""The progress of a long run: stages with a unit, counts, bytes, rate and time left.

:class:`Progress` reports nothing. :class:`TerminalProgress` is for the command line: a bar in a terminal, plain
lines in a pipe. :class:`LoggingProgress` writes to a logger, for programs that call migrator, such as Airflow or
Dagster jobs. ``json_lines`` and ``metrics_file`` are for programs that watch a run.
"""

from migrator.progress.base import OBJECTS, Progress, Several
from migrator.progress.logger import LoggingProgress
from migrator.progress.terminal import TerminalProgress

__all__ = ["OBJECTS", "LoggingProgress", "Progress", "Several", "TerminalProgress"]
