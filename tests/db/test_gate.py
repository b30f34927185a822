"""SQL's gate, held to the table of cases that Python's is held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from psycopg.errors import InvalidParameterValue
from psycopg.types.json import Jsonb

from db.migrate import migrate
from tests.fix_database import new_database
from tests.gate_cases import BAD_DODS, CASES

if TYPE_CHECKING:
    from db.embedded import Server
    from tests.fix_database import Database


def test_the_gate_says_what_the_cases_say(any_database: Database) -> None:
    """Every case has its result and its criteria, in their order, with values as they were said."""
    with any_database.connect() as conn:
        for case in CASES:
            if case.error:
                continue
            found = conn.execute(
                "select intake.gate(%s, %s)", (Jsonb(case.dod), Jsonb(case.summary))
            ).fetchone()
            assert found == (case.expected,), case.name


def test_the_order_of_unknown_keys_is_no_matter_of_locale(debian_postgres: Server) -> None:
    """A database that sorts as English dictionaries do tells them in the order of code points, too."""
    english = "template0 encoding 'UTF8' locale_provider icu icu_locale 'en-US'"
    (case,) = (case for case in CASES if case.name.startswith("unknown keys"))
    with new_database(debian_postgres, english) as made, made.connect(autocommit=True) as conn:
        migrate(conn)
        found = conn.execute("select intake.gate(%s, %s)", (Jsonb(case.dod), Jsonb(case.summary))).fetchone()
    assert found == (case.expected,)


def test_an_impossible_summary_is_refused_in_one_line(any_database: Database) -> None:
    """What can't be right is no pass and no fail: one printable line names the key and what it may be."""
    with any_database.connect(autocommit=True) as conn:
        for case in CASES:
            if not case.error:
                continue
            with pytest.raises(InvalidParameterValue) as refused:
                conn.execute("select intake.gate(%s, %s)", (Jsonb(case.dod), Jsonb(case.summary)))
            said = refused.value.diag.message_primary or ""
            assert all(word in said for word in case.error), (case.name, said)
            assert said.isprintable(), case.name
            assert len(said) < 200, case.name


def test_no_summary_at_all_is_refused(database: Database) -> None:
    """SQL's null is no summary."""
    with database.connect() as conn, pytest.raises(InvalidParameterValue, match=r"^summary: a JSON object"):
        conn.execute("select intake.gate('{}', null)")


@pytest.mark.parametrize(("dod", "key"), BAD_DODS)
def test_a_definition_of_done_that_no_program_can_decide_is_refused(
    database: Database, dod: dict[str, object], key: str
) -> None:
    """A script may have written any Definition of Done: one that can't be decided passes nothing."""
    with database.connect() as conn, pytest.raises(InvalidParameterValue, match=f"^dod_json[.]{key} is "):
        conn.execute("select intake.gate(%s, '{}')", (Jsonb(dod),))
