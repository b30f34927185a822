"""Each file of ``tests/dialogues`` is a conversation word for word.

``with:`` sets limits. ``C:`` is a line of the client, those that follow each
other go in one segment; ``R:`` is the same without CRLF; both know Python's
escapes. ``S:`` is a line of the server by its beginning, ``S=`` the whole of
it, ``S*`` the last line of a reply. ``X:`` says that the server has gone.
"""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_smtp import Running, Wire

DIALOGUES = sorted((Path(__file__).parents[1] / "dialogues").glob("*.txt"))


@pytest.mark.parametrize("path", DIALOGUES, ids=lambda path: path.stem)
def test_dialogue(path: Path, smtp_source: Callable[..., Running]) -> None:
    """The server says what the file says it does."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    client = smtp_source(**settings(lines)).connect()

    for is_client, turns in groupby(lines, lambda line: line[:1] in "CR"):
        if is_client:
            client.send(b"".join(octets(turn) for turn in turns))
        else:
            for turn in turns:
                hear(client, turn)


def settings(lines: list[str]) -> dict[str, Any]:
    """What ``with:`` asks for, taken off the lines."""
    found: dict[str, Any] = {}
    if lines[0].startswith("with:"):
        found = dict(word.split("=") for word in lines.pop(0).split()[1:])
    return {key: [value] if key == "recipients" else int(value) for key, value in found.items()}


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
