"""The rules for the code: which module may import which, which modules talk to S3, and how long classes and functions
may be.

A module that these rules do not know fails the test: decide where it belongs, and add it here and to docs/design.md.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "migrator"

LAYERS = (
    # What people and programs call.
    "cli",
    "demo",
    "api",
    "reporting",
    "live",
    "migration",
    # The flow, from its end to its beginning.
    "repair",
    "rollback",
    "retiring",
    "monitoring",
    "checking",
    "verifying",
    "cutover",
    "rewriting",
    "copying",
    "run",
    "plan",
    "target",
    "inventory",
    # What the flow uses.
    "planfile",
    "results",
    "config",
    "catalogs",
    "store",
    "carriers",
    "iceberg",
    "workers",
    "concurrency",
    "settings",
    "reference",
    "findings",
    "progress",
    "scripts",
    "layout",
    "errors",
    "_version",
)
"""Every folder and module below the package. Each may import those below it in this list, never those above it."""

WITH_SQL = (
    "planfile",
    "inventory",
    "plan",
    "target",
    "copying",
    "rewriting",
    "cutover",
    "verifying",
    "retiring",
    "checking",
    "reporting",
    "run",
    "rollback",
)
"""The layers that query the plan file. Catalogs have their own SQL, for the databases of others."""

WITHOUT_S3 = (
    "carriers",
    "iceberg",
    "layout",
    "scripts",
    "findings",
    "concurrency",
    "workers",
    "settings",
    "reporting",
    "errors",
    "progress",
    "reference",
)
"""The layers that import neither an S3 client nor the store."""

PURE = (
    "inventory/bucket_settings.py",
    "inventory/s3_report/arrow_rows.py",
    "inventory/s3_report/manifest.py",
    "inventory/s3_report/rows.py",
)
"""Modules of other layers that also import neither."""

CATALOG_SERVICES = (
    "catalogs/aws.py",
    "catalogs/dynamodb.py",
    "catalogs/dynamodb_entries.py",
    "catalogs/glue.py",
    "catalogs/glue_entries.py",
)
"""The modules that send requests to the services of AWS that keep catalogs, not to S3."""
WITH_BOTO3 = ("catalogs/aws.py", "catalogs/glue.py")
"""Those of them that import boto3 or botocore."""

FUNCTION_LINES, CLASS_LINES = 40, 250
"""The longest function and the longest class, each without its docstring."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(module: Path) -> str:
    return str(module.relative_to(PACKAGE))


def layer_of(module: Path) -> str:
    """The folder of a module, or the module itself at the root of the package."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_layers(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "migrator":
            parts = (node.module or "").split(".")
            yield from parts[1:2] or [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("migrator."))


INSIDE = [module for module in MODULES if layer_of(module) not in ("__init__", "__main__")]


@pytest.mark.parametrize("module", INSIDE, ids=name_of)
def test_imports_only_point_down(module: Path) -> None:
    layer = layer_of(module)
    assert layer in LAYERS, f"{name_of(module)}: decide to which layer it belongs"
    for imported in imported_layers(module):
        assert imported in LAYERS, f"{name_of(module)} imports {imported}: decide to which layer that belongs"
        assert LAYERS.index(imported) >= LAYERS.index(layer), f"{name_of(module)} imports {imported}, a layer above it"


def test_every_layer_is_there() -> None:
    assert {layer_of(module) for module in INSIDE} == set(LAYERS)


def test_the_root_of_the_package_is_small() -> None:
    files = [path.name for path in PACKAGE.iterdir() if path.is_file()]
    assert len(files) <= 12, files


def test_only_the_store_and_the_demos_server_talk_to_s3() -> None:
    client = re.compile(r"^\s*(import|from) (boto3|botocore|aiobotocore|s3fs)\b", re.MULTILINE)
    users = {name_of(module) for module in MODULES if client.search(module.read_text())}
    others = {user for user in users if not user.startswith("store/")}
    assert others == {"demo/server.py", *WITH_BOTO3}
    for name in CATALOG_SERVICES:
        assert not re.search(r"[\"']s3[\"']", (PACKAGE / name).read_text()), f"{name} talks to S3"


@pytest.mark.parametrize("module", [m for m in MODULES if layer_of(m) in WITHOUT_S3 or name_of(m) in PURE], ids=name_of)
def test_what_is_pure_does_not_import_the_store(module: Path) -> None:
    assert not {"store", "catalogs"} & set(imported_layers(module))


def test_only_those_who_query_the_plan_file_have_sql() -> None:
    statement = re.compile(r"(SELECT|INSERT (OR \w+ )?INTO|UPDATE \w+ SET|DELETE FROM|CREATE TEMP TABLE)\b")
    with_sql = {
        layer_of(module)
        for module in MODULES
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and statement.match(node.value.strip())
    }
    assert with_sql == {*WITH_SQL, "catalogs"}


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> int:
    first, last = node.lineno, node.end_lineno or node.lineno
    described = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
    return last - first + 1 - (((node.body[0].end_lineno or 0) - node.body[0].lineno + 1) if described else 0)


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_classes_and_functions_are_short(module: Path) -> None:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ClassDef):
            assert lines_of(node) <= CLASS_LINES, f"{name_of(module)}: class {node.name}"
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert lines_of(node) <= FUNCTION_LINES, f"{name_of(module)}: {node.name}"


@pytest.mark.parametrize("module", MODULES, ids=name_of)
def test_what_is_public_has_a_docstring(module: Path) -> None:
    def undocumented(nodes: list[ast.stmt], before: str = "") -> Iterator[str]:
        for node in nodes:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith(
                "_"
            ):
                if ast.get_docstring(node) is None:
                    yield before + node.name
                if isinstance(node, ast.ClassDef) and not node.bases:  # a subclass inherits what its methods promise
                    yield from undocumented(node.body, f"{node.name}.")

    assert not list(undocumented(ast.parse(module.read_text()).body))


@pytest.mark.parametrize("module", [m for m in INSIDE if layer_of(m) != "progress"], ids=name_of)
def test_every_stage_says_what_it_counts(module: Path) -> None:
    """A progress bar with the wrong unit is wrong: ``unit="tables"``, or "" for a stage that counts nothing."""
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "stage":
            assert "unit" in {keyword.arg for keyword in node.keywords}, f"{name_of(module)}:{node.lineno}"
