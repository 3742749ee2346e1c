"""Which keys of the target bucket belong to migrator itself. Pure."""

from __future__ import annotations

LEASE_KEY = ".migrator-lock"
"""The object that marks a running migration in the target bucket. It is not an object of the lake."""
OWN_PREFIX = ".migrator/"
"""The prefix of all other objects that migrator writes for itself. They are not objects of the lake."""


def is_own(key: str) -> bool:
    """True for a key of the target bucket that migrator uses for itself; such objects are left out of every count."""
    return key == LEASE_KEY or key.startswith(OWN_PREFIX)
