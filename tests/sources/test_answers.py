"""What a sender reads of each verdict."""

from __future__ import annotations

from uuid import UUID

import pytest

from daemon.outcome import Outcome, Problem, Verdict
from daemon.sources.answers import answer

MAIL = UUID(int=1)
SPECS = tuple(UUID(int=100 + n) for n in range(7))


def test_every_verdict_has_its_code() -> None:
    """Nothing but accepted, duplicate, ignored and held is a yes; only our trouble may be tried again."""
    codes = {verdict: answer(Outcome(verdict, MAIL))[:9] for verdict in Verdict}
    assert codes == {
        Verdict.HELD: "250 2.0.0",
        Verdict.IGNORED: "250 2.0.0",
        Verdict.REFUSED: "550 5.7.1",
        Verdict.DUPLICATE: "250 2.0.0",
        Verdict.REJECTED: "550 5.6.0",
        Verdict.ACCEPTED: "250 2.0.0",
        Verdict.DEFERRED: "451 4.3.0",
    }


@pytest.mark.parametrize("verdict", [Verdict.ACCEPTED, Verdict.DUPLICATE])
def test_a_yes_names_the_specs_and_the_mail(verdict: Verdict) -> None:
    """The sender learns the ids, of at most five specs."""
    assert answer(Outcome(verdict, MAIL, SPECS[:1])) == f"250 2.0.0 spec={SPECS[0]} mail={MAIL}"
    assert answer(Outcome(verdict, MAIL, SPECS)).count(",") == 4


def test_a_rejection_says_the_first_problem_and_how_many_more() -> None:
    """One line tells the mail, what to mend first, and that it is not all."""
    problems = (Problem("coverage is unknown", "spec.yaml", 3, 5), Problem("b"), Problem("c"))
    said = answer(Outcome(Verdict.REJECTED, MAIL, problems=problems))
    assert said == f"550 5.6.0 {MAIL} spec.yaml:3:5: coverage is unknown (+2 more)"


def test_a_problem_can_not_break_the_line() -> None:
    """Whatever a file is called, the reply is one line of printable ASCII that fits."""
    problem = Problem("é\r\n250 2.0.0 ok\x1b[31m\u202e" + "x" * 1000, "ein\nname\r.yaml")
    said = answer(Outcome(Verdict.REJECTED, MAIL, problems=(problem,) * 3))
    assert said.isascii()
    assert said.isprintable()
    assert len(said) <= len(f"550 5.6.0 {MAIL} ") + 200 + len(" (+2 more)")


def test_a_refusal_tells_no_cause() -> None:
    """Whoever is refused reads the same, whatever we know."""
    told = Outcome(Verdict.REFUSED, MAIL, problems=(Problem("no DKIM"),), reason="unknown sender")
    assert answer(told) == answer(Outcome(Verdict.REFUSED)) == "550 5.7.1 not accepted from this sender"


def test_a_mail_there_is_no_room_for_may_come_again() -> None:
    """RFC 5321's own code for storage that is full."""
    assert answer(Outcome(Verdict.DEFERRED, full=True)).startswith("452 4.3.1 ")
