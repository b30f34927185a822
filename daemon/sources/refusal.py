"""The no that SMTP says to a command, as an exception that carries the reply."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - it is a reply, no error of ours
    """A command that gets ``reply``; the session goes on."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


class Goodbye(Refusal):
    """A command after which we no longer talk to the peer: ``reply`` is our last word."""
