"""Undoes a cutover: every pointer is set to the old place again. :mod:`migrator.rollback.stage` has the order."""
