"""Compares parts that migrator implements itself with libraries that do the same: CPU time on one core.

    python tests/bench/by_hand.py [--puts 5000] [--signatures 20000] [--entries 5000] [--rounds 5]

============  ===================================================  ==============================================
part          by hand                                              library
============  ===================================================  ==============================================
a small PUT   ``migrator.store.wire``                              aiohttp, with migrator's signer
a signature   ``migrator.store.signing``                           botocore's S3 signer
a manifest    ``migrator.iceberg.avro``: byte spans are replaced   fastavro (in C): every entry decoded and encoded
============  ===================================================  ==============================================

Both of a pair do the same work, with the same result, alternately in the same run; the fastest round of each counts.
The server is a separate process that answers every request with 200, so its time is not counted. A ratio of 3.0 means
that the library takes three times as long.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import io
import itertools
import multiprocessing
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import fastavro
import yarl
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.manifest_speed import LAYOUT, PLACE, SCHEMA, manifest
from migrator.iceberg.manifests import rewrite_manifest
from migrator.store.signing import Credentials, quoted_key, signed_headers
from migrator.store.wire import Endpoint, Wire

REGION = "us-east-1"
KEYS = Credentials("AKIAEXAMPLE", "secret/example")
BODY = bytes(range(256)) * 4
KEY = "bronze/iceberg-warehouse/sales/orders/data/part 00000.parquet"
HEADERS = {"content-type": "application/octet-stream", "x-amz-meta-writer": "kafka-1"}
IN_FLIGHT = 16
"""Requests that wait for their answers at the same time, as in a copy."""

Job = Callable[[], object]


# -- a small PUT -----------------------------------------------------------------------------------------


class Answering(asyncio.Protocol):
    """The server's side of a connection: a 200 to every request, each with another id."""

    ids = itertools.count()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.received = b""

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        size = int(lengths[0].split(b":")[1])
        if len(body) >= size:
            self.received = body[size:]
            head = f'HTTP/1.1 200 OK\r\nETag: "0"\r\nx-amz-request-id: {next(self.ids)}\r\nContent-Length: 0\r\n\r\n'
            self.transport.write(head.encode())


def serve(port: Any) -> None:
    """Run the server until its process is killed."""

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


@contextmanager
def server() -> Iterator[int]:
    """The port of a running server."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.kill()
        process.join()


async def many(puts: int, put: Callable[[], Awaitable[int]]) -> None:
    left = iter(range(puts))

    async def one_after_another() -> None:
        for _ in left:
            assert await put() == 200

    await asyncio.gather(*(one_after_another() for _ in range(IN_FLIGHT)))


def puts_by_wire(port: int, puts: int) -> Job:
    endpoint = Endpoint(REGION, lambda: KEYS, lambda bucket: f"http://127.0.0.1:{port}/{bucket}/")

    async def run() -> None:
        wire = Wire(endpoint)

        async def put() -> int:
            return (await wire.request("PUT", "data-lake", KEY, headers=HEADERS, body=BODY)).status

        await many(puts, put)
        wire.close()

    return lambda: asyncio.run(run())


def puts_by_aiohttp(port: int, puts: int) -> Job:
    path = f"/data-lake/{quoted_key(KEY)}"
    url = yarl.URL(f"http://127.0.0.1:{port}{path}", encoded=True)
    given = {"host": f"127.0.0.1:{port}", **HEADERS}
    unneeded = ("Accept", "Accept-Encoding", "User-Agent")

    async def run() -> None:
        connector = aiohttp.TCPConnector(limit=IN_FLIGHT)
        async with aiohttp.ClientSession(connector=connector, skip_auto_headers=unneeded) as session:

            async def put() -> int:
                date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
                payload = hashlib.sha256(BODY).hexdigest()
                signed = signed_headers(KEYS, REGION, date, "PUT", path, "", given, payload)
                async with session.put(url, data=BODY, headers=signed) as answer:
                    await answer.read()
                    return answer.status

            await many(puts, put)

    return lambda: asyncio.run(run())


# -- a signature -----------------------------------------------------------------------------------------


def sign_by_hand(count: int) -> Job:
    given = {"host": "127.0.0.1:9000", **HEADERS}
    path = f"/data-lake/{quoted_key(KEY)}"

    def sign() -> dict[str, str]:
        payload = hashlib.sha256(BODY).hexdigest()
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        return signed_headers(KEYS, REGION, date, "PUT", path, "", given, payload)

    return lambda: [sign() for _ in range(count)][-1]["authorization"]


def sign_by_botocore(count: int) -> Job:
    signer = S3SigV4Auth(BotocoreCredentials(KEYS.access_key, KEYS.secret_key), "s3", REGION)
    url = f"http://127.0.0.1:9000/data-lake/{quoted_key(KEY)}"

    def sign() -> Any:
        request = AWSRequest("PUT", url, headers=HEADERS, data=BODY)
        signer.add_auth(request)
        return request.headers["Authorization"]

    return lambda: [sign() for _ in range(count)][-1]


# -- a manifest ------------------------------------------------------------------------------------------


def rewrite_by_splice(data: bytes) -> Job:
    def rewrite() -> bytes:
        sink = io.BytesIO()
        rewrite_manifest(data, sink, LAYOUT.map_uri, lambda path: None, PLACE)
        return sink.getvalue()

    return rewrite


def rewrite_by_fastavro(data: bytes) -> Job:
    schema = fastavro.parse_schema(SCHEMA)

    def rewrite() -> bytes:
        reader = fastavro.reader(io.BytesIO(data))
        rows = list(reader)
        for row in rows:
            row["data_file"]["file_path"] = LAYOUT.map_uri(row["data_file"]["file_path"])
        sink = io.BytesIO()
        fastavro.writer(sink, schema, rows, "deflate", sync_interval=64_000, codec_compression_level=1)
        return sink.getvalue()

    return rewrite


# -- measuring -------------------------------------------------------------------------------------------


def cpu_seconds(jobs: tuple[Job, Job], rounds: int) -> list[float]:
    """The CPU time of each job's fastest round. In each round, the jobs run one after the other."""
    best = [float("inf")] * len(jobs)
    for _ in range(rounds):
        for number, job in enumerate(jobs):
            began = time.process_time()
            job()
            best[number] = min(best[number], time.process_time() - began)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("puts", 5000), ("signatures", 20_000), ("entries", 5000), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    sizes = parser.parse_args()
    data = manifest(sizes.entries, "deflate")
    print(f"{'CPU time':<40}{'by hand':>12}{'library':>12}{'ratio':>8}")
    with server() as port:
        pairs: dict[str, tuple[int, tuple[Job, Job]]] = {
            "a small PUT: wire, aiohttp": (
                sizes.puts,
                (puts_by_wire(port, sizes.puts), puts_by_aiohttp(port, sizes.puts)),
            ),
            "a signature: signing, botocore": (
                sizes.signatures,
                (sign_by_hand(sizes.signatures), sign_by_botocore(sizes.signatures)),
            ),
            "a manifest's entry: avro, fastavro": (
                sizes.entries,
                (rewrite_by_splice(data), rewrite_by_fastavro(data)),
            ),
        }
        for name, (count, jobs) in pairs.items():
            ours, theirs = (seconds / count * 1e6 for seconds in cpu_seconds(jobs, sizes.rounds))
            print(f"{name:<40}{ours:>9.1f} µs{theirs:>9.1f} µs{theirs / max(ours, 1e-9):>8.1f}")


if __name__ == "__main__":
    main()
