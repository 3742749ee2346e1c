"""Settings are read by migrator's own client. If an answer is not clear, boto3 sends the request again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from migrator.errors import StoreError
from migrator.store import Store
from migrator.store.bucket_settings import SETTINGS, Setting, read_settings
from migrator.store.setting_documents import ACTIONS, READ, read_all, read_document

NONE = (404, "<Error><Code>NoSuchThing</Code><Message>m</Message></Error>")
LIFECYCLE = "<LifecycleConfiguration><Rule><Status>Enabled</Status><Prefix>a/</Prefix></Rule></LifecycleConfiguration>"


class Stub:
    """A server that answers each question by its query, the first times with what is in ``answers``."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, str]]] = {}
        self.asked: Counter[str] = Counter()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                query = urlsplit(self.path).query.partition("=")[0]
                stub.asked[query] += 1
                given = stub.answers.get(query, [NONE])
                status, body = given[min(stub.asked[query], len(given)) - 1]
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def stub() -> Iterator[Stub]:
    made = Stub()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_each_is_asked_for_once(stub: Stub) -> None:
    stub.answers = {
        "lifecycle": [(200, LIFECYCLE)],
        "policy": [(200, '{"Statement":[]}')],
        "logging": [(200, '<?xml version="1.0"?>\n<BucketLoggingStatus xmlns="x"/>')],
        "notification": [(200, '<NotificationConfiguration xmlns="x">\n</NotificationConfiguration>')],
        "cors": [(501, "<Error><Code>NotImplemented</Code></Error>")],
        "acl": [(405, "")],
        "website": [(200, "<ListBucketResult><Name>a</Name></ListBucketResult>")],
        "tagging": [(403, "<Error><Code>AccessDenied</Code></Error>")],
    }
    read = read_settings(Store(endpoint_url=stub.url), ["one", "two"])
    assert set(stub.asked.values()) == {2} and len(stub.asked) == len(SETTINGS)
    for settings in read.values():
        assert settings.found == {
            "lifecycle": {"Rules": [{"Status": "Enabled", "Prefix": "a/"}]},
            "policy": {"Policy": '{"Statement":[]}'},
        }
        assert (settings.denied, settings.failed) == ({"tags": "s3:GetBucketTagging"}, {})


@pytest.mark.parametrize(
    "first",
    [
        (500, "<Error><Code>InternalError</Code></Error>"),
        (503, "<Error><Code>SlowDown</Code></Error>"),
        (400, "<Error><Code>ExpiredToken</Code></Error>"),
        (200, "<html><body>Please log in</body></html>"),
        (200, "<Error><Code>InternalError</Code></Error>"),
        (200, ""),
    ],
)
def test_what_has_no_clear_answer_is_asked_again(stub: Stub, first: tuple[int, str]) -> None:
    stub.answers["lifecycle"] = [first, (200, LIFECYCLE)]
    (settings,) = read_settings(Store(endpoint_url=stub.url), ["one"]).values()
    assert "lifecycle" in settings.found and not settings.failed and stub.asked["lifecycle"] == 2


@pytest.mark.parametrize(
    "answer",
    [
        (200, "<html><body>Please log in</body></html>"),
        (404, "<Error><Code>NoSuchBucket</Code></Error>"),
        (403, "<Error><Code>SignatureDoesNotMatch</Code></Error>"),
        (404, "<html><body>Not found</body></html>"),
        (404, "not found"),
        (400, ""),
        (200, ""),
    ],
)
@pytest.mark.parametrize("setting", [s for s in READ if s.name in ACTIONS], ids=lambda setting: setting.query)
def test_what_cannot_be_read_is_reported(stub: Stub, setting: Setting, answer: tuple[int, str]) -> None:
    """The page of a proxy does not mean that nothing is set. That would be lost, or overwritten at the target."""
    stub.answers[setting.query] = [answer]
    store = Store(endpoint_url=stub.url)
    if setting in SETTINGS:
        (settings,) = read_settings(store, ["one"]).values()
        assert not settings.found and {*settings.failed, *settings.denied} == {setting.name}
    (documents,) = read_all(store, ["one"]).values()
    assert not documents.found and {*documents.unread} == {setting.name}
    with pytest.raises(StoreError):
        read_document(store, "one", setting.name)
