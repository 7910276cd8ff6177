"""A real Kafka broker and controller in one process, in a directory of the caller's."""

from __future__ import annotations

import signal
import socket
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.interop.rig.jars import KafkaJars

CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qg"
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 60.0

_READY = "Kafka Server started"


class BrokerError(Exception):
    """The broker did not do as it was told; the text ends with its output."""


class Broker:
    """One KRaft node whose only log directory is `directory/data`.

    Ports are chosen anew at every start, so `bootstrap` changes: make clients after `start()`.
    """

    def __init__(self, jars: KafkaJars, directory: Path, *, node_id: int = 1) -> None:
        self.jars = jars
        self._directory = directory
        self._node_id = node_id
        self._process: subprocess.Popen[str] | None = None
        self._drain: threading.Thread | None = None
        self._ready_or_ended = threading.Event()
        self._ready = False
        self.data = directory / "data"
        self.bootstrap = ""
        self.output: list[str] = []
        directory.mkdir(parents=True, exist_ok=True)

    def format(self) -> None:
        """Give the data directory its identity, as `kafka-storage.sh format` does."""
        properties = self._write_properties(0, 0)
        tool = ("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", str(properties))
        outcome = self.jars.run(*tool)
        if outcome.returncode != 0:
            raise BrokerError(outcome.stdout + outcome.stderr)

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start, and return when the broker has registered itself and serves its partitions."""
        assert self._process is None, "started already"
        port, controller_port = _free_ports()
        properties = self._write_properties(port, controller_port, settings or {})
        self.bootstrap = f"127.0.0.1:{port}"
        self.output = []
        self._ready = False
        self._ready_or_ended.clear()
        self._process = subprocess.Popen(
            self.jars.command("kafka.Kafka", str(properties), heap="1g"),
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        self._drain = threading.Thread(target=self._read_output, name="broker output", daemon=True)
        self._drain.start()
        if not self._ready_or_ended.wait(START_TIMEOUT_S) or not self._ready:
            self.kill()
            raise BrokerError("the broker did not start:\n" + "".join(self.output))

    def stop(self) -> None:
        """A clean stop: it syncs, trims its indexes and leaves `.kafka_cleanshutdown`."""
        status = self._end(signal.SIGTERM)
        if status not in {0, 128 + signal.SIGTERM, -signal.SIGTERM}:
            raise BrokerError(f"the broker ended with {status}:\n" + "".join(self.output))

    def kill(self) -> None:
        """A stop that it does not notice. Harmless if it is not running."""
        if self._process is not None:
            self._end(signal.SIGKILL)

    @property
    def complaints(self) -> list[str]:
        """The lines of warnings and errors since the last start."""
        return [line for line in self.output if " WARN " in line or " ERROR " in line]

    def _end(self, how: signal.Signals) -> int:
        process, drain = self._process, self._drain
        assert process is not None
        assert drain is not None
        process.send_signal(how)
        try:
            status = process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait(STOP_TIMEOUT_S)
        drain.join(STOP_TIMEOUT_S)
        self._process = self._drain = None
        return status

    def _read_output(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.output.append(line)
                if _READY in line:
                    self._ready = True
                    self._ready_or_ended.set()
        self._ready_or_ended.set()

    def _write_properties(
        self, port: int, controller_port: int, settings: Mapping[str, str] | None = None
    ) -> Path:
        properties = {
            "process.roles": "broker,controller",
            "node.id": str(self._node_id),
            "controller.quorum.voters": f"{self._node_id}@127.0.0.1:{controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": str(self.data),
            # Samples have timestamps of years ago: by default they would be deleted after 30 s.
            "log.retention.ms": "-1",
            "group.initial.rebalance.delay.ms": "0",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            **(settings or {}),
        }
        path = self._directory / "server.properties"
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        return path


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return first.getsockname()[1], second.getsockname()[1]
