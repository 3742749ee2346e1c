"""Deleting the verified sources of a migration, and the old buckets that are empty then (issue 14).

This is the only code of migrator that deletes what others wrote. :mod:`migrator.retiring.retire` has the order.
"""
