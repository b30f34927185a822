"""Passwords as they are kept."""

from __future__ import annotations

import base64
import hashlib

import argon2
import pytest

from daemon.passwords import LONGEST, MEMORY_MAX, PASSES_MAX, Hash, HashError, PasswordError, hashed

#: Cheap parameters, which only a test may use.
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)

#: From passlib's manual, for "password".
PASSLIB = "$scrypt$ln=16,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E"

SALT, DIGEST = "c2FsdHNhbHRzYWx0", "aGFzaGhhc2hoYXNoaGFzaA"


def scrypt(password: str, exponent: int = 4) -> str:
    """A cheap scrypt hash, made by the standard library."""
    key = hashlib.scrypt(password.encode(), salt=b"saltsalt", n=1 << exponent, r=8, p=1, dklen=32)
    salt, key64 = (base64.b64encode(octets).decode().rstrip("=") for octets in (b"saltsalt", key))
    return f"$scrypt$ln={exponent},r=8,p=1${salt}${key64}"


@pytest.mark.parametrize("text", [QUICK.hash("geheim-é12"), scrypt("geheim-é12")], ids=["argon2id", "scrypt"])
def test_a_hash_fits_its_password_and_no_other(text: str) -> None:
    """Not a longer one, not one in other letters, not an empty one."""
    found = Hash.read(text)

    assert found.fits("geheim-é12")
    assert not any(found.fits(wrong) for wrong in ("geheim-é1", "geheim-é12 ", "Geheim-é12", "", "\ud800"))


def test_what_passlib_wrote_is_read() -> None:
    """A hash that somebody else made, of their own example."""
    assert Hash.read(PASSLIB).fits("password")


def test_what_we_write_is_argon2id_and_read_again() -> None:
    """With a salt of its own each time."""
    one, two = hashed("geheim12"), hashed("geheim12")

    assert one != two
    assert one.startswith("$argon2id$v=19$")
    assert Hash.read(one).fits("geheim12")


def test_the_same_letter_typed_in_two_ways_is_one() -> None:
    """A keyboard that composes ``é`` of two characters logs in where another set the password."""
    assert Hash.read(hashed("cafe\u0301-au-lait")).fits("caf\u00e9-au-lait")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("1234567", "8 characters or more"),
        ("", "8 characters or more"),
        ("x" * (LONGEST + 1), "at most 512 octets"),
        ("é" * (LONGEST // 2 + 1), "at most 512 octets"),
        ("geheim\x0012", "no control characters"),
        ("geheim\n123", "no control characters"),
        ("geheim12\ud800", "UTF-8"),
    ],
)
def test_what_can_be_no_password_is_said_without_it(password: str, why: str) -> None:
    """In words, and never with the password in them."""
    with pytest.raises(PasswordError, match=why) as refused:
        hashed(password)

    assert not password or password not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "geheim12",
        "$argon2i$v=19$m=64,t=1,p=1$" + f"{SALT}${DIGEST}",
        "$argon2d$v=19$m=64,t=1,p=1$" + f"{SALT}${DIGEST}",
        "$argon2id$v=16$m=64,t=1,p=1$" + f"{SALT}${DIGEST}",
        "$argon2id$m=64,t=1,p=1$" + f"{SALT}${DIGEST}",
        "$argon2id$v=19$m=064,t=1,p=1$" + f"{SALT}${DIGEST}",
        "$argon2id$v=19$m=64,t=0,p=1$" + f"{SALT}${DIGEST}",
        "$argon2id$v=19$m=4,t=1,p=1$" + f"{SALT}${DIGEST}",
        "$argon2id$v=19$m=1024,t=1,p=17$" + f"{SALT}${DIGEST}",
        "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$" + DIGEST,
        f"$argon2id$v=19$m=64,t=1,p=1${SALT}$aGFzaGhhc2hoYXNoaGFza",
        f"$argon2id$v=19$m=64,t=1,p=1${SALT}$aGFzaGhhc2hoYXNoaGFzaB",
        f"$argon2id$v=19$m=64,t=1,p=1${SALT}${DIGEST}\n",
        f"$argon2id$v=19$m={(MEMORY_MAX >> 10) + 1},t=1,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=999999999,t=1,p=1${SALT}${DIGEST}",
        f"$argon2id$v=19$m=64,t={PASSES_MAX + 1},p=1${SALT}${DIGEST}",
        f"$scrypt$ln=18,r=8,p=1${SALT}${DIGEST}",
        f"$scrypt$ln=17,r=9,p=1${SALT}${DIGEST}",
        f"$scrypt$ln=999999999,r=8,p=1${SALT}${DIGEST}",
        f"$scrypt$ln=1,r=999999,p=1${SALT}${DIGEST}",
        f"$scrypt$ln=4,r=8,p={PASSES_MAX + 1}${SALT}${DIGEST}",
        f"$scrypt$ln=4,r=8,p=1${SALT}$***",
        "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
    ],
)
def test_a_hash_we_cannot_or_will_not_work_with_is_refused_without_repeating_it(text: str) -> None:
    """Found out when the file is read, and not when somebody logs in."""
    with pytest.raises(HashError) as refused:
        Hash.read(text)

    assert DIGEST not in str(refused.value)
    assert SALT not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        f"$argon2id$v=19$m={MEMORY_MAX >> 10},t={PASSES_MAX},p=16${SALT}${DIGEST}",
        f"$scrypt$ln=17,r=8,p={PASSES_MAX}${SALT}${DIGEST}",
    ],
)
def test_the_largest_hash_that_is_taken_is_what_is_recommended(text: str) -> None:
    """OWASP's ln=17 and r=8 for scrypt, say."""
    assert isinstance(Hash.read(text), Hash)


@pytest.mark.parametrize(
    "text",
    [f"$argon2id$v=19$m=64,t=1,p=1${SALT}${DIGEST}", f"$scrypt$ln=1,r=64,p=10${SALT}${DIGEST}"],
    ids=["argon2id", "scrypt"],
)
def test_the_smallest_costs_are_worked_with(text: str) -> None:
    """Whatever is read can be checked."""
    assert not Hash.read(text).fits("geheim12")


def test_a_hash_does_not_show_itself() -> None:
    """Not in a log, not in a traceback."""
    assert "aGFz" not in repr(Hash.read(f"$argon2id$v=19$m=64,t=1,p=1${SALT}${DIGEST}"))
