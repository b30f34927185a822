"""A flood of connections that mean no mail, as a program of its own: ``python -m tests.hostile PORT NUMBER``.

A third of them is idle, a third drips commands and messages octet by octet, a
third talks and never reads; one in 25 more stops within its TLS handshake, and
as many say NOOP without end. Who is cut off comes again a second later. It
prints a line for every hundred connections made, and ends when its standard
input does, or after ``LONGEST`` seconds. Loopback only.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import sys
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
    Habit = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

HOST = "127.0.0.1"
LONGEST = 60  # seconds, whatever happens
DRIP = 0.5  # seconds between two octets
PAUSE = 1.0  # seconds before who was cut off comes again
#: The start of a ClientHello that never goes on.
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


async def idle(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Hear the greeting and say nothing."""
    await reader.read()


async def drip_commands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say EHLO for minutes."""
    await reader.readline()
    await _drip(reader, writer, b"EHLO " + b"x" * 1000)


async def drip_a_message(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Come to DATA in no time, and to its end never."""
    await reader.readline()
    writer.write(b"EHLO x\r\nMAIL FROM:<ana@example.org>\r\nRCPT TO:<specs@example.net>\r\nDATA\r\n")
    await reader.readuntil(b"354 ")
    await _drip(reader, writer, b"x" * 1000)


async def _drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, octets: bytes) -> None:
    for octet in octets:
        writer.write(bytes([octet]))
        with suppress(TimeoutError):
            async with asyncio.timeout(DRIP):
                if not await reader.read(1000):
                    return


async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask as often as one may, and leave the answers where they are."""
    await reader.readline()
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"EHLO client.test\r\n" * 100)
    while not writer.is_closing():
        await asyncio.sleep(DRIP)
        writer.write(b"E")


async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for nothing, over and over."""
    while await reader.read(1 << 16):
        writer.write(b"NOOP\r\n" * 10)


async def half_a_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ask for TLS and stop in the middle of the first word."""
    await reader.readline()
    writer.write(b"EHLO client.test\r\nSTARTTLS\r\n")
    await reader.readuntil(b"220 ")
    writer.write(HELLO)
    await reader.read()


async def stay(habit: Habit, port: int, connected: Callable[[], None]) -> None:
    """Keep one connection of this habit open, again and again."""
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await _connect(port)
            connected()
            try:
                await habit(reader, writer)
            finally:
                writer.transport.abort()
        await asyncio.sleep(PAUSE)


async def _connect(port: int) -> Streams:
    """A connection that takes in as little as the kernel allows."""
    narrow = socket.socket()
    narrow.setblocking(False)  # noqa: FBT003 - that is its name
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(narrow, (HOST, port))
    return await asyncio.open_connection(sock=narrow)


async def flood(port: int, number: int) -> None:
    """Be ``number`` strangers and more, until nobody wants us to."""
    made = count(1)

    def connected() -> None:
        if not (now := next(made)) % 100:
            print(now, flush=True)  # noqa: T201 - how the test learns of it

    habits = [idle, drip_commands, never_read, idle, drip_a_message, never_read]
    wanted = [habits[index % len(habits)] for index in range(number)]
    wanted += [half_a_handshake, chatter] * (number // 25)
    strangers = [asyncio.create_task(stay(habit, port, connected)) for habit in wanted]
    with suppress(TimeoutError):
        async with asyncio.timeout(LONGEST):
            await asyncio.to_thread(sys.stdin.read)
    for stranger in strangers:
        stranger.cancel()
    await asyncio.gather(*strangers, return_exceptions=True)


def need_descriptors(number: int) -> None:
    """Let this process open so many connections, or say what is in the way."""
    wanted = number + 2 * (number // 25) + 100
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < wanted:
        sys.exit(f"the flood needs {wanted} open files and may have {hard}: raise ulimit -Hn")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    need_descriptors(int(sys.argv[2]))
    asyncio.run(flood(int(sys.argv[1]), int(sys.argv[2])))
