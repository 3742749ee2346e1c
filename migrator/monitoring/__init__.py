"""``migrator metrics``: what a check sees of a lake, as numbers for Prometheus.

``measuring`` counts while :mod:`migrator.checking` lists the target and reads the tables; ``exposition`` turns the
counts into metrics, all of which are in ``names``; ``service`` collects again and again, and answers scrapes.
"""
