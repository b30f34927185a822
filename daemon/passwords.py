"""Passwords as they are kept: as hashes that say themselves how they were made.

The notation is PHC's, which passlib and the ``argon2`` command write too:
``$argon2id$v=19$m=65536,t=3,p=4$salt$hash`` (RFC 9106) and
``$scrypt$ln=16,r=8,p=1$salt$hash`` (RFC 7914), salt and hash in base64
without padding. New hashes are argon2id, by the parameters that argon2-cffi
recommends in the release at hand: those may change without harm, because each
hash names its own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import argon2
from argon2.exceptions import VerifyMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Characters that a new password must have.
SHORTEST = 8
#: Octets of a password: with a name it must fit into one command of SMTP.
LONGEST = 512
#: Memory in bytes, and passes over it, that checking one password may take, whatever a hash asks for. It is
#: what OWASP asks of scrypt (ln=17, r=8); with two checks at a time no file makes us use more than 256 MiB.
MEMORY_MAX, PASSES_MAX = 128 << 20, 10
#: Lanes of argon2, each of them a thread; and scrypt's block size, which beyond this is no real one's.
_LANES_MAX, _BLOCK_MAX = 16, 64

_NUMBER = "([1-9][0-9]{0,8})"
_TEXT = "([A-Za-z0-9+/]{11,86})"  # 8 to 64 octets
_ARGON2 = re.compile(rf"\$argon2id\$v=19\$m={_NUMBER},t={_NUMBER},p={_NUMBER}\${_TEXT}\${_TEXT}")
_SCRYPT = re.compile(rf"\$scrypt\$ln={_NUMBER},r={_NUMBER},p={_NUMBER}\${_TEXT}\${_TEXT}")


class HashError(ValueError):
    """What is no hash we can work with; the text says why, and never repeats it."""


class PasswordError(ValueError):
    """A password that can't be one; the text says why, and never repeats it."""


@dataclass(frozen=True, slots=True)
class Hash:
    """A password's hash; ``fits`` takes the time and memory that it was made with."""

    _check: Callable[[bytes], bool] = field(repr=False)

    @classmethod
    def read(cls, text: str) -> Hash:
        """The hash that ``text`` is; raises HashError."""
        if found := _ARGON2.fullmatch(text):
            return cls(_argon2(text, *found.groups()))
        if found := _SCRYPT.fullmatch(text):
            return cls(_scrypt(*found.groups()))
        raise HashError("no $argon2id$v=19$… or $scrypt$ln=… hash; specpost login add makes one")

    def fits(self, password: str) -> bool:
        """Whether it is of ``password``."""
        return self._check(_octets(password))


def hashed(password: str) -> str:
    """A new hash of ``password``, with a salt of its own; raises PasswordError."""
    if len(password) < SHORTEST:
        raise PasswordError(f"a password has {SHORTEST} characters or more")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in password):
        raise PasswordError("a password has no control characters, and is UTF-8")
    if len(_octets(password)) > LONGEST:
        raise PasswordError(f"a password has at most {LONGEST} octets")
    return argon2.PasswordHasher().hash(_octets(password))


def _octets(password: str) -> bytes:
    """Composed, as RFC 8265, 4.2, asks: one keyboard types ``é`` as one character, another as two."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _argon2(text: str, *parts: str) -> Callable[[bytes], bool]:
    memory, passes, lanes = map(int, parts[:3])
    _bound(memory << 10, passes)
    if lanes > _LANES_MAX or memory < 8 * lanes:  # RFC 9106, 3.1
        raise HashError(f"argon2 with p={lanes} is not in bounds: p is at most {_LANES_MAX}, and m 8 times p")
    for part in parts[3:]:
        _decoded(part)  # else the library would find out when somebody logs in
    return partial(_fits_argon2, text)


def _scrypt(*parts: str) -> Callable[[bytes], bool]:
    exponent, block, lanes = map(int, parts[:3])
    if exponent > 30 or block > _BLOCK_MAX:  # noqa: PLR2004 - whatever it is, 2**30 is beyond the memory
        raise HashError(f"scrypt with ln={exponent},r={block} is not in bounds")
    _bound(128 * block << exponent, lanes)
    salt, expected = map(_decoded, parts[3:])
    return partial(_fits_scrypt, (1 << exponent, block, lanes), salt, expected)


def _bound(memory: int, passes: int) -> None:
    if memory > MEMORY_MAX or passes > PASSES_MAX:
        raise HashError(
            f"it asks for {memory >> 20} MiB and {passes} passes; "
            f"at most {MEMORY_MAX >> 20} MiB and {PASSES_MAX} passes are taken"
        )


def _decoded(text: str) -> bytes:
    """Octets that base64 writes as ``text``; a text that only some decoders take is none."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        octets = b""
    if base64.b64encode(octets).decode().rstrip("=") != text:
        raise HashError("its salt or hash is not base64")
    return octets


def _fits_argon2(text: str, password: bytes) -> bool:
    try:
        return argon2.low_level.verify_secret(text.encode(), password, argon2.Type.ID)
    except VerifyMismatchError:
        return False


def _fits_scrypt(costs: tuple[int, int, int], salt: bytes, expected: bytes, password: bytes) -> bool:
    n, r, p = costs
    room = 2 * MEMORY_MAX  # the library counts a little more than the table itself
    found = hashlib.scrypt(password, salt=salt, n=n, r=r, p=p, maxmem=room, dklen=len(expected))
    return hmac.compare_digest(found, expected)
