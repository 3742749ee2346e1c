from __future__ import annotations

import pytest

from migrator.findings import AT_CHECK, AT_MIGRATION, AT_RETIRE, CODES
from migrator.findings.explanations import EXPLANATIONS
from migrator.reporting.explanations import codes_report, explanation_report
from migrator.reporting.rendering import render


def test_all_codes_are_listed_with_their_severity_and_meaning() -> None:
    lines = render(codes_report()).split("\n")
    assert len(lines) == len(CODES) + len(AT_MIGRATION) + len(AT_RETIRE) + len(AT_CHECK) + 1
    for code, (_, meaning) in {**CODES, **AT_CHECK}.items():
        assert any(f" {code} " in line and line.endswith(meaning) for line in lines)


@pytest.mark.parametrize("code", ["object-lock", *AT_MIGRATION, *AT_RETIRE])
def test_an_explanation_has_its_example_line_by_line(code: str) -> None:
    text = render(explanation_report(code), 80)
    assert text.startswith(f"✖ {code} (block): ")
    assert "\nWhy it matters: " in text and "\nWhat to do: " in text
    for row in EXPLANATIONS[code].example.split("\n"):
        assert not row or f"\n  {row}" in text


def test_an_unknown_code_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        explanation_report("no-such-code")
