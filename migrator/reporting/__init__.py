"""Reports: plans, migrations and verifications as text for people and as JSON.

Only ``describe`` and the modules that it uses read a plan file. Each report has a module; ``rendering`` turns reports
into lines and tables.
"""
