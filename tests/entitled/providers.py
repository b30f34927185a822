"""What large mail providers sign, and what their mail looks like."""

from __future__ import annotations

from tests.entitled.letter import SPEC, attached, letter, signed

#: Gmail and Google Workspace sign no Content-Type.
GMAIL = "to:subject:message-id:date:from:mime-version:from:to:cc:subject:date:message-id:reply-to"
#: Microsoft 365 signs neither To nor Cc.
MICROSOFT = "From:Date:Subject:Message-ID:Content-Type:MIME-Version:X-MS-Exchange-SenderADCheck"
#: Fastmail signs the same twice: for the sender's domain, and for its own.
FASTMAIL = (
    "cc:content-transfer-encoding:content-type:content-type:date:date:from:from:in-reply-to:message-id"
    ":mime-version:reply-to:subject:subject:to:to"
)

#: A server of Microsoft's, as SPF of its customers knows it.
OUTLOOK = "198.51.100.7"


def outlook(spec: str = SPEC, **headers: str | None) -> bytes:
    """A letter as Outlook on the web writes it."""
    return letter(
        attached(spec, "_004_AM9P18_"),
        Content_Type='multipart/mixed;\r\n\tboundary="_004_AM9P18_"',
        **{"X_MS_Exchange_SenderADCheck": "1", "Content_Language": "fr-FR"} | headers,
    )


def microsofts(spec: str = SPEC, **headers: str | None) -> bytes:
    """Such a letter, signed as Microsoft 365 does."""
    return signed(outlook(spec, **headers), selector="selector2", names=MICROSOFT)
