"""Iceberg REST catalogs, Nessie among them. ``catalog`` is what the rest of migrator sees; ``ways`` and ``nessie`` are
the ways to change pointers, ``trial`` finds out which of them the server supports."""

from migrator.catalogs.rest.catalog import RestCatalog

__all__ = ["RestCatalog"]
