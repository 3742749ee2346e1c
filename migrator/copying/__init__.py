"""Copying objects, fast and with a proof for each.

``pace``: how many requests at once. ``copier``: one object, in one event loop. ``fleet``: many objects, in as
many processes as pay.
"""
