"""The mails of the bench: each another one, and the same ones each time."""

from __future__ import annotations

import base64
import gzip
import io
import quopri
import random
import zipfile
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from textwrap import fill, indent

US = "specs@example.net"
SENDER = "ana@example.org"
#: Who says, at the head of each mail, that its signature was good.
AUTHSERV_ID = "mx.example.net"

SPEC_NAME = "spec.yaml"
SPEC_BYTES = 2_000
SPRINTS = 3
MAIL_BYTES = 20_000
BIG_BYTES = 10_000_000
#: Records of one DMARC report: of a day's mail of a small domain.
RECORDS = 8

_EPOCH = datetime(2026, 11, 22, 10, tzinfo=UTC)
_LINE = 76
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


def specification(n: int) -> bytes:
    """YAML of 2 KB, in the form of ``daemon/example.yaml``; its description is as long as is left."""
    chance = random.Random(-n - 1)
    sprints = "\n".join(line for number in range(1, SPRINTS + 1) for line in _sprint(chance, number))
    head = f"""\
meta:
  project: tide-table-{n}
  repo: example/tide-table-{n}
  branch: main
  requester_email: {SENDER}
  description: >
"""
    plan = f"""\
planning:
  epics:
    - id: E1
      title: "{_few(chance, 4)}"
      sprints:
{sprints}
"""
    left = SPEC_BYTES - len((head + plan).encode())
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
    words, length = [], 0
    while length < size:
        words.append(chance.choice(_WORDS))
        length += len(words[-1].encode()) + 1
    return fill(" ".join(words), 72) + "\n"


def _sprint(chance: random.Random, number: int) -> list[str]:
    return [
        f"        - id: S{number}",
        f'          goals: ["{_few(chance, 5)}", "{_few(chance, 5)}"]',
        "          user_stories:",
        f"            - id: US{number}",
        f'              as: "{_few(chance, 1)}"',
        f'              want: "{_few(chance, 4)}"',
        f'              so_that: "{_few(chance, 4)}"',
        f'              acceptance: ["{_few(chance, 5)}"]',
        "          dod: {coverage_min: 0.9, lint_pass: true}",
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
