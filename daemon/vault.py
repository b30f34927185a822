"""The vault: seals what lies in the database, with a key that does not.

Whoever reads the database, or a backup of it, gets into no mailbox; whoever
writes it can't give one account the token of another, because the account's
name is sealed in (XChaCha20-Poly1305, additional data).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_ABYTES,
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
    crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
)
from nacl.exceptions import CryptoError
from nacl.utils import random

if TYPE_CHECKING:
    from typing import Final

#: Octets of a key.
KEY: Final[int] = crypto_aead_xchacha20poly1305_ietf_KEYBYTES

_NONCE: Final[int] = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
_TAG: Final[int] = crypto_aead_xchacha20poly1305_ietf_ABYTES

#: How what follows it is sealed; a later way gets another number.
_FORM = b"\x01"


class VaultError(Exception):
    """What is sealed can't be opened; the text says what to do, and holds no secret."""


class Vault:
    """Seals and opens with one key of KEY octets, which no representation shows."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY:
            raise ValueError(f"a key has {KEY} octets")
        self._key = key

    def seal(self, account: str, secret: str) -> bytes:
        """``secret``, for ``account`` alone; never twice the same octets."""
        nonce = random(_NONCE)  # of 24 octets: so many that chance never repeats one
        return (
            _FORM
            + nonce
            + crypto_aead_xchacha20poly1305_ietf_encrypt(secret.encode(), _about(account), nonce, self._key)
        )

    def open(self, account: str, sealed: bytes) -> str:
        """What was sealed for ``account``.

        Raises:
            VaultError: it was sealed with another key or for another account, or was altered.
        """
        form, nonce, rest = sealed[:1], sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :]
        if form != _FORM or len(rest) < _TAG:
            raise VaultError(_unsealed(account))
        try:
            octets = crypto_aead_xchacha20poly1305_ietf_decrypt(rest, _about(account), nonce, self._key)
        except CryptoError:
            raise VaultError(_unsealed(account)) from None
        return octets.decode()


def _about(account: str) -> bytes:
    return b"specpost token\0" + account.encode()


def _unsealed(account: str) -> str:
    return (
        f"the token of {account} can't be opened: it was sealed with another key, or altered;"
        f" set [oauth] key as it was, or run: specpost oauth login {account}"
    )
