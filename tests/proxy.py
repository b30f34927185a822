"""The network between a client and a server of this machine: slow, dead or cut, when a test says so."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    UnderWay = asyncio.Queue[tuple[float, bytes]]

#: Seconds for what takes well under one, on a machine that has other work too.
PATIENCE = 60

#: Octets that are taken at a time, and how many times over they may be under way.
CHUNK, UNDER_WAY = 65_536, 1024

#: To close with a reset, and whatever is unsent is lost.
AT_ONCE = struct.pack("ii", 1, 0)


@dataclass
class Proxy:
    """A place that passes all that comes to a server, and back, ``delay / 2`` seconds later each way.

    A server that can't be reached is a connection that is reset.
    """

    to: tuple[str, int]
    delay: float
    host: str = "127.0.0.1"
    port: int = 0
    connections: int = 0
    """How many there have been."""
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _passing: asyncio.Event = field(default_factory=asyncio.Event)
    _open: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = field(default_factory=dict)

    @property
    def open(self) -> int:
        """How many there are."""
        return len(self._open)

    def black_hole(self) -> None:
        """Pass nothing from now on: connections stay open, new ones are accepted, all are silent."""
        self._do(self._passing.clear)

    def heal(self) -> None:
        """Pass everything again, first what was held back."""
        self._do(self._passing.set)

    def drop(self) -> None:
        """Reset all connections; new ones are served."""
        self._do(self._drop)

    def _do(self, work: Callable[[], Any]) -> Any:
        async def done() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(PATIENCE)

    def _drop(self) -> None:
        for connection, ends in self._open.items():
            _reset(*ends)
            connection.cancel()

    async def _serve(self) -> asyncio.Server:
        self._passing.set()
        server = await asyncio.start_server(self._connected, self.host, self.port)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        connections = list(self._open)
        self._drop()
        await asyncio.gather(*connections)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A connection from its start to its end; when one side is reset, so is the other."""
        task = asyncio.current_task()
        assert task
        self.connections += 1
        self._open[task] = [writer]
        try:
            await self._join(reader, writer, self._open[task])
        except* OSError:
            _reset(*self._open[task])
        except* asyncio.CancelledError:
            pass  # dropped
        finally:
            for end in self._open.pop(task):
                end.close()

    async def _join(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ends: list[asyncio.StreamWriter]
    ) -> None:
        await self._passing.wait()
        there, back = await asyncio.open_connection(*self.to)
        ends.append(back)
        async with asyncio.TaskGroup() as group:
            for source, sink in ((reader, back), (there, writer)):
                under_way: UnderWay = asyncio.Queue(UNDER_WAY)
                group.create_task(self._take(source, under_way))
                group.create_task(self._give(under_way, sink))

    async def _take(self, source: asyncio.StreamReader, under_way: UnderWay) -> None:
        data = b"..."
        while data:
            await self._passing.wait()  # what isn't taken waits with its sender, who may have to wait too
            data = await source.read(CHUNK)
            await under_way.put((self._loop.time() + self.delay / 2, data))

    async def _give(self, under_way: UnderWay, sink: asyncio.StreamWriter) -> None:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - self._loop.time())
            await self._passing.wait()
            if not data:
                break
            sink.write(data)
            await sink.drain()
        sink.write_eof()


def _reset(*ends: asyncio.StreamWriter) -> None:
    for end in ends:
        with suppress(OSError):
            end.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        end.transport.abort()


@contextmanager
def proxied(host: str, port: int, delay: float = 0.0) -> Iterator[Proxy]:
    """A proxy before a server; a round trip takes ``delay`` seconds longer."""
    proxy = Proxy((host, port), delay)
    with serving(proxy):
        yield proxy


@contextmanager
def serving(proxy: Proxy) -> Iterator[None]:
    """Have a proxy do its work."""
    loop = proxy._loop
    thread = threading.Thread(target=loop.run_forever, daemon=True)  # a hung loop fails the test, and no more
    thread.start()
    server = asyncio.run_coroutine_threadsafe(proxy._serve(), loop).result(PATIENCE)
    try:
        yield
    finally:
        asyncio.run_coroutine_threadsafe(proxy._end(server), loop).result(PATIENCE)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE)
        loop.close()
