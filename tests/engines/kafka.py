"""A Kafka broker on a free loopback port. It runs until its context manager ends."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import fetched
from migrator.demo.server import READY_SECONDS, Server

BROKER = Path(__file__).with_name("kafka.xml")
SOURCE = Path(__file__).with_name("kafka_source.xml")
"""What Spark needs to read from it."""
STARTED = re.compile(r"Kafka Server started")


class Kafka(Server):
    """One node that is broker and controller, without ZooKeeper. It creates a topic when the first message for it is
    sent."""

    @property
    def address(self) -> str:
        """The address that clients call bootstrap servers."""
        return f"127.0.0.1:{self._ports['s3']}"

    def send(self, topic: str, messages: Iterable[tuple[str, str]]) -> None:
        """Append keys and values, which must not hold line ends, and return when the broker has all of them."""
        lines = "".join(f"{key}\t{value}\n" for key, value in messages)
        options = ["--bootstrap-server", self.address, "--topic", topic, "--property", "parse.key=true"]
        done = subprocess.run(
            [*_java("error"), "kafka.tools.ConsoleProducer", *options, "--producer-property", "acks=all"],
            input=lines,
            text=True,
            capture_output=True,
            check=True,
        )
        if done.stderr:  # if a message fails, the producer reports it and continues
            raise RuntimeError(f"Not every message was sent:\n{done.stderr}")

    def _command(self) -> list[str]:
        settings = self._folder / "server.properties"
        settings.write_text("".join(f"{key}={value}\n" for key, value in self._settings().items()))
        identity = ["-t", "MkU3OEVBNTcwNTJENDM2Qk", "-c", str(settings)]
        format_folder = [*_java("error"), "kafka.tools.StorageTool", "format", *identity]
        subprocess.run(format_folder, check=True, stdout=self._log, stderr=subprocess.STDOUT)
        return [*_java("warn"), "kafka.Kafka", str(settings)]

    def _settings(self) -> dict[str, str]:
        controller = f"127.0.0.1:{self._ports['master']}"
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self._folder / "messages"),
            "num.partitions": "2",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
        }

    def _wait(self) -> None:
        log = self._folder / "server.log"
        deadline = time.monotonic() + 2 * READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            if STARTED.search(log.read_text(errors="replace")):
                return
            time.sleep(0.1)
        raise RuntimeError(f"Kafka did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _java(level: str) -> list[str]:
    """The command that runs one of Kafka's programs, up to its name. It logs messages of this level and higher to
    standard error."""
    jars = os.pathsep.join(map(str, fetched.jars(BROKER, transitive=True)))
    log = "org.slf4j.simpleLogger"
    levels = [f"-D{log}.defaultLogLevel={level}", f"-D{log}.log.kafka.server.KafkaRaftServer=info"]
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", *levels, "-cp", jars]
