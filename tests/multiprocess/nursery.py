"""Child processes that start in a millisecond and die when told to.

A `Nursery` is one Python process that has imported streamlog and opened nothing; it forks a child
for each role that is asked for. A child is a function of `roles.py`, `lives.py` or of a module that
the caller names, with keyword arguments; what it has to say goes through a pipe of its own, whose
end is the end of the child. The nursery reaps only when asked, so that a process id is never
somebody else's by the time it is killed.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
#: What a child says last when an exception ended it begins like this.
TRACEBACK = b'\n{"traceback": '
_PIPE_BYTES = 4096  # a child that is not listened to stops soon
_SET_PIPE_SIZE = 1031  # F_SETPIPE_SZ


class Child:
    """One forked process and the reading end of its pipe."""

    def __init__(self, nursery: Nursery, pid: int, pipe: int) -> None:
        self._nursery = nursery
        self.pid = pid
        self.pipe = pipe
        self.ended = False
        self._unread = b""

    def fileno(self) -> int:
        return self.pipe

    def read(self, patience_s: float = PATIENCE_S) -> bytes:
        """What it says next, waiting for it; nothing when it is dead."""
        waiting = select.poll()
        waiting.register(self.pipe)
        if not waiting.poll(patience_s * 1000):
            raise AssertionError(f"process {self.pid} says nothing")
        data = os.read(self.pipe, 1 << 16)
        self.ended = not data
        return data

    def read_line(self, patience_s: float = PATIENCE_S) -> str:
        """The next line that it writes, without its end; "" when it died."""
        while b"\n" not in self._unread:
            data = self.read(patience_s)
            if not data:
                return ""
            self._unread += data
        line, self._unread = self._unread.split(b"\n", 1)
        return line.decode()

    def answer(self, patience_s: float = PATIENCE_S) -> Any:
        """The next line, which is JSON. A traceback of the child fails the test."""
        while not (line := self.read_line(patience_s)):  # a traceback begins behind an empty line
            assert not self.ended, f"process {self.pid} ended with {self.wait()} and no answer"
        found = json.loads(line)
        assert not (isinstance(found, dict) and "traceback" in found), found["traceback"]
        return found

    def wait_until_stopped(self) -> None:
        """Return when it has stopped itself: what it said last it said before."""
        assert self._nursery.ask({"stopped": self.pid}) == b"stopped"

    def go_on(self) -> None:
        """Continue a child that stopped itself."""
        self.wait_until_stopped()
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> int:
        """Kill it with -9, and see it dead. What it said before can still be read."""
        self.signal(signal.SIGKILL)
        return self.wait()

    def wait(self) -> int:
        """Its exit code, minus the signal when it was killed."""
        return int(self._nursery.ask({"wait": self.pid}))

    def close(self) -> None:
        """Let go of its pipe. Does nothing the second time."""
        pipe, self.pipe = self.pipe, -1
        if pipe >= 0:
            os.close(pipe)


class Nursery:
    """Starts children. `kernel` is "pure", "compiled", or None for this process's own.

    `roles` are further modules to look for roles in, `settings` further environment variables.
    `quiet`: what children complain of on their standard error is no news.
    """

    def __init__(
        self,
        kernel: str | None = None,
        *,
        roles: Sequence[str] = (),
        quiet: bool = False,
        **settings: str,
    ) -> None:
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
        if kernel is not None:
            environment["STREAMLOG_KERNEL"] = kernel
        command = [sys.executable, "-m", "tests.multiprocess.nursery", str(its.fileno()), *roles]
        self._process = subprocess.Popen(
            command,
            env=environment,
            pass_fds=[its.fileno()],
            cwd=ROOT,
            stderr=subprocess.DEVNULL if quiet else None,
        )
        its.close()
        self._socket = mine
        self._socket.settimeout(PATIENCE_S)
        self._children: list[Child] = []

    def start(self, role: str, **arguments: Any) -> Child:
        """Fork a child that runs the function of that name in `roles` or `lives`."""
        reading, writing = os.pipe()
        request = json.dumps({"role": role, "arguments": arguments}).encode()
        socket.send_fds(self._socket, [request], [writing])
        os.close(writing)
        child = Child(self, int(self._socket.recv(64)), reading)
        self._children.append(child)
        return child

    def ask(self, request: dict[str, Any]) -> bytes:
        self._socket.send(json.dumps(request).encode())
        return self._socket.recv(64)

    def close(self) -> None:
        """Kill every child that was not waited for, and the nursery."""
        self._socket.close()
        self._process.wait(PATIENCE_S)
        for child in self._children:
            child.close()


@contextmanager
def open_nursery(
    kernel: str | None = None,
    *,
    roles: Sequence[str] = (),
    quiet: bool = False,
    **settings: str,
) -> Iterator[Nursery]:
    nursery = Nursery(kernel, roles=roles, quiet=quiet, **settings)
    try:
        yield nursery
    finally:
        nursery.close()


# ---------------------------------------------------------------- inside the nursery's process


def _serve(requests: socket.socket) -> None:
    living: set[int] = set()
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1 << 16, 4)
        if not message:
            break
        request = json.loads(message)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            living.discard(request["wait"])
            requests.send(b"%d" % os.waitstatus_to_exitcode(status))
            continue
        if "stopped" in request:
            os.waitpid(request["stopped"], os.WUNTRACED)
            requests.send(b"stopped")
            continue
        pid = os.fork()
        if pid == 0:
            requests.close()
            _be_child(descriptors[0], request["role"], request["arguments"])
        os.close(descriptors[0])
        living.add(pid)
        requests.send(b"%d" % pid)
    for pid in living:
        os.kill(pid, signal.SIGCONT)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _be_child(pipe: int, role: str, arguments: dict[str, Any]) -> None:
    """Run the role and leave as a program does, exit handlers included."""
    import fcntl

    fcntl.fcntl(pipe, _SET_PIPE_SIZE, _PIPE_BYTES)
    try:
        _find_role(role)(pipe, **arguments)
    except Exception:  # noqa: BLE001  # the test that asked for the child is told
        text = traceback.format_exc()
        print(text, file=sys.stderr)
        os.write(pipe, b"\n" + json.dumps({"traceback": text}).encode() + b"\n")
        sys.exit(1)
    sys.exit(0)


def _role_modules() -> list[str]:
    ours = ["roles", "lives", "recording", "compacting"]
    return [*(f"tests.multiprocess.{name}" for name in ours), *sys.argv[2:]]


def _find_role(name: str) -> Any:
    for module in map(importlib.import_module, _role_modules()):
        if hasattr(module, name):
            return getattr(module, name)
    raise AttributeError(name)


def _preload() -> None:
    """Everything that a child may need, imported once; nothing is opened."""
    for layer in ("broker", "clients", "config", "protocol", "record", "storage"):
        package = importlib.import_module(f"streamlog.{layer}")
        for module in pkgutil.iter_modules(package.__path__):
            if not module.name.startswith("_"):  # the compiled ones are chosen by the others
                importlib.import_module(f"streamlog.{layer}.{module.name}")
    for name in _role_modules():
        importlib.import_module(name)


if __name__ == "__main__":
    _preload()
    # A child that is asked to end before it can hear ends as soon as it listens.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    _serve(socket.socket(fileno=int(sys.argv[1])))
