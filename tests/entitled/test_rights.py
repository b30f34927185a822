"""What a proven sender may: for which repository, and what a mail may set for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from daemon.mail import Login
from daemon.outcome import Verdict
from tests.entitled.case import Case, accepted, refused
from tests.entitled.letter import MODEST, SPEC, attached, letter, signed
from tests.fix_house import US, spec_for

if TYPE_CHECKING:
    from tests.fix_gate import Gate

LEO = "leo@staff.example"
LOGIN = Login("leo", (LEO, "release@staff.example"))
BY_LOGIN = {"rule": "staff", "proof": "smtp-auth", "login": "leo"}


LOGINS: dict[str, Case] = {
    "their own address": accepted(lambda: letter(From=LEO), login=LOGIN),
    "another address of theirs": accepted(lambda: letter(From="release@staff.example"), login=LOGIN),
    "their address in another case": accepted(lambda: letter(From="Leo@Staff.EXAMPLE"), login=LOGIN),
    "an address that their line has in another case": accepted(
        lambda: letter(From=LEO), login=Login("leo", ("LEO@staff.example",))
    ),
    "somebody else's bounces": accepted(lambda: letter(From=LEO), login=LOGIN, mail_from="x@y.example"),
}

NO_LOGINS: dict[str, Case] = {
    "nobody logged in": refused(lambda: letter(From=LEO), "no login"),
    "a colleague's address": refused(lambda: letter(From="mia@staff.example"), "leo", login=LOGIN),
    "an address with a tag": refused(lambda: letter(From="leo+x@staff.example"), "leo", login=LOGIN),
    "somebody who owns nothing": refused(lambda: letter(From=LEO), "leo", login=Login("leo", ())),
    "a whole domain, which no login owns": refused(
        lambda: letter(From=LEO), "leo", login=Login("leo", ("*@staff.example",))
    ),
    "their address under another's": refused(
        lambda: letter(From=f"{LEO}, mia@staff.example"), "From", login=LOGIN
    ),
    "an address of no rule": refused(
        lambda: letter(From="leo@elsewhere.example"),
        "no rule",
        login=Login("leo", ("leo@elsewhere.example",)),
    ),
    "where a rule wants DKIM": refused(letter, "DKIM", login=Login("ana", ("ana@example.com",))),
}


@pytest.mark.parametrize("name", LOGINS)
def test_who_logged_in_sends_from_their_own_addresses(gate: Gate, name: str) -> None:
    """No signature is needed: the source has seen the password."""
    case = LOGINS[name]
    row = gate.row(outcome := gate.take(case))

    assert outcome.verdict is Verdict.ACCEPTED, row
    assert BY_LOGIN.items() <= row[1].items()


@pytest.mark.parametrize("name", NO_LOGINS)
def test_a_login_is_good_for_nothing_else(gate: Gate, name: str) -> None:
    """Not for a colleague, and not for a rule that asks for more."""
    gate.expect(NO_LOGINS[name])


def wanting(spec: str, sender: str = "ana@example.com", domain: str = "example.com", **headers: str) -> bytes:
    """A signed letter with another specification."""
    return signed(letter(attached(spec), From=sender, **headers), domain=domain)


def of_pair(repo: str) -> bytes:
    """A letter of somebody with two rules."""
    return wanting(spec_for(repo), "ana@pair.example", "pair.example")


def of_bound(spec: str, **headers: str) -> bytes:
    """A letter of somebody who may set nothing."""
    return wanting(spec, "ana@bound.example", "bound.example", **headers)


def of_loose(spec: str) -> bytes:
    """A letter of somebody who may set the branch, for some of an owner's repositories."""
    return wanting(spec, "lea@loose.example", "loose.example")


REPOS: dict[str, Case] = {
    "another owner's": refused(lambda: wanting(spec_for("evil/app")), "evil/app is not in repos"),
    "an owner's whose name begins alike": refused(
        lambda: wanting(spec_for("example-evil/app")), "not in repos"
    ),
    "by the subject": refused(
        lambda: wanting(MODEST, Subject="[evil/app] the tides"), "evil/app is not in repos"
    ),
    "by a signed tag": refused(
        lambda: wanting(MODEST, To="specs+evil=app@example.net"), "evil/app is not in repos"
    ),
    "one of two": refused(
        lambda: signed(
            letter(
                attached(SPEC).removesuffix("--=_f2a9--\r\n").replace("spec.yaml", "a.spec.yaml")
                + attached(spec_for("evil/app")).replace("spec.yaml", "b.spec.yaml")
            )
        ),
        "evil/app is not in repos",
    ),
    "of another sender's rule": refused(lambda: wanting(spec_for("first/app")), "first/app is not in repos"),
    "a name that begins otherwise": refused(
        lambda: of_loose(spec_for("example/app")), "example/app is not in repos"
    ),
    "of neither of two rules": refused(lambda: of_pair("third/app"), "third/app is not in repos"),
}

