"""Bombs over real SMTP: each gets its verdict in bounded time and memory; honest mail goes on meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from daemon.outcome import Verdict
from daemon.readers import TRIES
from daemon.sources.answers import ANSWERS
from tests import bombs
from tests.bombs import (
    KIB,
    LARGEST,
    MIB,
    MOST,
    NAMES,
    TEXT,
    attached,
    coded,
    crlf,
    fields,
    file,
    folded,
    forwarded,
    mail,
    multipart,
    nested,
    parts,
    signed,
    sprints,
)
from tests.fix_target import DEADLINE, SLACK, SLOW_DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_target import Target

#: Seconds for an honest mail meanwhile; with nothing else to do the machine takes a tenth.
PROMPT = 5.0
#: How many times its own size a mail may occupy of the service, and what is no mail's.
TIMES, ASIDE = 8, 32 * MIB

HELD, REJECTED, ACCEPTED, REFUSED = Verdict.HELD, Verdict.REJECTED, Verdict.ACCEPTED, Verdict.REFUSED
#: What depends on how fast the machine is.
EITHER = (HELD, REJECTED)

QP = "quoted-printable"

Bomb = tuple["Callable[[], bytes]", Verdict | tuple[Verdict, ...]]

YAML: dict[str, Bomb] = {
    "aliases": (lambda: attached(bombs.aliases()), REJECTED),
    "100 kB of [": (lambda: attached("[" * 100 * KIB), REJECTED),
    "100 kB of ?": (lambda: attached("? " * 50 * KIB), REJECTED),
    "100 kB of {a:": (lambda: attached("{a: " * 25 * KIB), REJECTED),
    "120,000 comments": (lambda: attached("#\n" * 120 * KIB), REJECTED),
    "a text without end": (lambda: attached("meta: '" + "''" * 120 * KIB), REJECTED),
    "a number of 200 kB": (
        lambda: attached(sprints(1).replace("[g]", f"[g], dod: {{coverage_min: {'9' * 200 * KIB}}}")),
        REJECTED,
    ),
    "9,000 near misses": (
        lambda: attached("meta: {}\n" + "".join(f"planing{n}: x\n" for n in range(9000))),
        REJECTED,
    ),
    "9,000 faults": (
        lambda: attached(sprints(1).replace("sprints: [", f"sprints: [{'[], ' * 9000}")),
        REJECTED,
    ),
    "3,000 sprints": (lambda: attached(sprints(3000)), REJECTED),
    "JSON, 200,000 deep": (lambda: attached("[" * 200 * KIB, "spec.json"), REJECTED),
    "JSON, 30,000 deep": (lambda: attached('{"meta":' * 30 * KIB, "spec.json"), REJECTED),
    "JSON, 100,000 wide": (lambda: attached(f'{{"meta": [{"1," * 100 * KIB}1]}}', "spec.json"), REJECTED),
}

MARKDOWN: dict[str, Bomb] = {
    "deep lists": (lambda: attached("\n".join(" " * n + "- [ ] x" for n in range(700)), "spec.md"), REJECTED),
    "30,000 tasks": (lambda: attached("- [ ] x\n" * 30 * KIB, "spec.md"), EITHER),
    "23,000 headings": (lambda: attached("# Sprint 1\n" * 23_000, "spec.md"), EITHER),
    "a heading of spaces": (lambda: attached(f"# a{' ' * 250 * KIB}b", "spec.md"), ACCEPTED),
    "a heading of hashes": (lambda: attached(f"# a{' #' * 120 * KIB} b", "spec.md"), ACCEPTED),
    "a rule without end": (lambda: attached("- " * 120 * KIB + "x", "spec.md"), ACCEPTED),
    "quotes in quotes": (lambda: attached(">" * 250 * KIB, "spec.md"), ACCEPTED),
    "front matter without end": (lambda: attached("---\n" + "--\n" * 80 * KIB, "spec.md"), ACCEPTED),
    "fences of all lengths": (lambda: mail(crlf(bombs.backticks()), TEXT), REJECTED),
    "fences without end": (lambda: mail("```yaml\r\nmeta:\r\n" * 16_000, TEXT), REJECTED),
    "a sprint's title of spaces": (lambda: attached(f"# Sprint 1 a{' ' * 250 * KIB}b", "spec.md"), REJECTED),
    "a sprint's number before spaces": (lambda: attached(f"# S1{' ' * 250 * KIB}x", "spec.md"), ACCEPTED),
    "a check of underscores": (
        lambda: attached(f"# S1\n- [ ] x\n## Done when\n- a{'_' * 250 * KIB}", "spec.md"),
        REJECTED,
    ),
    "tasks below a heading of marks": (
        lambda: attached("# " + "!" * 120 * KIB + "\n" + "- [ ] x\n" * 15 * KIB, "spec.md"),
        REJECTED,
    ),
    "a header of addresses": (lambda: mail(f"To: {'@' * 60_000}\r\nx\r\n", TEXT), REJECTED),
    "a signature of dashes": (lambda: mail(f"--original{'-' * 60_000}x\r\n", TEXT), REJECTED),
}

SHAPES: dict[str, Bomb] = {
    "31 levels": (lambda: nested(31), HELD),
    "500 levels": (lambda: nested(500), HELD),
    "5,000 levels": (lambda: nested(5000), HELD),
    "20,000 parts": (lambda: parts(*[b"\r\nx"] * 20_000), HELD),
    "20,000 parts after the end": (lambda: parts(b"\r\nx", after=b"--=_b\r\n\r\n" * 20_000), HELD),
    "900 boundaries": (lambda: mail("", *(multipart(n) for n in range(900))), HELD),
    "29 mails in each other": (lambda: forwarded(29), REJECTED),
    "5,000 mails in each other": (lambda: forwarded(5000), HELD),
    "archives in each other": (lambda: parts(file(bombs.archive(), "spec.zip")), REJECTED),
    "a name in 999 pieces": (lambda: bombs.continued(999), ACCEPTED),
    "a name in 5,000 pieces": (lambda: bombs.continued(5000), HELD),
    "100,000 empty parameters": (lambda: about(";"), EITHER),
    "parameters of open quotes": (lambda: about(';a="\\"'), REJECTED),
    "charsets that are none": (lambda: parts(*(in_charset(f"x{n}") for n in range(199))), REJECTED),
    "1 MB of punycode": (
        lambda: coded(b"-a9=\r\n" * 300 * KIB, QP, "text/plain; charset=punycode"),
        REJECTED,
    ),
    "2 MB of unended uuencode": (lambda: coded(b"begin 644 x\r\n" * 150 * KIB, "7bit"), REJECTED),
    "2 MB of uuencoded files": (lambda: coded(b"begin 644 x\r\n`\r\nend\r\n" * 100 * KIB, "7bit"), HELD),
    "100 specifications": (
        lambda: parts(*(file(sprints(100).encode(), f"spec{n}.yaml") for n in range(100))),
        EITHER,
    ),
}

HEADERS: dict[str, Bomb] = {
    "1 MB of encoded words": (lambda: mail(Subject=folded("=?utf-8?q?=F0=9F=92=A3?= ", MIB)), HELD),
    "98 kB of encoded words": (lambda: mail(Subject=folded("=?utf-8?q?=F0=9F=92=A3?= ", MOST)), REJECTED),
    "98 kB of encoded words in To": (lambda: mail(To=folded("=?utf-8?q?=F0=9F=92=A3?= ", MOST)), REJECTED),
    "a Subject of 280 kB": (lambda: mail(Subject=folded("x ", 280 * KIB)), HELD),
    "headers of 5 MB": (lambda: mail("", f"X: {folded('x', 5 * MIB)}\r\n"), HELD),
    "100,000 headers": (lambda: fields(100_000), HELD),
    "990 From": (lambda: fields(990, "From", "a@b.example"), REJECTED),
    "10,000 authors": (lambda: mail(From=folded("a@b.example, ", 130 * KIB)), HELD),
    "7,000 authors": (lambda: mail(From=folded("a@b.example, ", MOST)), REJECTED),
    "an author in 990 comments": (lambda: mail(From="(" * 990), EITHER),
    "10,000 recipients": (lambda: mail(To=folded("a@b.example, ", 130 * KIB)), HELD),
    "7,000 recipients": (lambda: mail(To=folded("a@b.example, ", MOST)), REJECTED),
    "a recipient in 98,000 comments": (lambda: mail(To=folded("(", MOST)), REJECTED),
    "a Date of 98 kB": (lambda: mail(Date=folded("1 ", MOST)), REJECTED),
    "Received of 98 kB": (lambda: mail("", f"Received: {folded('from by with ', MOST)}\r\n"), REJECTED),
    "10,000 signatures": (lambda: signed(10_000), HELD),
    "300 signatures": (lambda: signed(300), REJECTED),
    "a signature of 1 MB": (lambda: mail("", f"DKIM-Signature: v=1; h={folded('from:', MIB)}\r\n"), HELD),
    "a signature of 98 kB": (
        lambda: mail("", f"DKIM-Signature: v=1; h={folded('from:', MOST)}\r\n"),
        REJECTED,
    ),
    "signatures of 180 names": (lambda: signed(5, names=NAMES + ":x" * 180), REJECTED),
    "a result in 104,000 comments": (lambda: result("(", 104 * KIB), HELD),
    "a result in 98,000 comments": (lambda: result("(", MOST), REJECTED),
    "4,000 results": (lambda: result("; dkim=pass header.d=bombs.example", MOST), REJECTED),
}

BULK: dict[str, Bomb] = {
    "blank lines": (lambda: mail(b"\r\n" * (LARGEST // 2)), EITHER),
    "white lines, signed": (lambda: signed(5, b" \r\n" * (LARGEST // 3)), EITHER),
    "lines like delimiters": (lambda: parts(b"\r\n" + b"--=_bx\r\n" * (LARGEST // 8)), EITHER),
    "lines of spaces, quoted-printable": (lambda: coded((b" " * 60_000 + b"\r\n") * 400, QP), EITHER),
    "soft line ends": (lambda: coded(b"=\r\n" * (LARGEST // 3), QP), EITHER),
    "Base64 of nothing": (lambda: coded((b"A==" * 25 + b"\r\n") * (LARGEST // 77), "base64"), EITHER),
    "Base64 with rubbish": (lambda: coded((b"A!" * 38 + b"\r\n") * (LARGEST // 78), "base64"), EITHER),
    "headers that are none": (lambda: b"x\r\n" + b"From : a@b.example\r\n" * MIB, EITHER),
    "UTF-7": (lambda: coded(b"+AGE-=\r\n" * (LARGEST // 8), QP, "text/plain; charset=utf-7"), EITHER),
}

#: Where senders have to prove themselves: nobody reads further, and who can't be judged is held as before.
GUARDED = {HELD: HELD, REJECTED: REFUSED, ACCEPTED: REFUSED}


def about(parameter: str) -> bytes:
    """A mail whose Content-Type is as long as may be."""
    return mail("", f"Content-Type: text/plain{folded(parameter, MOST)}\r\n")


def in_charset(name: str) -> bytes:
    """A part of a text."""
    return f"Content-Type: text/plain; charset={name}\r\n\r\nx".encode()


def result(text: str, length: int) -> bytes:
    """A mail with what looks like a relay's word."""
    return mail("", f"Authentication-Results: mx.example.net{folded(text, length)}\r\n")


