"""SQL's gate, held to the table of cases that Python's is held to."""

from __future__ import annotations

import json
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


def test_numbers_that_are_longer_than_they_look_are_refused(database: Database) -> None:
    """A summary of half a megabyte would be gigabytes once somebody reads it; it is refused before that."""
    with database.connect(autocommit=True) as conn:
        conn.execute("set statement_timeout = '20s'")
        for number in ("1e131071", "-1e309", "1e-16383", "0e-16383", "0e-301"):
            for count in (1, 50_000):
                summary = f'{{"log": {{"deep": [{", ".join([number] * count)}]}}}}'
                with pytest.raises(InvalidParameterValue, match=r"^summary: a number in it has more than"):
                    conn.execute("select intake.gate('{}', %s)", (summary,))
        numbers = json.dumps({"log": [*range(100_000), 1e300, 1e-290, 0.0]})
        assert conn.execute("select intake.gate('{}', %s)", (numbers,)).rowcount == 1


def test_a_summary_that_is_too_deep_to_be_read_is_refused(database: Database) -> None:
    """Python's own reader of JSON gives up at a thousand levels, and whoever shows a run needs one."""
    gate = "select intake.gate('{}', %s)"
    with database.connect(autocommit=True) as conn:
        assert conn.execute(gate, (f'{{"a": {"[" * 98}1{"]" * 98}}}',)).rowcount == 1
        for levels in (99, 1_000, 5_000):
            with pytest.raises(InvalidParameterValue, match=r"^summary: at most 100 levels of JSON"):
                conn.execute(gate, (f'{{"a": {"[" * levels}1{"]" * levels}}}',))


def test_no_summary_at_all_is_refused(database: Database) -> None:
    """SQL's null is no summary."""
    with database.connect() as conn, pytest.raises(InvalidParameterValue, match=r"^summary: a JSON object"):
        conn.execute("select intake.gate('{}', null)")


def test_a_definition_of_done_that_no_program_can_decide_is_refused(database: Database) -> None:
    """A script may have written any Definition of Done: one that can't be decided passes nothing."""
    with database.connect(autocommit=True) as conn:
        for dod, key in BAD_DODS:
            with pytest.raises(InvalidParameterValue, match=rf"^dod_json\.{key} is "):
                conn.execute("select intake.gate(%s, '{}')", (Jsonb(dod),))
        with pytest.raises(InvalidParameterValue, match=r"^dod_json is "):
            conn.execute("select intake.gate('[]', '{}')")