MAY: dict[str, tuple[Any, str, str]] = {
    "the first of two rules": (lambda: of_pair("first/app"), "first", "first/app@main"),
    "the second of two rules": (lambda: of_pair("example/app"), "second", "example/app@main"),
    "a repository in another case": (lambda: wanting(spec_for("Example/App")), "example", "Example/App@main"),
    "a branch": (
        lambda: wanting(SPEC.replace("app\n", "app\n  branch: next\n", 1)),
        "example",
        "example/app@next",
    ),
    "a branch and no more, for a name that begins as it must": (
        lambda: of_loose(MODEST.replace("tides\n", "tides\n  repo: example/loose-app\n  branch: next\n", 1)),
        "loose",
        "example/loose-app@next",
    ),
    "nothing, by the rule's defaults": (lambda: of_bound(MODEST), "bound", "example/bound@develop"),
    "what the defaults say already": (
        lambda: of_bound(MODEST.replace("tides\n", "tides\n  repo: example/bound\n  branch: develop\n", 1)),
        "bound",
        "example/bound@develop",
    ),
}

MAY_NOT: dict[str, tuple[Any, str]] = {
    "a branch": (
        lambda: of_bound(MODEST.replace("tides\n", "tides\n  branch: main\n", 1)),
        "may not set the branch",
    ),
    "a branch by the subject": (
        lambda: of_bound(MODEST, Subject="[example/bound@main] tides"),
        "may not set the branch",
    ),
    "a Definition of Done": (
        lambda: of_bound(SPEC.replace("  repo: example/app\n", "")),
        "may not set the Definition of Done",
    ),
    "a Definition of Done, where a branch might be": (
        lambda: of_loose(spec_for("example/loose-app")),
        "may not set the Definition of Done",
    ),
    "a document that can't be read": (lambda: wanting("meta: {repo: ["), "spec.yaml"),
}


@pytest.mark.parametrize("name", REPOS)
def test_a_repository_that_no_rule_covers_is_refused(gate: Gate, name: str) -> None:
    """However well the sender is proven, and wherever the mail names it."""
    gate.expect(REPOS[name])


@pytest.mark.parametrize("name", MAY)
def test_a_mail_is_taken_under_the_rule_that_fits(gate: Gate, name: str) -> None:
    """The first rule that allows all of it decides, and gives its defaults."""
    mail, rule, target = MAY[name]
    outcome = gate.take(accepted(mail))

    rows = gate.house.rows(
        "select repo || '@' || branch from specs where id = any(%s)", list(outcome.spec_ids)
    )
    assert rows == [(target,)], gate.row(outcome)
    assert gate.row(outcome)[1]["rule"] == rule


@pytest.mark.parametrize("name", MAY_NOT)
def test_what_a_proven_sender_must_change_is_told_to_them(gate: Gate, name: str) -> None:
    """It is rejected with a Problem, never dropped in silence, and the rule's name is not told."""
    mail, words = MAY_NOT[name]
    outcome = gate.take(accepted(mail))

    assert outcome.verdict is Verdict.REJECTED, gate.row(outcome)
    assert words in str(outcome.problems[0])
    assert "bound" not in str(outcome.problems[0]).replace("example/bound", "")


def test_a_problem_is_not_told_to_whom_nobody_knows(gate: Gate) -> None:
    """What is wrong with a document is for its sender, and this is not its sender."""
    case = refused(lambda: letter(attached("meta: {repo: [")), "")
    outcome = gate.take(case)

    assert (outcome.verdict, outcome.problems) == (Verdict.REFUSED, ())


def test_a_rule_without_proof_takes_whoever_says_so(gate: Gate) -> None:
    """For trying the daemon; the settings hold it to loopback."""
    case = accepted(lambda: letter(From="x@anybody.example", To=US))
    row = gate.row(outcome := gate.take(case))

    assert outcome.verdict is Verdict.ACCEPTED
    assert (row[1]["rule"], row[1]["proof"]) == ("anybody", "none")
