"""What a user chooses about the engine: ``[engine]`` in lake.toml. The command line imports this module, so it imports
nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LOCAL, SPARK = KINDS = ("local", "spark")
"""This machine; the executors of a Spark application."""
MOST_EXECUTORS = 10_000


@dataclass(frozen=True)
class EngineSettings:
    """Where the work is done.

    ``executors``: with Spark, how many are asked for; on this machine, how many worker processes copy. None: as the
    Spark application is set up; on this machine, one process, and more while all are busy. ``master`` and ``conf`` are
    for a Spark application that migrator starts; a running one must agree with them. ``pack``: a file that
    ``migrator pack`` has written, to be sent to the executors.
    """

    kind: str = LOCAL
    master: str | None = None
    executors: int | None = None
    pack: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)
