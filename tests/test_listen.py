"""An address to listen on is judged before anything listens on it."""

from __future__ import annotations

import pytest

from daemon.settings.kind import UnfitError
from daemon.settings.listen import LISTENS, Listen, loopback


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),  # noqa: S104  # what must be refused
        ("::", False),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_is_judged_without_dns(host: str, alone: bool) -> None:  # noqa: FBT001  # a column of the table
    """Only addresses of this machine, and the one name reserved for them."""
    assert loopback(host) is alone


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("127.0.0.1:25", Listen("smtp", "127.0.0.1", 25)),
        ("SMTP://LocalHost:25", Listen("smtp", "localhost", 25)),
        ("smtp://[::1]:25/", Listen("smtp", "::1", 25)),
    ],
)
def test_an_address_is_shown_as_it_can_be_written(text: str, listen: Listen) -> None:
    """What the log says of a listener can be copied into the configuration."""
    assert LISTENS.read(text) == (listen,)
    assert LISTENS.read(str(listen)) == (listen,)


@pytest.mark.parametrize(
    "text",
    ["", "25", "127.0.0.1", "::1:25", "127.0.0.1:x", "a b:25", "smtp://u@127.0.0.1:25", "[127.0.0.1:25"],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """A port alone would leave open on which address; an IPv6 address without brackets, where it ends."""
    with pytest.raises(UnfitError):
        LISTENS.read([text])
