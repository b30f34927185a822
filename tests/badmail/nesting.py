"""Parts in parts and mails in mails, of kinds that fit and of kinds that don't."""

from __future__ import annotations

from base64 import encodebytes
from typing import TYPE_CHECKING

from tests.bombs import SPEC, attached, crlf, file, forwarded, mail, multipart, nested, parts, section, single

if TYPE_CHECKING:
    from collections.abc import Iterator

INNER = attached(SPEC)
SMALL = crlf(SPEC)
#: What a message in a message may call itself.
MESSAGES = {
    "rfc822": "message/rfc822",
    "global": "message/global",
    "news": "message/news",
    "http": "message/http",
    "partial": 'message/partial; id="a@b"; number=1; total=2',
    "partial without a number": "message/partial",
    "partial of a billion": 'message/partial; id="a"; number=999999999; total=1000000000',
    "external body": 'message/external-body; access-type=local-file; name="/etc/passwd"',
    "external body by URL": 'message/external-body; access-type=URL; URL="http://127.0.0.1:1/"',
    "delivery status": "message/delivery-status",
    "disposition notification": "message/disposition-notification",
    "of no subtype": "message/",
    "of an unknown subtype": "message/x-unheard-of",
}
#: What a multipart may be.
KINDS = (
    *("alternative", "related", "digest", "parallel", "report", "form-data", "byteranges"),
    *("signed; protocol=application/pgp-signature", "encrypted", "x-mixed-replace", "appledouble", ""),
)


def mails() -> Iterator[tuple[str, bytes]]:
    """Every container there is, and some that aren't."""
    for levels in (2, 10, 29, 30, 32):
        yield f"{levels} multiparts", nested(levels)
        yield f"{levels} mails", forwarded(levels)
    for name, kind in MESSAGES.items():
        yield f"a message, {name}", single(f"Content-Type: {kind}", INNER)
        yield f"a part, {name}", parts(section(f"Content-Type: {kind}", INNER))
    for kind in KINDS:
        about = f'Content-Type: multipart/{kind}; boundary="=_i"'
        body = b"--=_i\r\n\r\nHi\r\n--=_i\r\n" + file(SPEC.encode(), "spec.yaml") + b"\r\n--=_i--\r\n"
        yield f"multipart/{kind.partition(';')[0]}", single(about, body)
    encoded = encodebytes(INNER).replace(b"\n", b"\r\n")
    for encoding in ("base64", "quoted-printable", "x-uuencode", "binary"):
        about = f"Content-Transfer-Encoding: {encoding}"
        yield f"a mail in {encoding}", parts(section(f"Content-Type: message/rfc822\r\n{about}", encoded))
        yield f"a multipart in {encoding}", mail(encoded, multipart("=_b"), f"{about}\r\n")
    mixed: bytes = SMALL.encode()
    for level in range(14):
        opened = f'Content-Type: multipart/mixed; boundary="n{level}"\r\n\r\n--n{level}\r\n'.encode()
        mixed = b"Content-Type: message/rfc822\r\n\r\n" + opened + b"\r\n" + mixed
    yield "mails and multiparts by turns", parts(mixed)
    yield "199 empty parts", parts(*[b""] * 199)
    yield "199 parts of no body", parts(*[b"X: y"] * 199)
    yield "100 specifications", parts(*(file(SPEC.encode(), f"spec{n}.yaml") for n in range(100)))
    yield "100 mails beside each other", parts(*[section("Content-Type: message/rfc822", "\r\nx")] * 99)
    yield (
        "digests in a digest",
        single(
            "Content-Type: multipart/digest; boundary=d",
            "--d\r\nContent-Type: multipart/digest; boundary=e\r\n\r\n--e\r\n\r\nSubject: x\r\n\r\n" + SMALL,
        ),
    )
