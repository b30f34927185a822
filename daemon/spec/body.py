"""A specification in the mail's own text."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.spec import markdown, target
from daemon.spec.form import OUR_KEY, Form
from daemon.spec.outline import Heading, outline
from daemon.spec.text import LARGEST, FaultyError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from daemon.mail import Mail

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n|\Z)")
_QUOTED = re.compile(r"[ \t]{0,3}>")
#: Where what is not the writer's own begins: the signature (RFC 3676, 4.3; its space is often lost),
#: or the mail that a client quotes below the answer without marking its lines. For a line without the
#: white space at its end: with it, and any number of dashes before it, a long one took half a minute.
_END = re.compile(
    r"--|-{2,}[ ]?(?:original|forwarded|weitergeleitete|urspr|message d)[^\r\n]*--"
    r"|-{4,}[^-]{1,60}-{4,}|_{10,}",
    re.IGNORECASE,
)
#: The headers of the mail below, as Outlook and others write them above it in all languages: a word, a name
#: with an address, and a second word with a time or an address on the line that follows. The keys of a
#: specification begin with a small letter.
_HEADERS = re.compile(
    r"[*]?[^\W\d_a-z][^\W\d_]{0,11}\s?:[*]?\s[^\r\n@]*+@[^\r\n]*+(?:\r\n?|\n)"
    r"[*]?[^\W\d_a-z][^\W\d_]{0,11}\s?:[*]?\s"
)
_OPENING = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[ \t]*(?P<form>ya?ml|json)\b[^\r\n]*(?:\r\n?|\n)",
    re.MULTILINE | re.IGNORECASE,
)
_CLOSING = re.compile(r"^(?P<fence>`{3,}|~{3,})[ \t]*(?=[\r\n]|\Z)", re.MULTILINE)
_JSON_KEY = re.compile(r'"(?:meta|planning)"\s*:')
_REPLY = re.compile(r"\s*(?:re|aw|sv|antw|r[eé]p)\s*(?:\[\d+\]|\(\d+\))?\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A specification inside a text, its lines where they were."""

    form: Form
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    """A fenced block without its fences: where it stands in ``whole``."""

    form: Form
    whole: str
    start: int
    end: int

    @property
    def text(self) -> str:
        return self.whole[self.start : self.end]

    @property
    def is_ours(self) -> bool:
        return (_JSON_KEY if self.form is Form.JSON else OUR_KEY).search(self.text) is not None

    def alone(self) -> str:
        """The block's text on its own lines, nothing before and after it."""
        return "\n" * len(re.findall(r"\r\n?|\n", self.whole[: self.start])) + self.text


def specification(mail: Mail) -> Excerpt | None:
    """The specification in a mail's own text, outside quotes and signature.

    Front matter, or one fenced yaml or json block with ``meta`` or
    ``planning``; else Markdown with headings or tasks, if the subject names
    the repository and the mail is no reply: all others are conversation.
    """
    if len(mail.body) > LARGEST:
        return None
    text = own_words(mail.body)
    if _has_front_matter(text):
        return Excerpt(Form.MARKDOWN, text)
    blocks = [block for block in _blocks(text) if block.is_ours]
    if len(blocks) == 1:
        return Excerpt(blocks[0].form, blocks[0].alone())
    is_plan = any(isinstance(entry, Heading) or entry.task for entry in outline(text))
    if is_plan and target.is_in_subject(mail.subject) and not is_reply(mail):
        return Excerpt(Form.MARKDOWN, text)
    return None


def own_words(body: str) -> str:
    """``body`` without quotes and signature, their lines left blank so that the others keep their numbers."""
    lines: list[str] = []
    for found in _LINE.finditer(body):
        if _END.fullmatch(found[0].rstrip()) or _HEADERS.match(body, found.start()):
            break
        lines.append("\n" if _QUOTED.match(found[0]) else found[0])
    return "".join(lines)


def is_reply(mail: Mail) -> bool:
    """Whether a mail answers another one, by its headers or by its subject."""
    return bool(mail.values("in-reply-to") or mail.references or _REPLY.match(mail.subject))


def _has_front_matter(text: str) -> bool:
    try:
        front = markdown.front_matter(text)
    except FaultyError:
        return True
    return front is not None and isinstance(front.value, dict) and not markdown.KEYS.isdisjoint(front.value)


def _blocks(text: str) -> Iterator[_Block]:
    """The fenced blocks of YAML and JSON, each up to the next line that is its own fence.

    All closing fences are found at once: to look for one from each opening
    anew takes quadratic time.
    """
    closings: dict[str, list[int]] = {}
    for closing in _CLOSING.finditer(text):
        closings.setdefault(closing["fence"], []).append(closing.start())
    end = 0
    for opening in _OPENING.finditer(text):
        ends = closings.get(opening["fence"], [])
        following = bisect_left(ends, opening.end())
        if opening.start() >= end and following < len(ends):
            end = ends[following]
            form = Form.JSON if opening["form"].lower() == "json" else Form.YAML
            yield _Block(form, text, opening.end(), end)
