"""A body, as DKIM hashes it."""

from __future__ import annotations

from hashlib import sha256
from unittest.mock import patch

import pytest
from dkim.canonicalization import Relaxed, Simple  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from daemon.trust.signature import body as signature_body
from daemon.trust.signature.body import digest, relaxed, simple

#: What canonical forms are about, and some words between.
PIECES = st.sampled_from([b" ", b"\t", b"\r\n", b"a", b"--b", b"\xe9", b"  \r\n\r\n"])


@pytest.mark.parametrize(
    ("body", "plain", "loose"),
    [
        (b"", b"\r\n", b""),
        (b"\r\n\r\n", b"\r\n", b""),
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C \r\nD \t E\r\n", b" C\r\nD E\r\n"),
        (b"a \r\n \t\r\n", b"a \r\n \t\r\n", b"a\r\n"),
        (b"no end", b"no end\r\n", b"no end\r\n"),
    ],
)
def test_the_examples_of_the_standard_come_out(body: bytes, plain: bytes, loose: bytes) -> None:
    """RFC 6376, 3.4.3 to 3.4.5."""
    assert b"".join(simple(body)) == plain
    assert b"".join(relaxed(body)) == loose


@pytest.mark.parametrize("at_once", [1, 7, 256 * 1024])
@given(body=st.lists(PIECES, max_size=30).map(b"".join))
def test_it_is_what_the_library_would_hash(at_once: int, body: bytes) -> None:
    """Two ways to the same octets, for whatever ends as mail does, in pieces of any size."""
    ended = body + b"\r\n"

    with patch.object(signature_body, "PIECE", at_once):
        _compare(ended)


def _compare(ended: bytes) -> None:
    assert b"".join(simple(ended)) == Simple.canonicalize_body(ended)
    assert b"".join(relaxed(ended)) == Relaxed.canonicalize_body(ended)


def test_the_digest_is_of_the_form_that_is_asked_for() -> None:
    """They differ where white space does."""
    assert digest(b"a  b", "simple") == sha256(b"a  b\r\n").digest()
    assert digest(b"a  b", "relaxed") == sha256(b"a b\r\n").digest()
