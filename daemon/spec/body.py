"""A specification in the mail's own text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.spec import markdown, target
from daemon.spec.form import OUR_KEY, Form
from daemon.spec.outline import Heading, outline
from daemon.spec.text import LARGEST, FaultyError

if TYPE_CHECKING:
    from daemon.mail import Mail

_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n|\Z)")
_QUOTED = re.compile(r"[ \t]{0,3}>")
#: Where what is not the writer's own begins: the signature (RFC 3676, 4.3; its space is often lost),
#: or the mail that a client quotes below the answer without marking its lines.
_END = re.compile(
    r"--[ ]?\s*|-{2,}[ ]?(?:original|forwarded|weitergeleitete|urspr|message d)[^\r\n]*-{2,}\s*",
    re.IGNORECASE,
)
_FENCED = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[ \t]*(?P<form>ya?ml|json)\b[^\r\n]*(?:\r\n?|\n)"
    r"(?P<text>.*?)^(?P=fence)[ \t]*(?=[\r\n]|\Z)",
    re.MULTILINE | re.DOTALL | re.IGNORECASE,
)
_JSON_KEY = re.compile(r'"(?:meta|planning)"\s*:')
_REPLY = re.compile(r"\s*(?:re|aw|sv|antw|r[eé]p)\s*(?:\[\d+\]|\(\d+\))?\s*:", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A specification inside a text, its lines where they were."""

    form: Form
    text: str


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
    blocks = [block for block in _FENCED.finditer(text) if _is_ours(block)]
    if len(blocks) == 1:
        return Excerpt(_form(blocks[0]), _alone(blocks[0]))
    is_plan = any(isinstance(entry, Heading) or entry.task for entry in outline(text))
    if is_plan and target.is_in_subject(mail.subject) and not is_reply(mail):
        return Excerpt(Form.MARKDOWN, text)
    return None


def own_words(body: str) -> str:
    """``body`` without quotes and signature, their lines left blank so that the others keep their numbers."""
    lines: list[str] = []
    for found in _LINE.finditer(body):
        if _END.fullmatch(found[0]):
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


def _is_ours(block: re.Match[str]) -> bool:
    return (_JSON_KEY if _form(block) is Form.JSON else OUR_KEY).search(block["text"]) is not None


def _form(block: re.Match[str]) -> Form:
    return Form.JSON if block["form"].lower() == "json" else Form.YAML


def _alone(block: re.Match[str]) -> str:
    """The block's text on its own lines, nothing before and after it."""
    before = block.string[: block.start("text")]
    return "\n" * len(re.findall(r"\r\n?|\n", before)) + block["text"]
