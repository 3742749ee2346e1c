"""The job of docs/examples/dagster, in a module that the processes of Dagster's steps can import."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import dagster as dg

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "dagster" / "definitions.py"


def load() -> ModuleType:
    """The example's module, imported again, as Dagster does at its start. Its retries have no delay."""
    spec = importlib.util.spec_from_file_location("definitions", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    text = EXAMPLE.read_text()
    assert text.count("delay=60") == 1
    exec(compile(text.replace("delay=60", "delay=0"), EXAMPLE, "exec", dont_inherit=True), vars(module))
    return module


def move_lake() -> dg.JobDefinition:
    """For Dagster, which makes the job anew from this function in each process."""
    job: dg.JobDefinition = load().defs.resolve_job_def("move_lake")
    return job
