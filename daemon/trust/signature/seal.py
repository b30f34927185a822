"""The seal of a signature: its cryptography. The only importer of dkimpy.

What dkimpy 1.1.8 would let pass is kept from it: weak hashes and odd tags by
``claim.py``, odd key records by ``key.py``. It is given the head of the
message alone, since the body was hashed already (``body.py`` says why), and
each exception of it is a signature that proves nothing.
"""

from __future__ import annotations

from base64 import b64decode

import dkim  # type: ignore[import-untyped]
from dkim.crypto import parse_public_key  # type: ignore[import-untyped]

#: Bits of an RSA key: fewer can be broken (RFC 8301, 3.2), more only cost time.
BITS_MIN, BITS_MAX = 1024, 8192
#: Bits of an Ed25519 key (RFC 8463).
ED25519_BITS = 256
#: Public exponents. Real ones are 65537 or 3; with 1 anybody can sign, and a long one takes long.
_EXPONENT_MIN, _EXPONENT_MAX = 3, 1 << 32


def weakness(kind: str, public: str) -> str | int:
    """The bits of a public key in Base64, or why it can't be used, in words."""
    if kind == "ed25519":
        return ED25519_BITS
    try:
        parsed = parse_public_key(b64decode(public, validate=True))
        modulus, exponent = int(parsed["modulus"]), int(parsed["publicExponent"])
    except Exception:  # noqa: BLE001 - a stranger's bytes in a parser that checks little
        return "its key can't be read"
    bits = modulus.bit_length()
    if not BITS_MIN <= bits <= BITS_MAX:
        return f"its key has {bits} bits, and between {BITS_MIN} and {BITS_MAX} count"
    usual = exponent % 2 and modulus % 2 and _EXPONENT_MIN <= exponent <= _EXPONENT_MAX
    return bits if usual else "its key is no RSA key that anybody makes"


def is_genuine(head: bytes, position: int, record: str) -> bool:
    """Whether the signature at ``position``, the topmost being 0, signs ``head`` by the key in ``record``."""
    try:
        verifier = dkim.DKIM(head + b"\r\n", minkey=BITS_MIN)
        fields, names, signatures = verifier.verify_headerprep(position)
        without_body = {name: value for name, value in fields.items() if name != b"bh"}
        answer = record.encode("latin-1")
        return bool(verifier.verify_sig(without_body, names, signatures[position], lambda *_, **__: answer))
    except Exception:  # noqa: BLE001 - whatever a hostile mail can provoke in it proves nothing
        return False
