"""Where the work of a migration is done: on this machine, or on the executors of a Spark application.

One protocol (``engine``), and one module for each engine: ``local`` and ``spark``. An engine makes pools. A pool is
called with an item, such as a batch of objects to copy, and returns the result. A worker process makes the job once,
and runs it on each item that it gets (``task``).

The driver, the process that a user has started, holds the plan and the journal, does the cutover, and decides what is
an item. An item may be done twice: Spark repeats the tasks of an executor that was lost, and may run one task on two
executors. So a pool only gets work that may be done twice.

Not to be confused with query engines, which read tables (docs/engines.md).

``settings``: what a user chooses. ``pack``: the zip file with the packages that executors import. ``requirements``: the
checks on each executor.
"""
