"""The mails of the bench: each another one, and the same ones each time."""

from __future__ import annotations

import base64
import gzip
import io
import quopri
import random
import re
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import cache
from hashlib import sha256
from textwrap import indent

from tests.bench.serving import Workload

US = "specs@example.net"
SENDER = "ana@example.org"
#: Who says, at the head of each mail, that its signature was good.
AUTHSERV_ID = "mx.example.net"

SPEC_NAME = "spec.yaml"
SPEC_BYTES = 2_000
SPRINTS = 3
MAIL_BYTES = 20_000
TYPICAL_BYTES = 6_000
#: A heavy specification has so many epics of so many sprints, with so many stories in each.
HEAVY_SPEC_BYTES, HEAVY_EPICS, HEAVY_SPRINTS, HEAVY_STORIES = 12_000, 4, 3, 2
BIG_BYTES = 10_000_000
#: Records of one DMARC report: of a day's mail of a small domain.
RECORDS = 8

_EPOCH = datetime(2026, 11, 22, 10, tzinfo=UTC)
#: Characters of a line, of base64 and of text.
_LINE, _TEXT_LINE = 76, 72
_TEXT = """
    the tide harbour answers with next four times as JSON a page shows day's curve readable on phone boats
    leave before noon pilots ask for à l'heure when bridge opens and closes each table carries its zone
    café Größe naïve ébauche buoys lights depth draught under keel clearance 🌊 wind gauge log of month
"""
_WORDS = tuple(_TEXT.split())


def spec_mail(n: int) -> bytes:
    """A mail of 20 KB: text and HTML of a mail client, and a specification of 2 KB attached."""
    chance = random.Random(n)
    attached = _attachment("application/yaml", SPEC_NAME, specification(n))
    head = _head(n, f"tide table {n}")
    # The text comes twice, the second time as HTML; both grow a little on the wire.
    words = _prose(chance, int((MAIL_BYTES - len(head) - len(attached) - 700) / 2.33))
    return head + _mixed(_alternative(words), attached)


def typical_mail(n: int) -> bytes:
    """A mail of 6 KB: a text, and a specification of 2 KB attached."""
    return _text_mail(n, specification(n), TYPICAL_BYTES)


def heavy_mail(n: int) -> bytes:
    """A mail of 20 KB: a text, and a specification of 12 KB attached."""
    return _text_mail(n, heavy_specification(n), MAIL_BYTES)


def _text_mail(n: int, spec: bytes, size: int) -> bytes:
    chance = random.Random(n)
    attached = _attachment("application/yaml", SPEC_NAME, spec)
    head = _head(n, f"tide table {n}")
    # Quoted-printable makes a text a little longer.
    words = _prose(chance, int((size - len(head) - len(attached) - 250) / 1.06))
    return head + _mixed(_text("text/plain", words), attached)


def specification(n: int) -> bytes:
    """YAML of 2 KB, in the form of ``daemon/example.yaml``; its description is as long as is left."""
    chance = random.Random(-n - 1)
    sprints = [line for number in range(1, SPRINTS + 1) for line in _sprint(chance, number)]
    return _described(n, chance, _epic(chance, 1, sprints), SPEC_BYTES)


def heavy_specification(n: int) -> bytes:
    """YAML of 12 KB in the same form: nearly all of it are sprints, stories and what makes them done."""
    chance = random.Random(-n - 1)
    epics = [line for number in range(1, HEAVY_EPICS + 1) for line in _heavy_epic(chance, number)]
    return _described(n, chance, epics, HEAVY_SPEC_BYTES)


def _described(n: int, chance: random.Random, epics: list[str], size: int) -> bytes:
    head = f"""\
meta:
  project: tide-table-{n}
  repo: example/tide-table-{n}
  branch: main
  requester_email: {SENDER}
  description: >
"""
    plan = "\n".join(["planning:", "  epics:", *epics, ""])
    left = size - len((head + plan).encode())
    description = indent(_prose(chance, int(left * 72 / 77)), "    ")
    return (head + description + plan).encode()


