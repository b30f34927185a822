"""The key of a signature, as its owner publishes it in the DNS (RFC 6376, 3.6.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.trust.signature import seal, tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from daemon.trust.signature.claim import Claim

#: Characters of a record that is looked at: a key of 8192 bits takes 1,500.
RECORD_MAX = 4096


@dataclass(frozen=True, slots=True)
class Key:
    """A record that a signature may be verified by, and the strength of its key."""

    record: str
    bits: int


def choose(claim: Claim, records: Sequence[str]) -> Key | str:
    """The key for a signature, or why there is none for it, in words.

    Of two keys under one name the RFC leaves open which counts (3.6.2.2):
    here neither does.
    """
    found = [(record, each) for record in records if (each := _read(record)) is not None]
    if len(found) != 1:
        return (
            f"there are {len(found)} keys under its selector"
            if found
            else "there is no key under its selector"
        )
    record, about = found[0]
    if fault := next(_faults(claim, about), None):
        return fault
    bits = seal.weakness(claim.kind, tags.packed(about["p"]))
    return bits if isinstance(bits, str) else Key(record, bits)


def _read(record: str) -> dict[str, str] | None:
    """The tags of a record that is a key; a version stands first if it stands at all."""
    about = tags.read(record) if len(record) <= RECORD_MAX else None
    if about is None or "p" not in about:
        return None
    return about if "v" not in about or next(iter(about.items())) == ("v", "DKIM1") else None


def _faults(claim: Claim, about: Mapping[str, str]) -> Iterator[str]:
    """Each a MUST of RFC 6376, 3.6.1, that dkimpy doesn't hold, or holds by chance."""
    flags = tags.items(about.get("t", ""))
    if not tags.packed(about["p"]):
        yield "its key is revoked"
    if about.get("k", "rsa") != claim.kind:
        yield f"its key is of the kind {about.get('k', 'rsa')}"
    if "h" in about and "sha256" not in tags.items(about["h"]):
        yield "its key is for other hashes than SHA-256"
    if not {"*", "email"} & set(tags.items(about.get("s", "*"))):
        yield "its key is not for mail"
    if "y" in flags:
        yield "its key is only being tested (t=y)"
    if "s" in flags and claim.identity != claim.domain:
        yield f"its key is not for subdomains such as {claim.identity} (t=s)"
