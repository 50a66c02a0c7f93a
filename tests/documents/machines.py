"""Two machines on one: each with a network, a name, processes and a ``/mnt`` of its own.

Made with Linux namespaces, which only the administrator may make, by `unshare`, `nsenter` and `ip`. They see
the same disks; what a folder of the network would be is mounted at ``/mnt`` of both.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FIRST = "HOST"
"""What the documents call the first machine; both know it by this name."""
_NAMES = ((FIRST, "first"), ("second",))
_ADDRESSES = ("10.213.7.1", "10.213.7.2")
_READY = 30.0  # seconds


class NoMachinesError(Exception):
    """This system does not let us make machines of it."""


@dataclass(frozen=True)
class Machine:
    """One of the two.

    Args:
        address: Of its network card, where the other one reaches it.
        process: Number of its first process, as seen from outside.
        environment: What its commands are started with.
    """

    address: str
    process: int
    environment: Mapping[str, str]

    def start(self, command: str, cwd: Path, log: Path) -> subprocess.Popen[bytes]:
        """Starts a line of shell there; what it prints goes to a file."""
        with log.open("wb") as printed:
            return subprocess.Popen(
                # entering a mount namespace leaves the folder
                [
                    *self._enter,
                    "bash",
                    "-e",
                    "-o",
                    "pipefail",
                    "-c",
                    f"cd {shlex.quote(str(cwd))}; {command}",
                ],
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
            )

    def run(self, command: str, cwd: Path, *, limit: float) -> str:
        """Runs a line of shell there and gives what it printed.

        Raises:
            AssertionError: It failed, or took longer than `limit` seconds.
        """
        log = Path(self.environment["TMPDIR"]) / "printed.log"
        return finish(self.start(command, cwd, log), command, log, limit=limit)

    @property
    def _enter(self) -> list[str]:
        return ["nsenter", f"--target={self.process}", "--net", "--mount", "--uts", "--pid"]


def finish(started: subprocess.Popen[bytes], command: str, log: Path, *, limit: float) -> str:
    """Waits for what `Machine.start` has started; gives what it printed.

    Raises:
        AssertionError: It failed, or took longer than `limit` seconds.
    """
    try:
        code: int | str = started.wait(limit)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()
        code = f"no end after {limit:.0f} s"
    printed = log.read_text("utf-8", errors="replace")
    assert code == 0, f"{command}\nends with {code}\n{printed[-3000:]}"
    return printed


@contextlib.contextmanager
def two_machines(shared: Path, environment: Mapping[str, str]) -> Iterator[tuple[Machine, Machine]]:
    """Two machines with a cable between them; all of their processes end with the context.

    Args:
        shared: What both see at ``/mnt``.
        environment: What commands are started with, beside a temporary folder.

    Raises:
        NoMachinesError: This system has no such programs, or does not allow it.
    """
    missing = [name for name in ("unshare", "nsenter", "ip", "mount") if shutil.which(name) is None]
    if missing:
        raise NoMachinesError(f"{', '.join(missing)} is not installed")
    with contextlib.ExitStack() as stack:
        # short, because sockets with long names lie in it
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="ff", ignore_cleanup_errors=True))
        )
        hosts = folder / "hosts"
        lines = [f"{address} {' '.join(names)}" for address, names in zip(_ADDRESSES, _NAMES, strict=True)]
        hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]), encoding="utf-8")
        machines = []
        for number, address in enumerate(_ADDRESSES):
            process = stack.enter_context(_namespaces(_NAMES[number][-1], shared, hosts))
            temporary = folder / str(number)
            temporary.mkdir()
            machines.append(Machine(address, process, {**environment, "TMPDIR": str(temporary)}))
        first, second = machines
        _checked(
            [
                "ip",
                "link",
                "add",
                "eth0",
                "netns",
                str(first.process),
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                str(second.process),
            ]
        )
        for machine in machines:
            network = ["nsenter", f"--target={machine.process}", "--net", "ip"]
            _checked([*network, "address", "add", f"{machine.address}/24", "dev", "eth0"])
            _checked([*network, "link", "set", "eth0", "up"])
            _checked([*network, "link", "set", "lo", "up"])
        yield first, second


@contextlib.contextmanager
def _namespaces(name: str, shared: Path, hosts: Path) -> Iterator[int]:
    """The first process of a machine; the others end with it."""
    inside = (
        f"hostname {name} && mount --bind '{shared}' /mnt && mount --bind '{hosts}' /etc/hosts "
        "&& echo ready && exec sleep infinity"
    )
    outside = subprocess.Popen(
        [
            "unshare",
            "--net",
            "--mount",
            "--uts",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-c",
            inside,
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert outside.stdout is not None
        assert outside.stderr is not None
        if outside.stdout.readline().strip() != "ready":
            raise NoMachinesError(outside.stderr.read().strip())
        yield _child(outside.pid)
    finally:
        outside.kill()
        outside.communicate()


def _child(pid: int) -> int:
    """The only child of a process."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    until = time.monotonic() + _READY
    while time.monotonic() < until:
        children = path.read_text("ascii").split()
        if children:
            return int(children[0])
        time.sleep(0.05)
    raise NoMachinesError(f"process {pid} has no child")


def _checked(words: list[str]) -> None:
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    if done.returncode:
        raise NoMachinesError(f"{' '.join(words)}: {done.stderr.strip()}")
