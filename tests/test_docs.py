"""The documents say what the program does. `MIGRATOR_WRITE_DOCS=1 pytest tests/test_docs.py` rewrites them."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
from pathlib import Path
from typing import Any, get_type_hints

import click
import pytest
import yaml
from click.testing import CliRunner

import migrator
from migrator import reference
from migrator.catalogs import Catalog
from migrator.catalogs.base import CatalogKind
from migrator.cli import main
from migrator.config import load
from migrator.errors import EXIT_CODES
from migrator.findings import ACCEPTABLE, AT_CHECK, AT_MIGRATION, AT_RETIRE, CHECK_TOO, CODES
from migrator.findings.explanations import EXPLANATIONS
from migrator.layout import MEDALLION, Layout
from migrator.monitoring import names
from migrator.plan.policy import least_policy
from migrator.reporting.description import PlanDescription, TableDescription

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *(ROOT / "plans").glob("*.md")])


def generated(path: Path, name: str, expected: str) -> None:
    """The part of a document between <!-- name --> and <!-- /name --> must be ``expected``."""
    text = path.read_text()
    pattern = re.compile(rf"(<!-- {name} -->\n)(.*?)(<!-- /{name} -->)", re.DOTALL)
    found = pattern.search(text)
    assert found is not None
    if os.environ.get("MIGRATOR_WRITE_DOCS"):
        path.write_text(pattern.sub(lambda m: m[1] + expected + m[3], text))
    else:
        assert found[2] == expected, "run MIGRATOR_WRITE_DOCS=1 pytest tests/test_docs.py"


def test_the_help_of_every_command() -> None:
    assert isinstance(main, click.Group)
    blocks = []
    for command in ("", *main.commands):
        arguments = [command, "--help"] if command else ["--help"]
        result = CliRunner().invoke(main, arguments, prog_name="migrator", terminal_width=100)
        assert result.exit_code == 0
        blocks.append(f"```\n$ migrator {' '.join(arguments)}\n{result.output.rstrip()}\n```\n")
    generated(DOCS / "commands.md", "help", "\n".join(blocks))


def test_exit_codes() -> None:
    rows = "".join(f"| {code} | {text} |\n" for code, text in EXIT_CODES.items())
    generated(DOCS / "commands.md", "exit codes", f"| code | means |\n|---|---|\n{rows}")


def test_the_policy() -> None:
    policy = json.dumps(least_policy(["bronze", "silver"], "data-lake"), indent=2)
    generated(DOCS / "permissions.md", "policy", f"```json\n{policy}\n```\n")


def test_findings() -> None:
    rows = "".join(f"| `{code}` | {severity} | {text} |\n" for code, (severity, text) in CODES.items())
    generated(DOCS / "findings.md", "findings", f"| code | severity | means |\n|---|---|---|\n{rows}")
    rows = "".join(f"| `{code}` | {severity} | {text} |\n" for code, (severity, text) in AT_CHECK.items())
    generated(DOCS / "findings.md", "findings of check", f"| code | severity | means |\n|---|---|---|\n{rows}")
    acceptable = " and ".join(", ".join(f"`{code}`" for code in sorted(ACCEPTABLE)).rsplit(", ", 1))
    text = " ".join((DOCS / "findings.md").read_text().split())
    assert acceptable in text
    assert all(f"`{code}`" in text for code in (*AT_MIGRATION, *AT_RETIRE))


def test_metrics() -> None:
    for name, metrics in (("metrics of the lake", names.LAKE), ("metrics of a migration", names.MIGRATION)):
        rows = "".join(
            f"| `{one.name}` | {one.type} | {', '.join(f'`{label}`' for label in one.labels)} | {one.means} |\n"
            for one in metrics
        )
        generated(DOCS / "metrics.md", name, f"| metric | type | labels | means |\n|---|---|---|---|\n{rows}")


def test_alerts() -> None:
    groups = yaml.safe_load(reference.text(reference.RULES))["groups"]
    bar = r"\|"
    rows = "".join(
        f"| `{rule['alert']}` | {rule['labels']['severity']} | `{' '.join(rule['expr'].replace('|', bar).split())}` |"
        f" {rule.get('for', '')} |\n"
        for group in groups
        for rule in group["rules"]
    )
    generated(DOCS / "metrics.md", "alerts", f"| alert | severity | fires if | for |\n|---|---|---|---|\n{rows}")


def test_every_code_is_explained() -> None:
    assert set(EXPLANATIONS) == {*CODES, *AT_MIGRATION, *AT_RETIRE, *AT_CHECK} and set(CHECK_TOO) <= set(CODES)
    for code, explanation in EXPLANATIONS.items():
        assert all(text.endswith(".") for text in explanation[:2]), code
    for code in EXPLANATIONS:
        shown = CliRunner().invoke(main, ["explain", code])
        assert shown.exit_code == 0 and EXPLANATIONS[code].why in shown.output
        assert code in CliRunner().invoke(main, ["explain"]).output
    unknown = CliRunner().invoke(main, ["explain", "uncataloged-table"])
    assert unknown.exit_code == 2 and "Did you mean uncatalogued-table?" in unknown.output


def test_the_example_configuration_is_valid_and_the_built_in_layout(tmp_path: Path) -> None:
    example = tmp_path / "lake.toml"
    example.write_text(reference.text(reference.CONFIG_EXAMPLE))
    settings = load(example)
    assert settings.layout is not None and set(settings.catalogs) == {"iceberg", "local"}
    built_in = Layout.medallion("data-lake", MEDALLION).to_mapping()
    assert {k: v for k, v in settings.layout.items() if v is not False} == built_in
    generated(DOCS / "configuration.md", "configuration", f"```toml\n{example.read_text()}```\n")


def test_the_skeleton_of_a_catalog_has_what_the_protocol_asks_for() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    skeleton: dict[str, Any] = {}
    exec(text.split("<!-- catalog skeleton -->\n```python\n")[1].split("```")[0], skeleton)
    example = skeleton["ExampleCatalog"]
    asked = {name for name in (*vars(Catalog), "open") if not name.startswith("_")}
    assert asked == {name for name in vars(example) if not name.startswith("_")} - set(Catalog.__annotations__)
    assert {"name"} == {name for name in Catalog.__annotations__ if name not in vars(example)}
    for name in asked:
        assert inspect.signature(getattr(example, name)) == inspect.signature(getattr(CatalogKind, name)), name


def test_the_functions_of_the_library_are_those_in_the_document() -> None:
    text = (DOCS / "python.md").read_text()
    documented = dict(re.findall(r"^\| `(\w+)\((.*?)\)` \|", text, re.MULTILINE))
    assert set(documented) == {name for name in migrator.__all__ if inspect.isfunction(getattr(migrator, name))}
    for name, arguments in documented.items():
        parameters = inspect.signature(getattr(migrator, name)).parameters.values()
        shown = [p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters]
        assert arguments == ", ".join(argument for argument in shown if argument != "progress=None"), name


def test_the_types_of_descriptions_have_the_documented_keys() -> None:
    text = reference.text(reference.JSON_KEYS)
    for heading, described in (("## `plan --json`", PlanDescription), ("## `tables --json`", TableDescription)):
        rows = re.findall(r"^\| (`[^|]+) \|", text.partition(heading)[2].partition("\n## ")[0], re.MULTILINE)
        documented = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
        assert documented == set(get_type_hints(described)), heading


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    for document in [*DOCUMENTS, ROOT / "migrator" / "reference" / "json-keys.md"]:
        text = re.sub(r"^( *)```.*?^\1```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            if link.startswith("http"):
                continue
            path, _, heading = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            assert target.exists(), f"{document.name}: {link}"
            assert not heading or heading in headings_of(target), f"{document.name}: {link}"


def headings_of(document: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a document."""
    titles = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_contents_and_every_folder_in_the_design() -> None:
    contents = (DOCS / "README.md").read_text()
    assert all(f"({page.name})" in contents for page in DOCS.glob("*.md") if page.name != "README.md")
    design = (DOCS / "design.md").read_text()
    folders = [place.parent.name for place in (ROOT / "migrator").glob("*/__init__.py")]
    assert [name for name in folders if f"| `{name}/` |" not in design] == []
    modules = [file.stem for file in (ROOT / "migrator").glob("[!_]*.py")]
    assert [name for name in modules if f"`{name}`" not in design] == []


