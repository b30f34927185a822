"""Each file of ``tests/dialogues`` is a conversation word for word.

``with:`` sets limits, ``tls=1`` and ``protocol=lmtp``; there, the logins are
``passwords=name:password``. ``C:`` is a line of the client, those that follow each
other go in one segment; ``R:`` is the same without CRLF; both know Python's
escapes. ``S:`` is a line of the server by its beginning, ``S=`` the whole of
it, ``S*`` the last line of a reply. ``T:`` is the TLS handshake. ``X:`` says
that the server has gone.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from daemon.sources import desk
from daemon.sources.listener import Listener
from tests.fix_smtp import ANYWHERE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from tests.fix_smtp import Running, Wire

DIALOGUES = sorted((Path(__file__).parents[1] / "dialogues").glob("*.txt"))


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(
    path: Path,
    smtp_source: Callable[..., Running],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The server says what the file says it does."""
    monkeypatch.setattr(desk, "DELAYS", (0.01,))
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    options = settings(lines)
    if options.pop("tls", None):
        options["tls"] = request.getfixturevalue("tls")
    client = smtp_source(**options).connect()

    for kind, turns in groupby(lines, lambda line: "C" if line[:1] in "CR" else line[:1]):
        if kind == "C":
            client.send(b"".join(octets(turn) for turn in turns))
        elif kind == "T":
            client.shake_hands(trusting(request))
        else:
            for turn in turns:
                hear(client, turn)


def trusting(request: pytest.FixtureRequest) -> ssl.SSLContext:
    """The client's side of TLS, for the few dialogues that need it."""
    context: ssl.SSLContext = request.getfixturevalue("trusting")
    return context


def settings(lines: list[str]) -> dict[str, Any]:
    """What ``with:`` asks for, taken off the lines."""
    found: dict[str, str] = {}
    if lines[0].startswith("with:"):
        found = dict(word.split("=") for word in lines.pop(0).split()[1:])
    return dict(setting(key, value) for key, value in found.items())


def setting(key: str, value: str) -> tuple[str, Any]:
    """One word of ``with:`` as the fixture takes it."""
    match key:
        case "recipients":
            return key, [value]
        case "passwords":
            return key, dict([value.split(":")])
        case "protocol":
            return "listener", Listener("lmtp" if value == "lmtp" else "smtp", ANYWHERE.where)
    return key, int(value)


def octets(turn: str) -> bytes:
    """What the client sends for a ``C:`` or ``R:`` line."""
    said = turn[3:].encode().decode("unicode_escape").encode("latin-1")
    return said if turn[0] == "R" else said + b"\r\n"


def hear(client: Wire, turn: str) -> None:
    """Compare what comes with a line of the server."""
    kind, expected = turn[:2], turn[3:]
    if kind == "X:":
        assert client.is_closed()
        return
    said = client.reply() if kind == "S*" else client.hear()
    assert said == expected if kind == "S=" else said.startswith(expected), f"{said!r} for {turn!r}"
