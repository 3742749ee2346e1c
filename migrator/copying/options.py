"""How objects are to be copied."""

from __future__ import annotations

from dataclasses import dataclass, field

from migrator.copying.concurrency_limit import RequestLimits
from migrator.copying.verify_modes import AUTO
from migrator.store import Conditional, Dropped, PartCopies

MIB = 1 << 20
GIB = 1 << 30

WHOLE_LIMIT = 5 * GIB
"""S3 copies at most this many bytes in one request."""
PART_SIZE = 256 * MIB
SMALL = 8 * MIB
"""Up to this size, hashing the bytes of both sides costs less than the requests of a copy in parts."""


@dataclass(frozen=True, slots=True)
class Options:
    """How objects are to be copied.

    ``verify``: "always" reads every copy and its source; "auto" reads them only if nothing else proves them equal;
    "never" does not read them. Objects larger than ``whole_limit`` bytes are copied in parts of ``part_size`` bytes.
    ``once``: the target keeps every copy as a version, so no object may be copied twice; see
    :class:`~migrator.copying.outcomes.AnswerLost`.

    ``conditional``: the conditional writes that the target honours. ``look_first``: the target does not honour the one
    that is needed, so a request before each copy finds what the target key has. ``look_in_groups``: one listing does
    that for many copies. That needs a server that lists in the order of keys, and a target that has only our own
    copies: MinIO does not list ``k/sub`` if there is an object ``k``. ``part_copies``: how the server copies what was
    uploaded in parts. ``dropped``: what the server does not keep of an object from another server.
    """

    limits: RequestLimits = field(default_factory=RequestLimits)
    verify: str = AUTO
    conditional: Conditional = field(default_factory=Conditional)
    look_first: bool = False
    look_in_groups: bool = False
    part_copies: PartCopies = field(default_factory=PartCopies)
    dropped: Dropped = field(default_factory=Dropped)
    whole_limit: int = WHOLE_LIMIT
    part_size: int = PART_SIZE
    once: bool = False
