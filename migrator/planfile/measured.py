"""The measurements of planning and the user's prices: two entries in the header of a plan.

Estimates are computed from them and from the rows of the plan, so they are always the same for a plan. Plans of earlier
versions have neither entry, which means that nothing was measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from migrator.config import Prices

MEASURED, PRICES = "measured", "prices"
"""The keys in the header."""
NEVER_MEASURED = "the plan was made by a version of migrator that did not measure"


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of planning. Rates are per second; None if not measured."""

    copies: float | None = None
    """Small copies, sent at once: CopyObject on one server, PutObject if the target is on another one."""
    reads: float | None = None
    """Small reads, sent at once."""
    seconds_per_read: float | None = None
    """How long one small read takes while no other request is sent."""
    copied_bytes: float | None = None
    """Bytes of one large copy: by the server, or written from here if the target is on another server."""
    read_bytes: float | None = None
    """Bytes of one large read from here."""
    at_once: int = 0
    """How many small requests were sent at once."""
    honours_conditions: bool | None = None
    """True if the target refuses a conditional CopyObject over an existing object, so that no request is needed before
    each copy."""
    whole_keeps_etag: bool | None = None
    """True if a copy in one request keeps the ETag of an object that was uploaded in parts."""
    listed: float | None = None
    """Objects of the old buckets, listed and written into the plan."""
    table_files: float | None = None
    """Metadata files, manifest lists and manifests, read and parsed."""
    probe_seconds: float = 0.0
    """How long the trial requests took, with their removal."""
    why_not: str = ""
    """Why copies were not measured, as a part of a sentence; "" if they were."""
    plan_bytes: int | None = None
    """The size of the plan file, without its journal."""

    def to_json(self) -> str:
        """The value for the header."""
        return json.dumps(asdict(self))

    @classmethod
    def of_header(cls, header: Mapping[str, str]) -> Measured:
        """The measurements in the header. Values that this version does not know are left out."""
        if MEASURED not in header:
            return cls(why_not=NEVER_MEASURED)
        known = {field.name for field in fields(cls)}
        stored: dict[str, Any] = json.loads(header[MEASURED])
        return cls(**{name: value for name, value in stored.items() if name in known})


def prices_of(header: Mapping[str, str]) -> Prices | None:
    """The prices with which the plan was made; None if there were none."""
    stored = json.loads(header.get(PRICES, "null"))
    return None if stored is None else Prices(**stored)
