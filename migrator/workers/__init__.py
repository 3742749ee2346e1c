"""Where the work of a migration is done: on this machine, or on the executors of a Spark application.

One protocol (``engine``), and one module for each engine: ``local`` and ``spark``. An engine gives pools. A pool is
called with an item, such as a batch of objects to copy, and returns what came of it; a worker process somewhere makes
the job once, and does it on each item that it is given (``task``). The driver, which is the process that a user has
started, keeps plan, journal and cutover, and decides what is an item.

An item may be done twice: Spark repeats the tasks of an executor that was lost, and may run one task on two executors.
So only what is safe to be done twice is given to a pool.

Not to be confused with query engines, which read tables (docs/engines.md).

``settings``: what a user chooses. ``pack``: the zip file with what executors import. ``requirements``: what is checked
on each of them.
"""
