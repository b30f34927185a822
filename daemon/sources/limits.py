"""How much of everything a stranger may use before SMTP says no."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of an SMTP listener; sizes in octets, times in seconds.

    ``max_size`` is what SIZE (RFC 1870) announces; ``bytes_in_flight`` is what
    all messages together may occupy, from their first octet to their answer;
    beyond it a sender is asked to come again (452).
    ``line_length`` is for lines of a message, ``command_length`` for commands:
    RFC 5321 4.5.3.1.4 asks for 512, and its extensions want a little more.
    At ``connections``, or ``connections_per_peer``, who is longest without
    progress has to go: without an accepted step towards a mail, or ``bulk``
    octets more of a message. ``junk_commands`` are commands without progress
    since the last message. ``unread`` are the octets of replies that a peer
    may leave unread before it is asked nothing more.
    A session is asked to leave after ``session_timeout``, but never in the
    middle of a message; ``data_timeout`` bounds that. ``command_timeout`` is
    RFC 5321 4.5.3.2.7's five minutes, and also what a peer gets to read a
    reply. A peer that reads nothing is cut off ``linger`` after a goodbye, and
    one within its TLS handshake after ``handshake_timeout``.
    """

    max_size: int = 25 * MIB
    bytes_in_flight: int = 256 * MIB
    connections: int = 1000
    connections_per_peer: int = 50
    bulk: int = 65536
    unread: int = 16384
    recipients_per_mail: int = 100
    line_length: int = 65536
    command_length: int = 2048
    errors: int = 20
    junk_commands: int = 100
    session_timeout: float = 600
    command_timeout: float = 300
    data_timeout: float = 600
    handshake_timeout: float = 10
    linger: float = 5
