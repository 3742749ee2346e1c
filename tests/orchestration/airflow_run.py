"""Runs one DAG of docs/examples/airflow, with the Python of an Airflow: ``python airflow_run.py DAG_ID RESULT``.

Writes the states of the run and its tasks to the file RESULT, as JSON. The answer to a task that waits for a person
comes from outside, through Airflow's API server.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.dag_processing.dagbag import DagBag  # type: ignore[import-not-found]
from airflow.utils.session import create_session  # type: ignore[import-not-found]


def run(dag_id: str) -> dict[str, Any]:
    """Run it, and return the states. Delays are removed that a test need not wait for."""
    bag = DagBag(os.environ["AIRFLOW__CORE__DAGS_FOLDER"])
    assert not bag.import_errors, bag.import_errors
    dag = bag.dags[dag_id]
    for task in dag.tasks:
        task.retry_delay = timedelta(0)
        if task.task_id == "something_new":
            task.timeout = 0  # it looks once
    done = dag.test()
    with create_session() as session:
        tasks = {one.task_id: str(one.state) for one in done.get_task_instances(session=session)}
    return {"state": str(done.state), "tasks": tasks}


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(run(sys.argv[1])))
