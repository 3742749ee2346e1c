"""The values that the journal records about a copied object, with its proof."""

from __future__ import annotations

from dataclasses import dataclass

ETAG, CHECKSUM, MD5, SHA256, NONE = PROOFS = ("etag", "checksum", "md5", "sha256", "none")
"""How a copy was proven equal to its source.

- ``etag``: the copy's ETag equals the source's.
- ``checksum``: the servers' checksums match.
- ``md5``: the bytes read hash to the source's ETag, and the bytes sent hash to the copy's ETag; or the bytes read from
  the copy hash to the source's ETag.
- ``sha256``: both objects were read and hashed.
- ``none``: not checked.
"""

KIND_CHANGED, LOST = CHECKSUMS = ("kind changed", "lost")
"""How the checksum of a copy differs from that of its source.

- ``kind changed``: the source's is computed from the checksums of its parts (COMPOSITE), the copy's over all bytes
  (FULL_OBJECT).
- ``lost``: the copy has none.
"""


@dataclass(frozen=True, slots=True)
class Copied:
    """The object with this id is at the target, with this size in bytes and this ETag. ``proof``: one of PROOFS.
    ``checksum``: one of CHECKSUMS, or "" if the copy has the source's checksum, or if the source has none.
    ``dropped``: the kinds of the source's attributes that the target's server does not keep; see
    :mod:`migrator.store.kept`."""

    id: int
    size: int
    etag: str
    proof: str
    checksum: str = ""
    dropped: tuple[str, ...] = ()
