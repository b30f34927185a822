"""What claims to prove a sender: DKIM-Signature, Authentication-Results, ARC, as no signer writes them."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

from tests.bombs import MOST, NAMES, SIGNATURE, SPEC, TEXT, attached, crlf, file, folded, mail, multipart

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Of the body of most of these, in relaxed form: else nobody would look any further.
DIGEST = b64encode(sha256(re.sub(rb" +", b" ", crlf(SPEC).encode())).digest()).decode()
GOOD = SIGNATURE.format(method="relaxed/relaxed", selector="s", names=NAMES, digest=DIGEST)

#: Another value for a tag of a signature; None takes the tag out.
TAGS: dict[str, tuple[str, str | None]] = {
    "no version": ("v", None),
    "version 2": ("v", "2"),
    "no algorithm": ("a", None),
    "an old algorithm": ("a", "rsa-sha1"),
    "an unheard-of algorithm": ("a", "dilithium-sha999"),
    "another algorithm": ("a", "ed25519-sha256"),
    "no domain": ("d", None),
    "an empty domain": ("d", ""),
    "the root": ("d", "."),
    "a public suffix": ("d", "example"),
    "a domain of dots": ("d", "bombs..example"),
    "a domain in UTF-8": ("d", "bömbs.example"),
    "a domain with NUL": ("d", "bombs\0.example"),
    "a domain of raw octets": ("d", "b\udcffmbs.example"),
    "a domain of 60,000": ("d", "b" * 60_000),
    "a domain of 5,000 labels": ("d", "b." * 5000 + "example"),
    "another domain": ("d", "example.org"),
    "no selector": ("s", None),
    "a selector of a path": ("s", "../../x"),
    "a selector of dots": ("s", "a." * 90 + "b"),
    "a selector of 5,000": ("s", "s" * 5000),
    "no names": ("h", None),
    "empty names": ("h", ""),
    "no From": ("h", "to:subject"),
    "colons": ("h", ":" * 5000),
    "From 900 times": ("h", "from:" * 900 + "from"),
    "5,000 names": ("h", ":".join(f"x{n}" for n in range(5000))),
    "a name of 60,000": ("h", "from:" + "x" * 60_000),
    "names of raw octets": ("h", "from:\udcff:\0"),
    "no digest": ("bh", None),
    "a digest of nothing": ("bh", ""),
    "a digest of junk": ("bh", "!!!"),
    "a digest of 60,000": ("bh", "A" * 60_000),
    "no value": ("b", None),
    "a value of junk": ("b", "!=!=!"),
    "a value of 60,000": ("b", "A" * 60_000),
    "an unheard-of method": ("c", "nofws/strict"),
    "a method of slashes": ("c", "////"),
    "another query": ("q", "dns/txt:http"),
    "a length": ("l", "0"),
    "a length of 10,000 digits": ("l", "9" * 10_000),
    "a negative length": ("l", "-1"),
    "it has ended": ("x", "1"),
    "it ends before it begins": ("t", "9" * 12),
    "a time of 10,000 digits": ("t", "9" * 10_000),
    "another identity": ("i", "ana@example.org"),
    "an identity of nobody": ("i", "@"),
    "copied headers": ("z", "From:ana@example.org|Subject:=20x"),
}
RESULTS = {
    "empty": "",
    "the name alone": "mx.example.net",
    "none": "mx.example.net; none",
    "a version": "mx.example.net 99999999999; dkim=pass header.d=bombs.example",
    "another name": "evil.example; dkim=pass header.d=bombs.example",
    "in capitals": "MX.EXAMPLE.NET; DKIM=PASS HEADER.D=BOMBS.EXAMPLE",
    "in quotes": '"mx.example.net"; dkim="pass" header.d="bombs.example"',
    "open quotes": 'mx.example.net; dkim="pass header.d=bombs.example',
    "comments": "(" * 500 + "mx.example.net" + ")" * 500 + "; dkim=pass header.d=bombs.example",
    "escaped comments": "mx.example.net (" + "\\(" * 400 + "); dkim=pass",
    "semicolons": "mx.example.net" + ";" * 900,
    "equal signs": "mx.example.net; dkim" + "=" * 900,
    "properties": "mx.example.net; dkim=pass" + " header.d=bombs.example" * 40,
    "pass and fail": "mx.example.net; dkim=pass header.d=bombs.example; dkim=fail header.d=bombs.example",
    "raw octets": "mx.example.net; dkim=pass header.d=b\udcffmbs.example",
    "NUL": "mx.example.net; dkim=pass\0 header.d=bombs.example",
    "an encoded word": "=?utf-8?q?mx.example.net=3B_dkim=3Dpass?=",
    "folds": "mx.example.net;\r\n\tdkim\r\n =\r\n pass\r\n header\r\n .\r\n d\r\n =\r\n bombs.example",
    "98 kB of comments": "mx.example.net " + folded("(a)", MOST - 2000),
    "98 kB of quotes": "mx.example.net; dkim=" + folded('"a" ', MOST - 2000),
    "98 kB of open quotes": "mx.example.net; dkim=" + folded('"\\', MOST - 2000),
    "98 kB of results": "mx.example.net" + folded("; dkim=pass header.d=a.example", MOST - 2000),
}


def with_tag(tag: str, value: str | None) -> str:
    """A signature's header with another value of a tag."""
    kept = re.sub(rf"(?:(?<=: )|(?<=; )){tag}=[^;\r]*(?:; )?", "", GOOD)
    said = "" if value is None else f"{tag}={value}; "
    return kept.replace("DKIM-Signature: ", f"DKIM-Signature: {said}")