def report_mail(n: int) -> bytes:
    """A mail with a DMARC aggregate report (RFC 7489, 7.2), packed as the large providers pack them."""
    begin = int(_EPOCH.timestamp()) + 86_400 * (n % 300)
    name = f"reporter-{n}.example!example.org!{begin}!{begin + 86_399}"
    xml = _report(n, begin)
    if n % 2:
        attached = _attachment("application/gzip", f"{name}.xml.gz", gzip.compress(xml, mtime=0))
    else:
        attached = _attachment("application/zip", f"{name}.zip", _zipped(f"{name}.xml", xml))
    subject = f"Report domain: example.org Submitter: reporter-{n}.example Report-ID: {n}"
    return _head(n, subject) + _mixed(_text("text/plain", "This is an aggregate report.\n"), attached)


def big_mail(n: int) -> bytes:
    """A mail of 10 MB: a specification, and a film of the harbour that nothing can compress."""
    spec = _attachment("application/yaml", SPEC_NAME, specification(n))
    film = random.Random(n).randbytes(int(BIG_BYTES * _LINE / (_LINE + 2) * 3 / 4))
    head = _head(n, f"tide film {n}")
    return head + _mixed(
        _text("text/plain", "See the film.\n"), spec, _attachment("video/mp4", "tide.mp4", film)
    )


