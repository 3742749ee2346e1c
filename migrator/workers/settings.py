"""The user's settings for the engine: ``[engine]`` in lake.toml. The command line imports this module, so it imports
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

    ``executors``: with Spark, how many are requested; on this machine, how many worker processes copy. None: the number
    of the Spark application; on this machine, one process, and more while all are busy. ``master`` and ``conf`` are for
    a Spark application that migrator starts; a running one must have the same values. ``pack``: a file that ``migrator
    pack`` has written, to be sent to the executors.
    """

    kind: str = LOCAL
    master: str | None = None
    executors: int | None = None
    pack: str | None = None
    conf: Mapping[str, str] = field(default_factory=dict)
