"""The vault: what is sealed is read by nobody without the key, and moved to no other account."""

from __future__ import annotations

import pytest

from daemon.vault import KEY, Vault, VaultError

A_KEY = bytes(range(KEY))
SECRET = "1//refresh-geheim-é"


def test_what_was_sealed_is_opened() -> None:
    """For the account that it was sealed for."""
    assert Vault(A_KEY).open("specs", Vault(A_KEY).seal("specs", SECRET)) == SECRET


def test_nothing_of_it_can_be_read_or_recognised() -> None:
    """Sealed twice, it doesn't look the same; and the key is in no representation."""
    vault = Vault(A_KEY)
    first, second = vault.seal("specs", SECRET), vault.seal("specs", SECRET)

    assert first != second
    assert b"refresh" not in first
    assert repr(A_KEY) not in repr(vault)


@pytest.mark.parametrize("account", ["other", "", "spec", "specs\0"])
def test_it_cannot_be_moved_to_another_account(account: str) -> None:
    """Who can write the database gets into no mailbox with another's token."""
    sealed = Vault(A_KEY).seal("specs", SECRET)
    with pytest.raises(VaultError):
        Vault(A_KEY).open(account, sealed)


def test_what_was_altered_anywhere_is_refused() -> None:
    """Any octet of it, and a piece that is missing or too much."""
    vault = Vault(A_KEY)
    sealed = vault.seal("specs", SECRET)
    altered = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    for each in [*altered, *(sealed[:end] for end in range(len(sealed))), sealed + b"\0"]:
        with pytest.raises(VaultError):
            vault.open("specs", each)


def test_the_words_say_what_to_do_and_no_secret() -> None:
    """The key as it was, or a new login; nothing of the token, in the cause neither."""
    sealed = Vault(A_KEY).seal("specs", SECRET)
    with pytest.raises(VaultError) as refused:
        Vault(bytes(KEY)).open("specs", sealed)

    assert str(refused.value) == (
        "the token of specs can't be opened: it was sealed with another key, or altered;"
        " set [oauth] key as it was, or run: specpost oauth login specs"
    )
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("length", [0, KEY - 1, KEY + 1])
def test_a_key_of_another_length_is_none(length: int) -> None:
    """Nothing is sealed with half a key, and the words don't repeat it."""
    with pytest.raises(ValueError, match=r"^a key has 32 octets$"):
        Vault(b"k" * length)
