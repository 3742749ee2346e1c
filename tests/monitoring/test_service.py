"""Collections one after the other, and scrapes that never wait for one. Nothing here depends on time: a collection
ends when the test says so."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Queue
from threading import Event, Thread, active_count

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from migrator.errors import AccessDenied, ConfigError
from migrator.monitoring.measures import CountLimits, LakeMeasures, LayerMeasures
from migrator.monitoring.service import Service

LONG = 60
"""Seconds after which a test that waits gives up."""
Outcome = LakeMeasures | Exception


def lake(objects: int) -> LakeMeasures:
    layer = LayerMeasures("bronze", "layer", objects)
    return LakeMeasures([layer], [], {}, {}, target_exists=True, complete=True, limits=CountLimits())


class Lake:
    """Collections that begin when the service starts them, and end with the result that the test gives."""

    def __init__(self) -> None:
        self.begun: Queue[int] = Queue()
        self.outcomes: Queue[Outcome] = Queue()
        self.running = self.most = self.count = 0

    def collect(self) -> LakeMeasures:
        self.count += 1
        self.running += 1
        self.most = max(self.most, self.running)
        self.begun.put(self.count)
        outcome = self.outcomes.get(timeout=LONG)
        self.running -= 1
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def slow() -> Lake:
    return Lake()


@contextmanager
def running(slow: Lake) -> Iterator[Callable[[], dict[str, float]]]:
    """A running service, without a pause between collections. Yields the function that scrapes it."""
    stop = Event()
    service = Service(slow.collect, lambda text: None)
    port = service.serve("127.0.0.1", 0)
    thread = Thread(target=service.run, args=(0, stop))
    thread.start()
    try:
        yield lambda: scrape(port)
    finally:
        stop.set()
        slow.outcomes.put(lake(0))
        thread.join(LONG)
        assert not thread.is_alive()


def scrape(port: int) -> dict[str, float]:
    text, kind = get(port)
    assert kind.startswith("text/plain")
    return {sample.name: sample.value for family in parse(text) for sample in family.samples}


def get(port: int, accept: str = "") -> tuple[str, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics", headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=LONG) as answer:
        return answer.read().decode(), answer.headers["Content-Type"]


def test_a_scrape_during_a_collection_gets_what_there_was_before(slow: Lake) -> None:
    with running(slow) as scraped:
        assert slow.begun.get(timeout=LONG) == 1
        first = scraped()  # the first collection has begun, and cannot end before the test says so
        assert first["migrator_up"] == 0 and "migrator_layer_objects" not in first
        slow.outcomes.put(lake(5))
        assert slow.begun.get(timeout=LONG) == 2
        second = scraped()
        assert (second["migrator_up"], second["migrator_layer_objects"], second["migrator_collections_total"]) == (
            1,
            5,
            1,
        )
        slow.outcomes.put(lake(6))
        assert slow.begun.get(timeout=LONG) == 3
        assert scraped()["migrator_layer_objects"] == 6
    assert slow.most == 1


@pytest.mark.parametrize("error", [AccessDenied("no"), OSError(28, "No space left"), RuntimeError("a fault")])
def test_a_collection_that_fails_keeps_the_numbers_and_shows(slow: Lake, error: Exception) -> None:
    with running(slow) as scraped:
        slow.begun.get(timeout=LONG)
        slow.outcomes.put(lake(5))
        slow.begun.get(timeout=LONG)
        good = scraped()
        slow.outcomes.put(error)
        slow.begun.get(timeout=LONG)
        failed = scraped()
        assert failed["migrator_up"] == 0 and failed["migrator_collection_failures_total"] == 1
        assert failed["migrator_collection_last_failure_timestamp_seconds"] > 0
        same = ("migrator_layer_objects", "migrator_collection_last_success_timestamp_seconds")
        assert [failed[name] for name in same] == [good[name] for name in same]
        slow.outcomes.put(lake(7))
        slow.begun.get(timeout=LONG)
        again = scraped()
        assert (again["migrator_up"], again["migrator_layer_objects"]) == (1, 7)
        assert (again["migrator_collection_failures_total"], again["migrator_collections_total"]) == (1, 3)


def test_the_first_collection_may_fail(slow: Lake) -> None:
    with running(slow) as scraped:
        slow.begun.get(timeout=LONG)
        slow.outcomes.put(AccessDenied("no"))
        slow.begun.get(timeout=LONG)
        found = scraped()
        assert found["migrator_up"] == 0 and "migrator_collection_last_success_timestamp_seconds" not in found


def test_openmetrics_for_who_asks_for_it(slow: Lake) -> None:
    service = Service(slow.collect, lambda text: None)
    slow.outcomes.put(lake(5))
    assert service.collect_once()
    text, kind = get(service.serve("127.0.0.1", 0), "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert kind.startswith("application/openmetrics-text") and text.endswith("# EOF\n")
    found = {sample.name: sample.value for family in parse_openmetrics(text) for sample in family.samples}
    assert found["migrator_layer_objects"] == 5 and found["migrator_collections_total"] == 1


def test_a_client_that_sends_nothing_delays_no_other_client(slow: Lake) -> None:
    service = Service(slow.collect, lambda text: None)
    port = service.serve("127.0.0.1", 0)
    before = active_count()
    with socket.create_connection(("127.0.0.1", port), timeout=LONG) as silent:
        silent.sendall(b"GET /metrics")
        assert scrape(port)["migrator_up"] == 0
    assert active_count() <= before + 2


def test_an_address_that_is_taken(slow: Lake) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="cannot be listened on"):
            Service(slow.collect, print).serve("127.0.0.1", taken.getsockname()[1])


def test_what_is_said(slow: Lake) -> None:
    said: list[str] = []
    service = Service(slow.collect, said.append)
    for outcome in (
        lake(1_234),
        AccessDenied("s3://a:b@c cannot be listed.", next_move="Allow it."),
        RuntimeError("x"),
    ):
        slow.outcomes.put(outcome)
        service.collect_once()
    assert said[0].startswith("Collected 1,234 objects and 0 tables in ")
    assert said[1] == "The collection failed: s3://***@c cannot be listed. Allow it."
    assert said[2].startswith("The collection failed: Internal error: RuntimeError: x.")
