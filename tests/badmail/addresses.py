"""Addresses and dates: who it is from, to whom, and when, as nobody would write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bombs import EVE, MOST, folded, mail

if TYPE_CHECKING:
    from collections.abc import Iterator

PEOPLE = {
    "nobody": "",
    "the null sender": "<>",
    "a blank": " ",
    "no domain": "eve",
    "no local part": "@bombs.example",
    "an at": "@",
    "ats": "@@@@@@",
    "two ats": "eve@ana@bombs.example",
    "two in one": f"ana@example.org <{EVE}>",
    "two, by a comma": f"{EVE}, ana@example.org",
    "two, by a semicolon": f"{EVE}; ana@example.org",
    "two angles": f"<ana@example.org> <{EVE}>",
    "angles in angles": f"<<<{EVE}>>>",
    "an open angle": f"Eve <{EVE}",
    "a closed angle": f"Eve {EVE}>",
    "a group": f"Friends: {EVE}, ana@example.org;",
    "an open group": f"Friends: {EVE}",
    "groups in groups": "a: b: c: " * 50 + EVE + ";" * 150,
    "a route": f"<@a.example,@b.example:{EVE}>",
    "a comment": f"{EVE} (ana@example.org)",
    "a comment within": "eve(ana@example.org)@bombs.example",
    "comments in comments": "(" * 200 + ")" * 200 + EVE,
    "open comments": "(" * 200 + EVE,
    "900 open comments": "(" * 900,
    "closed comments": ")" * 900 + EVE,
    "a quoted local part": '"eve@ana"@bombs.example',
    "a quoted line end": '"eve\\\r\n x"@bombs.example',
    "open quotes": f'"Eve <{EVE}>',
    "900 quotes": '"' * 900,
    "900 backslashes": "\\" * 900,
    "a name that is an address": f'"ana@example.org" <{EVE}>',
    "a name of NUL": f"E\0ve <{EVE}>",
    "a name in Latin-1": f"\udceave <{EVE}>",
    "a name of directions": f"\u202egro.elpmaxe@ana <{EVE}>",
    "a local part in UTF-8": "évé@bombs.example",
    "a domain in UTF-8": "eve@bömbs.example",
    "a domain in punycode": "eve@xn--bmbs-5qa.example",
    "broken punycode": "eve@xn--\u0130.example",
    "a full-width at": "eve\uff20bombs.example",
    "a full-width domain": "eve@\uff42ombs.example",
    "a dot at the end": "eve@bombs.example.",
    "dots": "e..v..e@bombs..example",
    "an IP address": "eve@[127.0.0.1]",
    "an IPv6 address": "eve@[IPv6:::1]",
    "an open literal": "eve@[127.0.0.1",
    "a local part of 1,000": f"{'e' * 1000}@bombs.example",
    "a domain of 1,000": f"eve@{'b.' * 500}example",
    "a domain of 60,000": f"eve@{'b' * 60_000}",
    "blanks around": f"Eve   <  {EVE}  >",
    "blanks within": "eve @ bombs . example",
    "a fold within": "eve@\r\n bombs.example",
    "an encoded address": "=?utf-8?q?eve=40bombs.example?=",
    "an encoded angle": f"=?utf-8?q?Ana_=3Cana=40example.org=3E?= <{EVE}>",
    "colons": ":" * 900,
    "commas": "," * 900,
    "semicolons": ";" * 900,
    "angles": "<" * 900,
    "brackets": "[" * 900,
    "98 kB of comments": folded("(a)", MOST - 2000),
    "98 kB of open comments": folded("(", MOST - 2000),
    "98 kB of quotes": folded('"a" ', MOST - 2000),
    "98 kB of angles": folded("<a@b.example>", MOST - 2000),
    "98 kB of routes": folded("<@a:", MOST - 2000),
    "98 kB of groups": folded("a:b;", MOST - 2000),
    "98 kB of dots": folded("a.", MOST - 2000),
}
DATES = {
    "none": "",
    "no date": "yesterday",
    "the year 0": "Thu, 1 Jan 0000 00:00:00 +0000",
    "the year 1": "Mon, 1 Jan 0001 00:00:00 +0000",
    "the year 9999": "Fri, 31 Dec 9999 23:59:59 -2359",
    "the year 10000": "Sat, 1 Jan 10000 00:00:00 +0000",
    "the year 99999999999": "1 Jan 99999999999 00:00:00",
    "two digits": "Mon, 1 Jan 70 00:00:00 GMT",
    "the 32nd": "Tue, 32 Jan 2024 00:00:00 +0000",
    "the 30th of February": "Fri, 30 Feb 2024 00:00:00 +0000",
    "25 o'clock": "Mon, 1 Jan 2024 25:61:61 +0000",
    "a leap second": "Sat, 31 Dec 2016 23:59:60 +0000",
    "a zone of 99 hours": "Mon, 1 Jan 2024 00:00:00 +9999",
    "a zone of 10,000 digits": f"Mon, 1 Jan 2024 00:00:00 +{'9' * 10_000}",
    "a zone of letters": "Mon, 1 Jan 2024 00:00:00 ZZZZZ",
    "a zone between": "Mon, 1 Jan 2024 00:00:00 +0060",
    "negative": "Mon, -1 Jan -2024 -1:-1:-1 +0000",
    "an unheard-of month": "Mon, 1 Foo 2024 00:00:00 +0000",
    "ISO 8601": "2024-01-01T00:00:00Z",
    "seconds": "1704067200",
    "5,000 digits": "1" * 5000,
    "other digits": "Mon, \u0661 Jan \u0662\u0660\u0662\u0664 \u0660\u0660:\u0660\u0660:\u0660\u0660 +0000",
    "comments": "Mon, 1 Jan 2024 00:00:00 +0000 (" + "(" * 500,
    "an encoded word": "=?utf-8?q?Mon=2C_1_Jan_2024_00:00:00_+0000?=",
    "NUL": "Mon, 1 Jan 2024\0 00:00:00 +0000",
    "no ASCII": "Mon, 1 J\udce4n 2024 00:00:00 +0000",
    "colons": "Mon, 1 Jan 2024 " + "00:" * 500,
    "commas": "," * 500,
    "a fold within": "Mon,\r\n 1\r\n Jan\r\n 2024\r\n 00:00:00\r\n +0000",
    "hyphens": "1-Jan-24-1-2-3 1:2:3 +0000",
    "98 kB of blanks": folded(" ", MOST - 2000) + "x",
    "98 kB of digits": folded("1", MOST - 2000),
}


def mails() -> Iterator[tuple[str, bytes]]:
    """In From, some in To, and in Date."""
    for name, value in PEOPLE.items():
        yield f"From: {name}", mail(From=value)
    for name in list(PEOPLE)[::3]:
        yield f"To: {name}", mail(To=f"{PEOPLE[name]}, specs+x=y@example.net")
    for name, value in DATES.items():
        yield f"Date: {name}", mail(Date=value)
    tags = "\r\n ".join(f"specs+o{n}=r@example.net," for n in range(900))
    yield "To: 900 of our addresses", mail(To=tags + " specs@example.net")
    yield "To: a tag of 60,000", mail(To=f"specs+{'x' * 60_000}@example.net")
    yield "To: a tag of a path", mail(To="specs+..=..@example.net, specs+a=b/../c@example.net")
