"""The settings of the target bucket, translated from those of the old buckets. Pure: no I/O.

``translate`` makes the documents that the target gets, and names what cannot be carried over, with one module for each
kind of setting. ``access`` has policies for one layer, ``iam`` translates policies of users, ``commands`` prints the
settings as ``mc`` and ``aws`` commands, ``new_lake`` has the settings and the lake.toml of a new lake.
"""
