"""What a DKIM-Signature says of itself."""

from __future__ import annotations

from base64 import b64encode

import pytest

from daemon.trust.signature.claim import LENGTH_MAX, NAMES_MAX, Claim, read

TAGS = {
    "v": "1",
    "a": "rsa-sha256",
    "d": "Example.com",
    "s": "k1",
    "h": "From : to:  Subject",
    "bh": b64encode(b"h" * 32).decode(),
    "b": "QUJD REVG",
}


def written(**tags: str | None) -> str:
    """A signature with ``tags`` for the usual ones, or without those that are None."""
    return "; ".join(f"{name}={value}" for name, value in (TAGS | tags).items() if value is not None)


def test_a_signature_is_read_as_it_is_written() -> None:
    """Folding white space apart, with the defaults of RFC 6376, 3.5."""
    assert read(3, written() + ";") == Claim(
        position=3,
        domain="example.com",
        selector="k1",
        algorithm="rsa-sha256",
        names=frozenset({"from", "to", "subject"}),
        header="simple",
        body="simple",
        body_hash=b"h" * 32,
        identity="example.com",
        made=None,
        ends=None,
    )


def test_what_it_may_say_besides_is_read_too() -> None:
    """And what nobody knows is passed over."""
    claim = read(
        0, written(c="relaxed/relaxed", t="10", x="20", i="a@b@Mail.example.com", q="dns/txt", darn="x")
    )

    assert isinstance(claim, Claim)
    assert (claim.header, claim.body, claim.made, claim.ends) == ("relaxed", "relaxed", 10, 20)
    assert claim.identity == "mail.example.com"
    assert claim.key_name == "k1._domainkey.example.com"


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        *(({tag: None}, f"no {tag}=") for tag in TAGS),
        *(({tag: ""}, f"no {tag}=") for tag in TAGS),
        ({"d": "exam ple.com"}, "d="),
        ({"d": ".example.com"}, "d="),
        ({"d": "example.com."}, "d="),
        ({"d": "a." * 130 + "com"}, "d="),
        ({"s": "k1/../x"}, "s="),
        ({"s": "s" * 64}, "s="),
        ({"h": "from::to"}, "h="),
        ({"h": "from:sub ject"}, "h="),
        ({"h": ":".join(["from"] * (NAMES_MAX + 1))}, "h="),
        ({"c": "nofws"}, "c="),
        ({"c": "relaxed/relaxed/relaxed"}, "c="),
        ({"b": "QUJ"}, "b="),
        ({"b": "%%%%"}, "b="),
        ({"bh": "QUJD"}, "bh="),
        ({"i": "example.com"}, "i="),
        ({"i": "a@evilexample.com"}, "i="),
        ({"i": "a@x y.example.com"}, "i="),
        ({"t": "-1"}, "t="),
        ({"x": "1e9"}, "x="),
        ({"x": "9" * 5000}, "can't be read"),
        ({"a": "rsa-sha1"}, "rsa-sha1"),
        ({"a": "ED25519-SHA256"}, "ED25519-SHA256"),
        ({"l": ""}, "l="),
        ({"z": "z" * LENGTH_MAX}, "can't be read"),
        ({"z": "é"}, "can't be read"),
        ({"1": "x"}, "can't be read"),
        ({"z; v": "1"}, "can't be read"),
    ],
)
def test_what_is_none_or_says_too_little_is_refused_in_words(tags: dict[str, str | None], why: str) -> None:
    """The words name the tag."""
    said = read(0, written(**tags))

    assert isinstance(said, str)
    assert why in said
