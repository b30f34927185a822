"""Whoever mails us is gone."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import pytest

from tests.bench.load import wire
from tests.fix_smtp import Wire

if TYPE_CHECKING:
    from tests.faults.lab import NewLab
    from tests.fix_database import Database

pytestmark = pytest.mark.faults

#: To close with a reset.
AT_ONCE = struct.pack("ii", 1, 0)


def begin(address: tuple[str, int], data: bytes, *, reset: bool) -> None:
    """Send so much of a message, and be gone, by a reset or in order."""
    client = Wire(address)
    client.greet().to_data()
    client.send(data)
    if reset:
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
    client.close()


def test_gone_in_the_middle(lab: NewLab, database: Database) -> None:
    """A client that is gone at any percent of a mail leaves nothing of it, and may send it again."""
    with lab(database) as running:
        mails = running.take(100)
        for percent, letter in enumerate(mails):
            data = wire(letter.raw)[:-3]
            begin(running.addresses[0], data[: len(data) * percent // 99], reset=percent % 2 == 0)
        running.sender.post(running.take(1))
        running.sender.finish()
        assert running.rows("select count(*) from intake.mails") == [(1,)]
        assert len([path for path in running.storage.iterdir() if path.name == "mails"]) == 1
        assert len(list((running.storage / "mails").glob("*/*"))) == 1

        running.sender.post(mails)
        running.settle()
        assert running.unit.ends == [0]


def test_gone_after_the_dot(lab: NewLab, database: Database) -> None:
    """A client that is gone before it hears 250 is told the same ids when it comes again."""
    with lab(database) as running:
        mails = running.take(100)
        for number, letter in enumerate(mails):
            begin(running.addresses[0], wire(letter.raw), reset=number % 2 == 0)
        running.sender.post(mails)
        running.settle()

        assert running.unit.ends == [0]
        assert running.rows("select from intake.arrivals where verdict = 'duplicate'")
