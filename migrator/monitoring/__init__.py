"""``migrator metrics``: counts of a lake for Prometheus.

``measuring`` counts while :mod:`migrator.checking` lists the target and reads the tables; ``exposition`` turns the
counts into metrics, all of which are in ``names``; ``service`` collects periodically, and answers scrapes.
"""
