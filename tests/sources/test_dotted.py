"""A message comes out of DATA as its sender meant it, however the network cut it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.mail import Addresses
from daemon.sources.door import Door, Share
from daemon.sources.dotted import Dotted
from daemon.sources.limits import Limits
from daemon.sources.refusal import Refusal

PIECES = [b"\r\n", b"\r\n", b".", b"a", b"\x00", "é".encode()]


def a_share(limits: Limits) -> Share:
    """Room for one message, at a door where nobody is."""
    return Share(Door(None, "mx.test", Addresses.of([]), limits, None))  # type: ignore[arg-type]


def fed(*chunks: bytes, **limits: int) -> tuple[Dotted, bytes | None]:
    """What becomes of ``chunks``, and what was left behind the end."""
    dotted = Dotted(Limits(**limits), a_share(Limits(**limits)))
    rest = None
    for chunk in chunks:
        assert rest is None, "fed beyond its end"
        rest = dotted.feed(chunk)
    return dotted, rest


def stuffed(message: bytes) -> bytes:
    """``message`` as a client sends it (RFC 5321 4.5.2), line by line."""
    return (
        b"".join(b"." * line.startswith(b".") + line for line in message.splitlines(keepends=True)) + b".\r\n"
    )


@given(
    st.lists(st.sampled_from(PIECES)).map(lambda pieces: b"".join(pieces) + b"\r\n"),
    st.lists(st.integers(0, 60)),
)
def test_cuts_of_the_network_change_nothing(message: bytes, cuts: list[int]) -> None:
    """Every way to cut the octets gives the same message and the same rest."""
    wire = stuffed(message)
    places = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
    chunks = [wire[start:end] for start, end in pairwise(places)]

    dotted, rest = fed(*chunks[:-1], chunks[-1] + b"QUIT\r\n")

    assert rest == b"QUIT\r\n"
    assert dotted.message() == message


@given(st.lists(st.sampled_from([b"\r\n", b"\r", b"\n", b"a"]), max_size=8).map(b"".join))
def test_a_lone_cr_or_lf_is_refused_wherever_it_stands(text: bytes) -> None:
    """A message is refused exactly when a CR or LF is left after every pair is taken out."""
    dotted, rest = fed(*(bytes([octet]) for octet in b"x" + text + b"a\r\n.\r\n"))

    assert rest == b""
    if set(text.replace(b"\r\n", b"")) & set(b"\r\n"):
        with pytest.raises(Refusal, match=r"^554 5\.6\.0"):
            dotted.message()
    else:
        assert dotted.message() == b"x" + text + b"a\r\n"


def test_a_dot_at_once_is_an_empty_message() -> None:
    """The end may follow DATA directly."""
    dotted, rest = fed(b".\r\n")
    assert (dotted.message(), rest) == (b"", b"")


def test_only_one_dot_is_taken_off() -> None:
    """Of a line of dots the first goes, of a line that has dots later none."""
    dotted, _ = fed(b"..\r\n...a\r\nb.\r\n.c\r\n.\r\n")
    assert dotted.message() == b".\r\n..a\r\nb.\r\nc\r\n"


def test_the_limit_itself_is_still_taken() -> None:
    """A message of exactly the announced size passes, one octet more does not."""
    assert len(fed(b"a" * 98, b"\r\n.\r\n", max_size=100)[0].message()) == 100
    with pytest.raises(Refusal, match=r"^552 5\.3\.4"):
        fed(b"a" * 99, b"\r\n.\r\n", max_size=100)[0].message()


def test_nothing_is_kept_of_what_is_too_large() -> None:
    """A flood costs the octets up to the limit, and gives those back."""
    share = a_share(limits := Limits(max_size=1000))
    dotted = Dotted(limits, share)

    for _ in range(30):
        dotted.feed(b"a" * 100)

    assert dotted.is_flood
    assert share._door.bytes_in_flight == 0
    assert dotted._kept.getbuffer().nbytes == 0


def test_the_last_line_counts_too() -> None:
    """A line too long is found at the start, in the middle and at the end."""
    long, short = b"a" * 21 + b"\r\n", b"a" * 20 + b"\r\n"
    for lines in ([long, short], [short, long, short], [short, long]):
        with pytest.raises(Refusal, match=r"^554 5\.6\.0"):
            fed(b"".join(lines) + b".\r\n", line_length=20)[0].message()
    assert fed(short * 3 + b".\r\n", line_length=20)[0].message() == short * 3
