"""A letter with a specification, as honest people's programs write it, and what is done to it on its way."""

from __future__ import annotations

import re
from base64 import encodebytes
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import count
from typing import Any

from tests.fix_house import US, spec_for
from tests.fix_signers import Stamp, by_dkimpy

BOUNDARY = "=_f2a9"

#: No two letters are the same mail.
_NUMBER = count(1)


def ago(**time: float) -> str:
    """The Date of a letter that was written so long ago."""
    return format_datetime(datetime.now(UTC) - timedelta(**time))


def stamp_time(**time: float) -> str:
    """A moment from now on, as the tags ``t=`` and ``x=`` have it."""
    return str(int((datetime.now(UTC) + timedelta(**time)).timestamp()))


def attached(spec: str, boundary: str = BOUNDARY) -> str:
    """A body of two parts, the second of which is a file."""
    lines = (
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        "",
        "Please build this.",
        f"--{boundary}",
        'Content-Type: application/yaml; name="spec.yaml"',
        'Content-Disposition: attachment; filename="spec.yaml"',
        "Content-Transfer-Encoding: base64",
        "",
        encodebytes(spec.encode()).decode().strip(),
        f"--{boundary}--",
        "",
    )
    return crlf("\n".join(lines))


def fenced(spec: str) -> str:
    """A body that is text and nothing else."""
    return crlf(f"Please build this.\n\n```yaml\n{spec}```\n")


def crlf(text: str) -> str:
    """``text`` with the line ends of mail."""
    return text.replace("\n", "\r\n")


#: What Ana wants built.
SPEC = spec_for("example/app")
#: No repository and no Definition of Done.
MODEST = SPEC.replace("  repo: example/app\n", "").replace("          dod: {coverage_min: 0.9}\n", "")
BODY = attached(SPEC)
TEXT = fenced(SPEC.replace("à l'heure 🌊", "in time"))


def letter(body: str = BODY, **headers: str | None) -> bytes:
    """What Ana sends; ``headers`` replace the usual ones, or take them away with None."""
    usual: dict[str, str | None] = {
        "From": "Ana <ana@example.com>",
        "To": US,
        "Subject": "the tides",
        "Date": ago(minutes=1),
        "Message-ID": f"<{next(_NUMBER)}@example.com>",
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/mixed; boundary="{BOUNDARY}"',
    }
    given = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}\r\n" for name, value in given.items() if value is not None]
    return "".join([*lines, "\r\n", body]).encode()


def text(body: str = TEXT, **headers: str | None) -> bytes:
    """A letter of a single part."""
    return letter(body, **({"Content_Type": "text/plain; charset=utf-8"} | headers))


def signed(raw: bytes | None = None, **stamp: Any) -> bytes:
    """A letter, signed by the domain of its sender unless ``stamp`` says otherwise."""
    return by_dkimpy(letter() if raw is None else raw, Stamp(**stamp))


def above(raw: bytes, line: str) -> bytes:
    """With one more header before all others."""
    return line.encode() + b"\r\n" + raw


def below(raw: bytes, line: str) -> bytes:
    """With one more header after all others."""
    return changed(raw, "\r\n\r\n", f"\r\n{line}\r\n\r\n")


def changed(raw: bytes, old: str, new: str) -> bytes:
    """With the first ``old`` replaced."""
    assert old.encode() in raw, f"nothing to change: {old!r}"
    return raw.replace(old.encode(), new.encode(), 1)


def spoiled(raw: bytes) -> bytes:
    """With another value in its first signature."""
    return re.sub(rb"\bb=", b"b=Zm9y", raw, count=1)
