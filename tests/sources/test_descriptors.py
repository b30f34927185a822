"""Connections and the file descriptors they need."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from daemon.sources.descriptors import needed
from daemon.sources.limits import Limits
from tests.fix_daemon import PATIENCE, REPO, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

FIT = """
import json, resource, sys
from daemon.log import configure
from daemon.sources.descriptors import fitted
from daemon.sources.limits import Limits
configure("json")
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
limits = fitted(Limits(connections=int(sys.argv[3])))
print(json.dumps([limits.connections, *resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


def fit(soft: int, hard: int, connections: int) -> tuple[list[int], str]:
    """What a process so limited makes of its limits: connections, soft, hard; and what it says."""
    command = [sys.executable, "-c", FIT, str(soft), str(hard), str(connections)]
    done = subprocess.run(
        command, cwd=REPO, env=environment({}), capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return json.loads(done.stdout), done.stderr


def test_the_soft_limit_is_raised_as_far_as_needed() -> None:
    """The usual 1024 of a shell or a service is no limit while the hard one is higher."""
    wanted = needed(Limits(connections=500))
    assert fit(512, 4096, 500) == ([500, wanted, 4096], "")


def test_a_higher_limit_is_left_alone() -> None:
    """What the operator allowed already is not taken back."""
    assert fit(4000, 4096, 1) == ([1, 4000, 4096], "")


def test_too_few_descriptors_are_fewer_connections() -> None:
    """Where the system allows less the cap is lower, and the log says which and what to do."""
    (connections, soft, _), said = fit(256, 1024, 1000)
    assert (connections, soft) == (512, 1024)
    line = json.loads(said)
    assert line["event"] == "few files"
    assert line["connections"] == 512
    assert f"LimitNOFILE={needed(Limits(connections=1000))}" in line["remedy"]


def test_a_tight_limit_that_will_do_is_not_complained_of() -> None:
    """Half of it for the connections is enough when they are few."""
    assert fit(256, 700, 350) == ([350, 700, 700], "")


SERVE = """
import asyncio, resource
from daemon.log import configure
from daemon.mail import Addresses
from daemon.outcome import Outcome, Verdict
from daemon.sources.listener import Listener
from daemon.sources.smtp import SmtpServer
configure("json")

async def take(envelope):
    return Outcome(Verdict.IGNORED)

async def serve():
    server = SmtpServer(take, hostname="mx.test", recipients=Addresses.of([]))
    (listener,) = await server.start([Listener("smtp", ("127.0.0.1", 0))])
    print(listener.where[1], flush=True)
    await asyncio.Event().wait()

resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
asyncio.run(serve())
"""


@contextmanager
def starved() -> Iterator[int]:
    """A server that may open 40 files and let in 1000 connections; its port."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE],
        cwd=REPO,
        env=environment({}),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        assert server.stdout
        try:
            yield int(server.stdout.readline())
        finally:
            server.terminate()


def greeting(client: socket.socket) -> bytes:
    """What the server says first."""
    client.settimeout(PATIENCE)
    return client.recv(100)


def test_a_server_without_descriptors_recovers() -> None:
    """If accept() ever fails for want of them, those who wait are greeted once some are free again."""
    with starved() as port:
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(60)]
        waiting = clients[-1]
        waiting.settimeout(0.5)
        with pytest.raises(TimeoutError):
            waiting.recv(100)
        for client in clients[:50]:
            client.close()
        assert greeting(waiting).startswith(b"220 ")
        for client in clients[50:]:
            client.close()
        with socket.create_connection(("127.0.0.1", port)) as late:
            assert greeting(late).startswith(b"220 ")
