"""The columns of position delete files by their reserved field ids (Iceberg table spec, "Reserved Field IDs")."""

from __future__ import annotations

FILE_PATH_ID = 2147483546
"""``file_path``; also a key in the bounds maps of manifest entries."""

POS_ID = 2147483545
"""``pos``."""