@pytest.mark.parametrize("name", ["command: test", "command: demo"])
def test_readme_has_the_commands_that_ci_runs(name: str) -> None:
    _, _, block = (ROOT / "README.md").read_text().partition(f"<!-- {name} -->\n```sh\n")
    assert block.startswith("python3 -m venv .venv")


def test_every_command_has_an_example_and_every_option_help() -> None:
    assert isinstance(main, click.Group)
    for command in (main, *main.commands.values()):
        assert "Example:" in (command.help or ""), command.name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, (command.name, parameter.name)


ICEBERG = (13719, 16905, 12554, 17498, 16662, 12586, 12772, 13630, 16418, 14318, 17794, 15172, 17521, 14351, 17992)
FAULTS = {
    "iceberg": (*ICEBERG, 14606, 4346),
    "trino": (15752, 11998),
    "duckdb-iceberg": (685, 1382),
    "pyiceberg": (606,),
    "doris": (67544,),
    "iceberg-rust": (434,),
    "iceberg-python": (2014,),
    "measured": ("null-first-row-id", "sequence-numbers", "referenced-data-file"),
}


def test_every_path_pitfall_and_known_fault_has_its_tests() -> None:
    """PATHS.md names each exactly once, and only tests that exist."""
    _, *sections = (ROOT / "tests" / "PATHS.md").read_text().split("\n## ")
    found: dict[str, list[str]] = {}
    for section in sections:
        rows = [line.split("|")[1:-1] for line in section.splitlines() if re.match(r"\| (?!#|fault)", line)]
        found[section.split("\n")[0]] = sorted(key for row in rows for key in row[0].strip().split(", "))
        for key, holds, tests in rows:
            named = re.findall(r"`(tests/[^`]+\.py)::([^`]+)`", tests)
            assert named and holds.strip(), key
            assert "".join(f"`{file}::{name}`" for file, name in named) == tests.replace(" ", ""), key
            for file, name in named:
                assert name in functions_of(ROOT / file), f"{file}::{name}"
    assert found == {
        "Paths": sorted(str(n) for n in range(1, 18)),
        "Pitfalls": sorted(str(n) for n in range(1, 28)),
        "Known faults": sorted(f"{project}#{fault}" for project, faults in FAULTS.items() for fault in faults),
    }


