"""Signatures by two hands that share no code, with the knobs a forger would turn."""

from __future__ import annotations

import shutil
import subprocess
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import dkim
from dkim.canonicalization import CanonicalizationPolicy
from dkim.crypto import HASH_ALGORITHMS, parse_pem_private_key
from nacl.encoding import Base64Encoder
from nacl.signing import SigningKey

from tests.parts import need

if TYPE_CHECKING:
    from collections.abc import Callable

    Sign = Callable[[bytes, "Stamp"], bytes]

#: What a careful signer signs; a name that stands twice can't be added to (RFC 6376, 5.4.2).
ALL = "From:From:To:To:Cc:Cc:Subject:Subject:Date:Date:Message-ID:MIME-Version:Content-Type"

#: Seconds for a signer that is a program.
PATIENCE = 60


@dataclass(frozen=True)
class Key:
    """A private key as its signers want it, and the DNS record that publishes the other half."""

    private: bytes
    record: str


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """How a mail is to be signed; ``tags`` are added as they are (``t``, ``x``, ``i``).

    ``length`` makes an ``l=`` that covers the body as it is now.
    """

    domain: str = "example.com"
    selector: str = "rsa2048"
    key: str = "rsa2048"
    names: str = ALL
    method: str = "relaxed/relaxed"
    algorithm: str = "rsa-sha256"
    tags: tuple[tuple[str, str], ...] = ()
    length: bool = False


@cache
def key(kind: str) -> Key:
    """``rsaBITS``, or ``ed25519``: made once."""
    if kind == "ed25519":
        made = SigningKey.generate()
        public = made.verify_key.encode(Base64Encoder).decode()
        return Key(made.encode(Base64Encoder), f"v=DKIM1; k=ed25519; p={public}")
    private = _openssl("genrsa", "-traditional", kind.removeprefix("rsa"))
    public = b64encode(_openssl("rsa", "-pubout", "-outform", "DER", given=private)).decode()
    return Key(private, f"v=DKIM1; k=rsa; p={public}")


def _openssl(*args: str, given: bytes = b"") -> bytes:
    need(shutil.which("openssl"), "apt-get install openssl")
    return subprocess.run(["openssl", *args], input=given, capture_output=True, check=True).stdout


def by_dkimpy(raw: bytes, stamp: Stamp) -> bytes:
    """Sign with the library that also verifies, below its front door: that has no room for x= and t=."""
    signer = dkim.DKIM(raw)
    signer.hasher = HASH_ALGORITHMS[stamp.algorithm.encode()]
    signer.signature_algorithm = stamp.algorithm.encode()
    private = key(stamp.key).private
    is_rsa = stamp.algorithm.startswith("rsa")
    secret = parse_pem_private_key(private) if is_rsa else SigningKey(private, Base64Encoder)
    policy = CanonicalizationPolicy.from_c_value(stamp.method.encode())
    tags = _tags(stamp, policy.canonicalize_body(signer.body))
    names = tuple(name.lower().encode() for name in stamp.names.split(":"))
    header = signer.gen_header(tags, names, policy, b"DKIM-Signature", secret)
    return b"DKIM-Signature: " + bytes(header) + raw


def _tags(stamp: Stamp, body: bytes) -> list[tuple[bytes, bytes]]:
    body_hash = HASH_ALGORITHMS[stamp.algorithm.encode()](body).digest()
    given = {
        "v": "1",
        "a": stamp.algorithm,
        "c": stamp.method,
        "d": stamp.domain,
        "s": stamp.selector,
        **dict(stamp.tags),
        **({"l": str(len(body))} if stamp.length else {}),
        "h": stamp.names.replace(":", " : "),  # where it may be folded
        "bh": b64encode(body_hash).decode(),
        "b": "0" * 60,
    }
    return [(name.encode(), value.encode()) for name, value in given.items()]


def by_perl(raw: bytes, stamp: Stamp) -> bytes:
    """Sign with Mail::DKIM, the library under SpamAssassin and amavis."""
    need(Path("/usr/share/perl5/Mail/DKIM/Signer.pm").exists(), "apt-get install libmail-dkim-perl")
    lines = key(stamp.key).private.decode().splitlines()
    tags = [word for pair in stamp.tags for word in pair]
    script = Path(__file__).parent / "entitled" / "sign.pl"
    given = (stamp.domain, stamp.selector, stamp.algorithm, stamp.method, stamp.names, "".join(lines[1:-1]))
    return _run(["perl", str(script), *given, *tags], raw)


def _run(words: list[str], raw: bytes) -> bytes:
    return subprocess.run(words, input=raw, capture_output=True, check=True, timeout=PATIENCE).stdout
