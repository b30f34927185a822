"""The tree of a message, walked to its leaves and their bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from email import message_from_string
from email.message import Message
from email.utils import quote
from functools import cached_property
from typing import TYPE_CHECKING, Any

from daemon.mail import header, transfer
from daemon.mail.charset import one_line
from daemon.mail.limits import children

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Restore = Callable[[bytes], bytes | memoryview]

#: The types of what is a message; all others of message/… are files (RFC 2046, 5.2.4).
_MESSAGES = frozenset({"message/rfc822", "message/global", "message/news"})
_NO_MESSAGE = "application/octet-stream"


class Node(Message):
    """A part as the standard library has it, but for what its parser is slow at or stumbles over."""

    def get_content_type(self) -> str:
        """Looked for once: the parser alone asks for it five times."""
        return self._content_type

    @cached_property
    def _content_type(self) -> str:
        """The parser would take a report's fields for those of a message, of which no octet is kept."""
        found = super().get_content_type()
        return _NO_MESSAGE if found.startswith("message/") and found not in _MESSAGES else found

    def get_boundary(self, failobj: Any = None) -> Any:  # noqa: ANN401 - as the library has it
        """None where its pieces don't make one (RFC 2231), or it is in what is no charset."""
        try:
            return super().get_boundary(failobj)
        except (TypeError, ValueError):
            return failobj


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part that holds no parts; ``forwarded`` when it lies in a message within the message."""

    place: str
    name: str | None
    media_type: str
    disposition: str | None
    charset: str | None
    content: bytes
    forwarded: bool

    @property
    def attached(self) -> bool:
        """Whether it is an attachment and no text of the mail itself."""
        return is_attachment(self.name, self.disposition)


def is_attachment(name: str | None, disposition: str | None) -> bool:
    """Whether its sender gave a part a name, or asked for it to be an attachment."""
    return name is not None or (disposition or "").lower() == "attachment"


def adopt_late_parts(message: Message) -> None:
    """Give each multipart the parts that a broken mailer wrote after its closing boundary."""
    for node in [node for node in message.walk() if node.is_multipart() and node.epilogue]:
        boundary, after = node.get_boundary(), node.epilogue
        if boundary and after and f"--{boundary}" in after:
            about = f'Content-Type: multipart/mixed; boundary="{quote(boundary)}"'
            for part in children(message_from_string(f"{about}\n\n{after}", Node)):
                node.attach(part)


def leaves(message: Message, restore: Restore) -> Iterator[Leaf]:
    """Every leaf in the order of the message, numbered as IMAP does (RFC 3501, 6.4.5).

    Each body is taken out of ``message`` on the way, so that it is held
    but once; ``restore`` puts back what was cut out of it before.
    """
    todo = [(_place_of_body(message, ""), message, False)]
    while todo:
        place, node, forwarded = todo.pop()
        inside = children(node)
        if not inside or _is_leaf(node, inside):
            yield _leaf(place, node, restore, forwarded=forwarded)
        elif node.get_content_maintype() == "message":
            todo.append((_place_of_body(inside[0], place), inside[0], True))
        else:
            numbered = [(_join(place, n), child, forwarded) for n, child in enumerate(inside, 1)]
            todo += reversed(numbered)


def uu_leaves(leaf: Leaf) -> Iterator[Leaf]:
    """The uuencoded files in the text of ``leaf``, numbered below it as if it were their container."""
    if leaf.media_type != "text/plain" or b"begin " not in leaf.content:
        return
    for number, (name, content) in enumerate(transfer.uu_blocks(leaf.content), 1):
        yield replace(
            leaf,
            place=_join(leaf.place, number),
            name=header.unfold(name.decode("ascii", "surrogateescape")),
            media_type="application/octet-stream",
            disposition="attachment",
            charset=None,
            content=content,
        )


def _is_leaf(node: Message, inside: Sequence[Message]) -> bool:
    """An encoded message (RFC 2046 forbids it) is not parsed."""
    encoded = node.get_content_maintype() == "message" and _is_encoded(node)
    return encoded and len(inside) == 1 and not inside[0].keys()


def _is_encoded(node: Message) -> bool:
    return transfer.encoding(str(node.get("content-transfer-encoding", ""))) in {"base64", "x-uuencode"}


def _leaf(place: str, node: Message, restore: Restore, *, forwarded: bool) -> Leaf:
    fields: dict[str, str] = {}
    for field, value in header.fields(node):
        fields.setdefault(field, value)
    disposition, about = fields.get("content-disposition", ""), fields.get("content-type", "")
    parameters = header.parameters(about)
    name = header.parameters(disposition).get("filename") or parameters.get("name")
    octets = restore(_take_octets(node))
    return Leaf(
        place=place,
        name=(name or "").strip()[: header.LINE_MAX] or None,
        media_type=header.media_type(about, node.get_default_type()),
        disposition=one_line(disposition.partition(";")[0].strip().lower())[: header.LINE_MAX] or None,
        charset=parameters.get("charset", "").lower()[: header.LINE_MAX] or None,
        content=transfer.undo(octets, transfer.encoding(fields.get("content-transfer-encoding"))),
        forwarded=forwarded,
    )


def _take_octets(node: Message) -> bytes:
    """The body as it was sent, taken out of ``node``.

    Without its Content-Transfer-Encoding the library gives a body as it is,
    and it is the only public way to it.
    """
    if inside := children(node):
        (node,) = inside  # a message that was parsed and should not have been, and has no fields
    del node["content-transfer-encoding"]
    body = node.get_payload(decode=True)
    node.set_payload("")
    return body if isinstance(body, bytes) else b""


def _place_of_body(message: Message, place: str) -> str:
    """A message that is no multipart has one part, number 1 (RFC 3501, 6.4.5)."""
    multipart = message.is_multipart() and message.get_content_maintype() != "message"
    return place if multipart else _join(place, 1)


def _join(place: str, number: int) -> str:
    return f"{place}.{number}" if place else str(number)