def test_every_promise_of_the_mission_has_a_command_and_a_test() -> None:
    """mission.md names only commands, options and tests that exist."""
    text = (DOCS / "mission.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if re.match(r"\| (?!promise|---)", line)]
    assert isinstance(main, click.Group) and len(rows) > 20
    for promise, commands, tests in rows:
        named = re.findall(r"`migrator ([a-z-]+)([^`]*)`", commands)
        assert named, promise
        for name, words in named:
            options = {option for one in main.commands[name].params for option in one.opts}
            assert set(re.findall(r"--[a-z-]+", words)) <= options, f"{name} {words}"
        listed = re.findall(r"`(tests/[^`]+\.py)::([^`]+)`", tests)
        assert listed and "".join(f"`{file}::{test}`" for file, test in listed) == re.sub(r"[ |]", "", tests), promise
        for file, test in listed:
            assert test in functions_of(ROOT / file), f"{file}::{test}"


def functions_of(file: Path) -> set[str]:
    """The tests in a file, those of a class as ``Class::test``."""
    body = ast.parse(file.read_text()).body
    classes = [node for node in body if isinstance(node, ast.ClassDef)]
    functions = [("", body), *((f"{node.name}::", node.body) for node in classes)]
    return {prefix + node.name for prefix, nodes in functions for node in nodes if isinstance(node, ast.FunctionDef)}
