"""A pytest plugin: prints each failure when it happens, and not again at the end. It works with pytest-xdist."""

from __future__ import annotations

import pytest
from _pytest.terminal import TerminalReporter


class FailuresAtOnce:
    """Prints the traceback and the captured output of each test that fails."""

    def __init__(self, terminal: TerminalReporter) -> None:
        self._terminal = terminal

    # Last, so that pytest's own letter for the test is printed above the traceback.
    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._print(
                f"{report.when} of {report.nodeid}" if report.when in ("setup", "teardown") else report.nodeid, report
            )

    @pytest.hookimpl(trylast=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._print(f"collecting {report.nodeid}", report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """After this, pytest would print all tracebacks: this turns that off. pytest still prints its list of failed
        tests."""
        session.config.option.tbstyle = "no"

    def _print(self, title: str, report: pytest.TestReport | pytest.CollectReport) -> None:
        self._terminal.line("")
        self._terminal.write_sep("_", f"FAILED: {title}", red=True, bold=True)
        report.toterminal(self._terminal._tw)
        for name, text in report.sections:
            self._terminal.write_sep("-", name)
            self._terminal.write_line(text)
        self._terminal.flush()


# Last: the reporter is a plugin, too, and must exist.
@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    is_worker = hasattr(config, "workerinput")  # of pytest-xdist: its reports are printed by the main process
    if terminal is not None and not is_worker:
        config.pluginmanager.register(FailuresAtOnce(terminal))
