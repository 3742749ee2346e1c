"""A TCP proxy that delays everything, as if the server were far away.

    python tests/bench/latency.py --to 127.0.0.1:8333 --milliseconds 50

Prints its own port, and forwards until it is killed. Half of the delay is on the way to the server, half on the way
back, so an answer takes that many milliseconds longer than without the proxy.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Write everything that is received, in the same order, each chunk after the delay."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while chunk := await reader.read(1 << 16):
            loop.call_later(seconds, writer.write, chunk)
    await asyncio.sleep(seconds)
    with contextlib.suppress(OSError):
        writer.close()


async def serve(host: str, port: int, seconds: float) -> None:
    """Accept connections on a free port, which is printed, and forward them."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(host, port)
        await asyncio.gather(_pump(reader, back, seconds / 2), _pump(there, writer, seconds / 2))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def behind(endpoint_url: str, milliseconds: float) -> Iterator[str]:
    """The endpoint of a proxy, which runs in a separate process in front of ``http://host:port``."""
    place = endpoint_url.removeprefix("http://")
    command = [sys.executable, str(Path(__file__)), "--to", place, "--milliseconds", str(milliseconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.communicate()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", required=True, metavar="HOST:PORT")
    parser.add_argument("--milliseconds", type=float, default=50)
    given = parser.parse_args()
    host, _, port = given.to.rpartition(":")
    asyncio.run(serve(host, int(port), given.milliseconds / 1000))


if __name__ == "__main__":
    main()
