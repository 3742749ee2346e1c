"""Copying objects, fast and with a proof for each.

From many objects to one request:

- ``copy_objects`` hands objects out to this process (``copy_thread``) and to child processes (``copy_process``).
  ``batches`` hands them out to the workers of an engine (``batch_copier``), in batches.
- ``copier`` decides about one object. ``within_server`` and ``between_servers`` copy it, in one request or in parts
  (``upload``); ``proof`` proves the copy equal to its source.
- ``servers`` sends the requests, ``concurrency_limit`` sets how many at once, ``memory_budget`` limits the memory,
  ``free_keys`` lists many keys of the target at once, ``boto3_copy`` copies if our own requests cannot.

Values: ``verify_modes``, ``options`` and ``setup`` (how to copy), ``outcomes`` (an object to copy, and the result).

Further: ``versions`` copies older versions and delete markers, ``leftovers`` aborts the uploads of a killed run,
``failed_list`` lists in a file what could not be copied.
"""