def assert_harmless(target: Target, bomb: Bomb) -> None:
    """Bounded time and memory, the verdict it is owed, and honest mail before, beside and after it."""
    make, wanted = bomb
    raw = make()
    with target.growth() as growth, ThreadPoolExecutor(1) as eve:
        dropping = eve.submit(target.drop, raw)
        honest = [target.honest()]
        while not dropping.done():
            honest.append(target.honest())
        grown = growth()
    verdict, answer = dropping.result()
    honest.append(target.honest())

    waits = [each.seconds for each in honest]
    print(  # noqa: T201 - figures are for reading, with -s
        f"{len(raw):,} octets, {verdict}, {answer.seconds:.2f} s, {grown / MIB:.1f} MiB;"
        f" {len(honest)} honest mails, {max(waits):.2f} s at most"
    )
    owed = wanted if isinstance(wanted, tuple) else (wanted,)
    assert verdict in ({GUARDED[each] for each in owed} if target.guarded else owed), answer
    assert answer.text.startswith(ANSWERS[verdict][4:9])
    assert answer.seconds < DEADLINE + TRIES * SLOW_DEADLINE + SLACK
    assert grown < TIMES * len(raw) + ASIDE
    assert {each.code for each in honest} == {250}
    assert max(waits) < PROMPT
    assert target.daemon.process.poll() is None


