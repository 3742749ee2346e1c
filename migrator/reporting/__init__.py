"""Reports: what a plan, a migration or a verification means, as text for people and as JSON. Pure: no I/O.

``describe`` reads a plan file. Each report has a module; ``rendering`` makes lines and tables of it.
"""
