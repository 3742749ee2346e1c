"""promtool, and a private Prometheus server for tests: a temporary directory and a free loopback port."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from postgres import free_port, give_up

REQUIRED = "MIGRATOR_REQUIRE_PROMETHEUS"
TIMEOUT = 600
"""The longest wait for a server, in seconds. Most waits take one or two; the wait for an S3 server that has ended takes
minutes."""


def program(name: str) -> str:
    """The path of this program of Debian's package prometheus. Skips the test if it is not installed, or fails it if
    MIGRATOR_REQUIRE_PROMETHEUS=1."""
    return shutil.which(name) or give_up(f"{name} is not installed", REQUIRED)


def promtool(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run promtool."""
    command = [program("promtool"), *map(str, words)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


class Prometheus:
    """A running server."""

    def __init__(self, port: int, log: Path, process: subprocess.Popen[bytes]) -> None:
        self._url, self._log, self._process = f"http://127.0.0.1:{port}", log, process

    def get(self, path: str, **parameters: str) -> Any:
        """``data`` of an answer of its HTTP interface."""
        with urllib.request.urlopen(f"{self._url}{path}?{urllib.parse.urlencode(parameters)}", timeout=60) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """(labels, value) of each series that an expression gives now."""
        found = self.get("/api/v1/query", query=expression)["result"]
        return [(series["metric"], float(series["value"][1])) for series in found]

    def wait_for(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The same; waits until the expression gives something."""
        return self._wait(lambda: self.query(expression), expression)

    def wait_until_equal(self, ask: Callable[[], Any], expected: Any) -> None:
        """Wait until queries give this. Fails with what they give instead."""
        given = []

        def equal() -> bool:
            given[:] = [ask()]
            return bool(given[0] == expected)

        try:
            self._wait(equal, "")
        except AssertionError:
            assert given[0] == expected
            raise

    def wait_for_alert(self, name: str) -> dict[str, str]:
        """The labels of an alert, once it fires."""

        def firing() -> list[dict[str, str]]:
            alerts = self.get("/api/v1/alerts")["alerts"]
            return [a["labels"] for a in alerts if a["labels"]["alertname"] == name and a["state"] == "firing"]

        found: list[dict[str, str]] = self._wait(firing, f"the alert {name}")
        return found[0]

    def _wait(self, ask: Any, what: str) -> Any:
        end = time.monotonic() + TIMEOUT
        while time.monotonic() < end:
            assert self._process.poll() is None, self._log.read_text()
            try:
                if found := ask():
                    return found
            except (urllib.error.URLError, ConnectionError):
                pass  # it has not begun to listen, or is still reading its log
            time.sleep(0.2)
        raise AssertionError(f"{what}: nothing after {TIMEOUT} s\n{self._log.read_text()[-3000:]}")


@contextmanager
def prometheus_server(folder: Path, target: str, rules: str) -> Iterator[Prometheus]:
    """Start a server that scrapes ``target`` (host:port) every few seconds, with these rules. Stopped at the end."""
    (folder / "rules.yml").write_text(rules)
    (folder / "prometheus.yml").write_text(
        # A scrape may take as long as the interval. After one that took longer, no query has an answer until the next.
        "global: {scrape_interval: 5s, scrape_timeout: 5s, evaluation_interval: 1s}\n"
        "rule_files: [rules.yml]\n"
        "scrape_configs:\n"
        f"  - {{job_name: migrator, static_configs: [{{targets: ['{target}']}}]}}\n"
    )
    port = free_port()
    command = [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output, cwd=folder
        )
    try:
        yield Prometheus(port, log, process)
    finally:
        process.kill()
        process.wait()
