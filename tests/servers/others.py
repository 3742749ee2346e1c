"""Real S3 servers other than SeaweedFS. Each uses free loopback ports, and runs until its context manager ends."""

from __future__ import annotations

from pathlib import Path

import fetched
from e2e.minio_ways import MinioWays
from migrator.demo.server import Server

POM = Path(__file__).with_name("pom.xml")
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"


class S3Mock(Server):
    """Adobe's s3mock: a jar. It accepts all credentials, and takes ten seconds to start."""

    def _command(self) -> list[str]:
        (jar,) = fetched.jars(POM)
        options = {
            "server.port": self._ports["master"],  # https, which no test uses
            "com.adobe.testing.s3mock.http-port": self._ports["s3"],
            "com.adobe.testing.s3mock.store.root": self._data(),
        }
        java = ["java", "-XX:TieredStopAtLevel=1", "-Xmx512m", f"-Djava.io.tmpdir={self._folder}", "-jar", str(jar)]
        return [*java, *(f"--{name}={value}" for name, value in options.items())]

    def _data(self) -> Path:
        folder = self._folder / "data"
        folder.mkdir()
        return folder


class Versitygw(Server):
    """versitygw over a folder: a Go program."""

    def _command(self) -> list[str]:
        data, beside = self._folder / "data", self._folder / "beside"
        for folder in (data, beside):
            folder.mkdir()
        program = fetched.go_program(VERSITYGW)
        # Attributes are stored in files next to the objects, because not every file system has extended attributes.
        return [str(program), "--port", f"127.0.0.1:{self._ports['s3']}", "posix", "--sidecar", str(beside), str(data)]

    def _secrets(self) -> dict[str, str]:
        return {"ROOT_ACCESS_KEY_ID": self.access_key, "ROOT_SECRET_ACCESS_KEY": self.secret_key}


class AsMinio(Server):
    """SeaweedFS behind a proxy that behaves like MinIO. Tables are written and read without the proxy, which does not
    support the streamed uploads of pyarrow. migrator always uses the proxy."""

    def __enter__(self) -> AsMinio:
        super().__enter__()
        self._ways = MinioWays(self).__enter__()
        self.endpoint_url = self._ways.url
        return self

    def stop(self) -> None:
        self._ways.__exit__()
        super().stop()

    def properties(self) -> dict[str, str]:
        return {**super().properties(), "s3.endpoint": f"http://127.0.0.1:{self._ports['s3']}"}