def _head(n: int, subject: str) -> bytes:
    """The header of a mail that two servers passed on; the last one found its signature good."""
    sent = _EPOCH + timedelta(seconds=n)
    chance = random.Random(n ^ 0x5EA)
    date = format_datetime(sent)
    lines = [
        f"Return-Path: <{SENDER}>",
        f"Authentication-Results: {AUTHSERV_ID};",
        " dkim=pass header.d=example.org header.s=k1; spf=pass smtp.mailfrom=example.org",
        f"Received: from out.example.org (out.example.org [192.0.2.7]) by {AUTHSERV_ID} (Postfix)",
        f" with ESMTPS id {n:08X} for <{US}>; {date}",
        "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.org; s=k1;",
        " h=from:to:subject:date:message-id:mime-version:content-type;",
        f" bh={_base64(chance.randbytes(32))};",
        *(f" {'b=' if at == 0 else ''}{_base64(chance.randbytes(48))}" for at in range(5)),
        f"Received: from [10.0.0.{n % 250 + 1}] by out.example.org with ESMTPSA id {n:08x}; {date}",
        f"From: Ana <{SENDER}>",
        f"To: {US}",
        f"Subject: {subject}",
        f"Date: {date}",
        f"Message-ID: <{n}.{chance.getrandbits(64):016x}@example.org>",
        "User-Agent: Mail 16.0",
        "MIME-Version: 1.0",
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _mixed(*parts: bytes) -> bytes:
    return _multipart("mixed", "=_mixed_", *parts)


def _alternative(words: str) -> bytes:
    paragraphs = "".join(f"<p>{line}</p>\n" for line in words.split("\n"))
    html = f"<!DOCTYPE html>\n<html><body>\n{paragraphs}</body></html>\n"
    return _multipart("alternative", "=_either_", _text("text/plain", words), _text("text/html", html))


def _multipart(kind: str, boundary: str, *parts: bytes) -> bytes:
    head = f'Content-Type: multipart/{kind}; boundary="{boundary}"\r\n\r\n'.encode()
    line = f"--{boundary}".encode()
    return head + b"".join(line + b"\r\n" + part for part in parts) + line + b"--\r\n"


def _text(media_type: str, text: str) -> bytes:
    head = f"Content-Type: {media_type}; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head.encode() + quopri.encodestring(text.encode()).replace(b"\n", b"\r\n")


def _attachment(media_type: str, name: str, data: bytes) -> bytes:
    head = (
        f'Content-Type: {media_type}; name="{name}"\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n"
    )
    return head.encode() + base64.encodebytes(data).replace(b"\n", b"\r\n")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _few(chance: random.Random, count: int) -> str:
    return " ".join(chance.choices(_WORDS, k=count))


def _prose(chance: random.Random, size: int) -> str:
    """Words for about ``size`` bytes, in lines as a mail client breaks them."""
    lines, length = [""], 0
    while length < size:
        word = chance.choice(_WORDS)
        length += len(word.encode()) + 1
        if len(lines[-1]) + len(word) > _TEXT_LINE:
            lines.append("")
        lines[-1] += word + " "
    return "".join(f"{line[:-1]}\n" for line in lines)


def _epic(chance: random.Random, number: int, sprints: list[str]) -> list[str]:
    return [f"    - id: E{number}", f'      title: "{_few(chance, 4)}"', "      sprints:", *sprints]


def _sprint(chance: random.Random, number: int) -> list[str]:
    return [
        f"        - id: S{number}",
        f'          goals: ["{_few(chance, 5)}", "{_few(chance, 5)}"]',
        "          user_stories:",
        *_story(chance, number),
        f'              acceptance: ["{_few(chance, 5)}"]',
        "          dod: {coverage_min: 0.9, lint_pass: true}",
    ]


def _story(chance: random.Random, number: int) -> list[str]:
    return [
        f"            - id: US{number}",
        f'              as: "{_few(chance, 1)}"',
        f'              want: "{_few(chance, 4)}"',
        f'              so_that: "{_few(chance, 4)}"',
    ]


def _heavy_epic(chance: random.Random, number: int) -> list[str]:
    first = (number - 1) * HEAVY_SPRINTS + 1
    sprints = [line for at in range(first, first + HEAVY_SPRINTS) for line in _heavy_sprint(chance, at)]
    return _epic(chance, number, sprints)


def _heavy_sprint(chance: random.Random, number: int) -> list[str]:
    first = (number - 1) * HEAVY_STORIES + 1
    return [
        f"        - id: S{number}",
        f'          title: "{_few(chance, 3)}"',
        "          goals:",
        *(f'            - "{_few(chance, 5)}"' for _ in range(2)),
        "          user_stories:",
        *(line for at in range(first, first + HEAVY_STORIES) for line in _heavy_story(chance, at)),
        "          dod:",
        f"            coverage_min: 0.{chance.randrange(50, 99)}",
        "            lint_pass: true",
        "            type_check: true",
        "            e2e_pass: false",
        f"            lighthouse_min: {chance.randrange(50, 99)}",
        f"            latency_ms_max: {chance.randrange(50, 999)}",
    ]


def _heavy_story(chance: random.Random, number: int) -> list[str]:
    return [
        *_story(chance, number),
        "              acceptance:",
        *(f'                - "{_few(chance, 4)}"' for _ in range(2)),
    ]


def _report(n: int, begin: int) -> bytes:
    records = "".join(_record(n, at) for at in range(RECORDS))
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<feedback>
 <version>1.0</version>
 <report_metadata>
  <org_name>reporter-{n}.example</org_name><email>dmarc@reporter-{n}.example</email>
  <report_id>{n}.{begin}</report_id>
  <date_range><begin>{begin}</begin><end>{begin + 86_399}</end></date_range>
 </report_metadata>
 <policy_published>
  <domain>example.org</domain><adkim>r</adkim><aspf>r</aspf><p>reject</p><sp>reject</sp><pct>100</pct>
 </policy_published>
{records}</feedback>
""".encode()


def _record(n: int, at: int) -> str:
    return f""" <record>
  <row>
   <source_ip>192.0.2.{(n + at) % 250 + 1}</source_ip><count>{(n * 7 + at) % 40 + 1}</count>
   <policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>pass</spf></policy_evaluated>
  </row>
  <identifiers><header_from>example.org</header_from><envelope_from>example.org</envelope_from></identifiers>
  <auth_results>
   <dkim><domain>example.org</domain><selector>k{at}</selector><result>pass</result></dkim>
   <spf><domain>example.org</domain><scope>mfrom</scope><result>pass</result></spf>
  </auth_results>
 </record>
"""


def _zipped(name: str, data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, (2026, 11, 22, 10, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


#: What is mailed, by name.
WORKLOADS = {
    "typical": Workload("typical", typical_mail, specification),
    "heavy": Workload("heavy", heavy_mail, heavy_specification),
}


@dataclass(frozen=True)
class Expected:
    """What is to be found of a mail: SHA-256 of the message and of its specification, and the plan."""

    mail: bytes
    specification: bytes
    repo: str
    sprints: int


@cache
def expected(workload: Workload, n: int) -> Expected:
    """What is to be found of the ``n``-th mail; remembered, for it is asked in each round."""
    specification = workload.specification(n)
    mail, document = (sha256(sent).digest() for sent in (workload.mail(n), specification))
    sprints = len(re.findall(rb"^        - id: S", specification, re.MULTILINE))
    return Expected(mail, document, f"example/tide-table-{n}", sprints)