def mails() -> Iterator[tuple[str, bytes]]:
    """One odd tag at a time, then headers that are no signature, then bodies that are hard to hash."""
    for name, (tag, value) in TAGS.items():
        yield f"a signature: {name}", mail(crlf(SPEC), with_tag(tag, value), TEXT)
    for name, value in RESULTS.items():
        yield f"results: {name}", mail(crlf(SPEC), f"Authentication-Results: {value}\r\n", TEXT)
    for name, line in {
        "nothing": "DKIM-Signature:\r\n",
        "no tags": "DKIM-Signature: x\r\n",
        "the same tag twice": GOOD.replace("v=1", "v=1; v=1"),
        "5,000 tags": "DKIM-Signature: " + folded("a1=b; ", 30_000) + "\r\n",
        "semicolons": f"DKIM-Signature: {';' * 900}\r\n",
        "blanks in it": GOOD.replace("=", " \t=\r\n ").replace(";", " ;"),
        "in capitals": GOOD.upper(),
        "signed by all": "".join(GOOD.replace("s=s", f"s=s{n}") for n in range(100)),
        "sealed": "ARC-Seal: i=1; cv=none\r\nARC-Message-Signature: i=999\r\n"
        "ARC-Authentication-Results: x\r\n",
        "of DomainKeys": "DomainKey-Signature: a=rsa-sha1; q=dns; d=bombs.example; b=x\r\n",
    }.items():
        yield f"a header: {name}", mail(crlf(SPEC), line, TEXT)
    stamped = GOOD.encode()
    yield "an empty body", mail("", GOOD)
    yield "a body of line ends", mail("\r\n" * 50_000, GOOD, TEXT)
    yield "a body of blanks", mail(" \t" * 500 + "\r\n" + " \r\n" * 50_000, GOOD, TEXT)
    yield "a body of raw octets", mail(bytes({*range(256)} - {10, 13}), GOOD, TEXT)
    yield "a file", stamped + attached(SPEC)
    yield (
        "a file after the end",
        stamped
        + mail(
            b"--=_b--\r\n--=_b\r\n" + file(SPEC.encode(), "spec.yaml") + b"\r\n--=_b--\r\n", multipart("=_b")
        ),
    )
    yield "no From", stamped + mail(From="")
