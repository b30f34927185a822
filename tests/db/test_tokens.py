"""The rows of tokens, replaced by whoever knows the one before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from db import tokens
from db.tokens import Token

if TYPE_CHECKING:
    from tests.fix_database import Database

PATIENCE = 20


def test_there_is_none_before_a_login(database: Database) -> None:
    """And there is nothing to replace."""
    with database.connect("daemon") as conn:
        assert tokens.get(conn, "specs") is None
        assert not tokens.replace(conn, "specs", 1, b"x")
        assert tokens.get(conn, "specs") is None


def test_a_login_overwrites_and_a_version_is_never_used_twice(database: Database) -> None:
    """Each account for itself."""
    with database.connect("daemon") as conn:
        tokens.put(conn, "specs", b"\0\xff one")
        tokens.put(conn, "other", b"theirs")
        first = tokens.get(conn, "specs")
        tokens.put(conn, "specs", b"two")

        assert first == Token(1, b"\0\xff one")
        assert tokens.get(conn, "specs") == Token(2, b"two")
        assert tokens.get(conn, "other") == Token(1, b"theirs")


def test_a_row_is_replaced_by_whoever_read_its_version(database: Database) -> None:
    """Anybody else's is refused, and changes nothing."""
    with database.connect("daemon") as conn:
        tokens.put(conn, "specs", b"one")
        tokens.put(conn, "other", b"theirs")

        assert tokens.replace(conn, "specs", 1, b"two")
        assert not tokens.replace(conn, "specs", 1, b"late")
        assert not tokens.replace(conn, "specs", 3, b"early")
        assert tokens.get(conn, "specs") == Token(2, b"two")
        assert tokens.get(conn, "other") == Token(1, b"theirs")


def test_of_two_at_a_time_one_replaces(database: Database) -> None:
    """Whoever waits for the other's transaction then finds the version gone."""
    with (
        database.connect("daemon") as first,
        database.connect("daemon") as second,
        database.connect("owner", autocommit=True) as owner,
        ThreadPoolExecutor(1) as other,
    ):
        tokens.put(first, "specs", b"one")
        first.commit()
        assert tokens.replace(first, "specs", 1, b"first")
        waiting = other.submit(tokens.replace, second, "specs", 1, b"second")
        while not owner.execute("select from pg_locks where not granted").fetchall():
            pass
        first.commit()

        assert waiting.result(PATIENCE) is False
        assert tokens.get(second, "specs") == Token(2, b"first")


def test_what_is_sealed_is_in_no_representation() -> None:
    """A row may be logged."""
    assert "geheim" not in repr(Token(1, b"geheim"))
