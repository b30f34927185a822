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
        ("0.0.0.0:25", Listen("smtp", "0.0.0.0", 25)),  # noqa: S104  # what may be written
        ("mail.example.org:25", Listen("smtp", "mail.example.org", 25)),
        ("lmtp://127.0.0.1:24", Listen("lmtp", "127.0.0.1", 24)),
        ("lmtp:///run/Mail box/lmtp", Listen("lmtp", "", 0, "/run/Mail box/lmtp")),
    ],
)
def test_an_address_is_shown_as_it_can_be_written(text: str, listen: Listen) -> None:
    """What the log says of a listener can be copied into the configuration."""
    assert LISTENS.read(text) == (listen,)
    assert LISTENS.read(str(listen)) == (listen,)


@pytest.mark.parametrize(
    "text",
    [
        *("", "25", "127.0.0.1", "::1:25", "127.0.0.1:x", "a b:25", "smtp://u@127.0.0.1:25", "[127.0.0.1:25"),
        *("*:25", "127.0.0.1:65536", "/run/lmtp", "smtp:///run/lmtp", "lmtp://run/lmtp", "lmtp:///run/"),
        *("lmtp:///run/a\nb", "lmtp:///run/\0", "imap://127.0.0.1:143"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """A port alone would leave open on which address; an IPv6 address without brackets, where it ends."""
    with pytest.raises(UnfitError):
        LISTENS.read([text])


def test_the_path_of_a_socket_fits_the_kernel() -> None:
    """One octet more than sun_path has room for is said at start, and not when the socket is opened."""
    longest = "/" + "é" * 53

    assert LISTENS.read(f"lmtp://{longest}") == (Listen("lmtp", "", 0, longest),)
    with pytest.raises(UnfitError, match="at most 107 octets"):
        LISTENS.read(f"lmtp://{longest}x")


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("127.0.0.1:25", False),
        ("[::1]:25", False),
        ("localhost:25", False),
        ("0.0.0.0:25", True),
        ("[::]:25", True),
        ("mail.example.org:25", True),
        ("lmtp://127.0.0.1:24", True),
        ("lmtp:///run/lmtp", True),
    ],
)
def test_whoever_may_be_reached_by_strangers_needs_to_know_who_may_send(text: str, needs: bool) -> None:  # noqa: FBT001  # a column of the table
    """Over LMTP all mail is somebody else's, wherever it listens."""
    (listen,) = LISTENS.read(text)

    assert listen.needs_senders is needs
