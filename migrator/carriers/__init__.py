"""Files other than Iceberg's that contain absolute paths: logs of streams, checkpoints, lists for other engines. Pure.

==============  =============================================================================================
module          holds
==============  =============================================================================================
``kinds``       what a file may be, by its key, and which places in S3 it names
``logs``        rewriting of the logs of Spark's file sources and sinks, and of manifests with a path in each line
``checkpoints`` which files of a checkpoint there must be
==============  =============================================================================================
"""
