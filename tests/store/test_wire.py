"""An answer is accepted only if it is complete, and belongs to the request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from migrator.store.signing import Credentials
from migrator.store.wire import Answer, Endpoint, Lost, Wire

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, *, number: int = 1, status: str = "200 OK", length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\nx-amz-request-id: {number}\r\n\r\n".encode() + body


async def heard(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


def talk(script: Script, requests: int = 1, method: str = "GET", patience: float = 5.0) -> tuple[list[object], int]:
    """The answers to this many requests, one after the other, from a server that follows the script on each connection;
    and the number of connections."""
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            await script(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def run() -> list[object]:
        server = await asyncio.start_server(serve, "127.0.0.1")
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/b/"
        wire = Wire(Endpoint("us-east-1", lambda: Credentials("a", "b"), lambda bucket: url))
        got: list[object] = []
        for _ in range(requests):
            try:
                got.append(await wire.request(method, "b", "k", patience=patience))
            except Lost as error:
                got.append(str(error))
            await asyncio.sleep(0.02)
        wire.close()
        server.close()
        return got

    return asyncio.run(asyncio.wait_for(run(), 20)), connections


def bodies(got: list[object]) -> list[bytes]:
    return [a.body for a in got if isinstance(a, Answer)]


def test_one_connection_for_many_requests() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(3):
            request = await heard(reader)
            assert request.startswith(b"GET /b/k HTTP/1.1\r\n") and b"\r\nauthorization: AWS4" in request
            writer.write(answer(b"<x/>", number=number))

    got, connections = talk(script, 3)
    assert bodies(got) == [b"<x/>"] * 3 and connections == 1


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_an_answer_in_pieces_and_in_chunks(pieces: int) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-amz-request-id: 1\r\n\r\n"
        whole = head + b"5;ext=1\r\n\r\n0\r\n\r\n" + b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
        whole = b"HTTP/1.1 100 Continue\r\n\r\n" + whole
        step = -(-len(whole) // pieces)
        for start in range(0, len(whole), step):
            writer.write(whole[start : start + step])
            await writer.drain()
            await asyncio.sleep(0.01)
        await heard(reader)
        writer.write(answer(b"next", number=2))

    got, connections = talk(script, 2)
    assert bodies(got) == [b"\r\n0\r\nabc", b"next"] and connections == 1


def test_head_has_a_length_and_no_body() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(2):
            await heard(reader)
            writer.write(answer(b"", length=12345, number=number))

    got, connections = talk(script, 2, "HEAD")
    assert bodies(got) == [b"", b""] and connections == 1


def test_a_cut_answer_is_none() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(answer(b"<Cop", length=50))

    got, _ = talk(script)
    assert got == ["the connection was lost: closed by the server"]


@pytest.mark.parametrize(
    "garbage", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"]
)
def test_what_is_no_http_is_no_answer(garbage: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(garbage)
        await reader.read()

    got, _ = talk(script)
    assert str(got[0]).startswith("not an HTTP answer")


def test_an_answer_that_comes_twice_at_once_is_not_taken_for_the_next() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(answer(b"one") * 2)
        await heard(reader)

    got, connections = talk(script, 2)
    assert bodies(got) == [b"one", b"one"] and connections == 2  # the second was asked for on a new connection


def test_an_answer_that_comes_again_instead_of_the_next() -> None:
    """The most difficult case: only its request id shows that it is the old answer."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await heard(reader)
            writer.write(answer(b"one", number=7))

    got, _ = talk(script, 2)
    assert bodies(got) == [b"one"] and got[1] == "an answer came twice"


def test_an_answer_without_a_request() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(answer(b"one", number=1))
        await writer.drain()
        await asyncio.sleep(0.005)
        writer.write(answer(b"stray", number=2))
        await heard(reader)
        writer.write(answer(b"two", number=3))

    got, connections = talk(script, 2)
    assert bodies(got) == [b"one", b"one"] and connections == 2


def test_patience_ends() -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await heard(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await reader.read()

    got, _ = talk(script, patience=0.2)
    assert got == ["no answer within 0 s"]


def test_no_server() -> None:
    async def run() -> None:
        wire = Wire(Endpoint("us-east-1", lambda: Credentials("a", "b"), lambda bucket: "http://127.0.0.1:1/b/"))
        await wire.request("GET", "b")

    with pytest.raises(Lost, match=r"no connection to 127\.0\.0\.1:1"):
        asyncio.run(run())