def table(bombs_by_name: dict[str, Bomb]) -> pytest.MarkDecorator:
    """One test each."""
    return pytest.mark.parametrize("bomb", bombs_by_name.values(), ids=bombs_by_name.keys())


OPEN = pytest.mark.parametrize("target", ["open"], indirect=True)


@OPEN
@table(YAML | MARKDOWN)
def test_a_document_that_explodes_hurts_nobody(target: Target, bomb: Bomb) -> None:
    """However it is nested, repeated or left open."""
    assert_harmless(target, bomb)


@table(SHAPES)
def test_a_mail_of_an_impossible_shape_hurts_nobody(target: Target, bomb: Bomb) -> None:
    """Parts in parts, without number, or in encodings without end."""
    assert_harmless(target, bomb)


@table(HEADERS)
def test_a_flood_of_headers_hurts_nobody(target: Target, bomb: Bomb) -> None:
    """In one, or in very many; over the limits, and just below them."""
    assert_harmless(target, bomb)


@OPEN
def test_archives_are_kept_as_they_are(target: Target) -> None:
    """Nobody looks into them: they cost what they weigh."""
    bomb = bombs.archive()

    with target.growth() as growth:
        verdict, _ = target.drop(parts(file(sprints(1).encode(), "spec.yaml"), file(bomb, "in.zip")))

    assert verdict is ACCEPTED
    assert growth() < ASIDE
    with target.database.connect() as conn:
        rows = conn.execute("select sha256, key from intake.parts where name = 'in.zip'").fetchall()
    ((digest, key),) = rows
    assert digest == sha256(bomb).hexdigest()
    assert (target.daemon.state_dir / "storage" / key).read_bytes() == bomb


@pytest.mark.long
@table(BULK)
def test_a_mail_that_is_as_large_as_may_be_hurts_nobody(target: Target, bomb: Bomb) -> None:
    """Whatever costs most for each of its octets."""
    assert_harmless(target, bomb)
