"""The documents of a mail: which of its parts are specifications."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.outcome import Problem
from daemon.spec import body, jsondoc, markdown, upstream, yamldoc
from daemon.spec.form import OUR_KEY, Form, declared, sniffed, suffix
from daemon.spec.text import FaultyError, decode
from daemon.spec.tree import shown

if TYPE_CHECKING:
    from daemon.mail import Mail, Part

#: Parts told to a sender whose mail holds no specification.
MOST_TOLD = 8

_SPEC_SUFFIXES = frozenset({"yaml", "yml", "json", "md"})
_FRONT_MATTER_KEY = re.compile(rf"^(?:{'|'.join(sorted(markdown.KEYS))})[ \t]*:", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Document:
    """A document to be read as a specification.

    ``place`` is its part's; ``label`` is what Problems call it; ``content``
    are the bytes to read, which for the mail's own text leave out quotes and
    signature but keep its lines where they were.
    """

    place: str
    name: str | None
    label: str
    form: Form
    content: bytes
    charset: str | None = None


def from_file(name: str, content: bytes) -> Document:
    """The document in a file, whatever it is called."""
    form = declared(name, "") or _looks(content, None)
    return Document("1", name, name, form, content)


def find(mail: Mail) -> tuple[Document, ...] | Problem:
    """The specifications in a mail, in the order of its parts, or the Problem that there is none.

    A part is one by what it says (a top-level ``meta`` or ``planning``,
    front matter with a key of ours), by its name (``*spec*.yaml`` and its
    like), or as the only YAML, JSON or Markdown attachment. The mail's own
    text is one only with nothing attached (``body.document``).
    """
    found = tuple(_document(part) for part in mail.parts if _is_specification(part))
    if found:
        return found
    alone = [part for part in mail.parts if _is_candidate(part)]
    if len(alone) == 1:
        return (_document(alone[0]),)
    if not any(part.attached for part in mail.parts) and (text := body.specification(mail)):
        place = next((part.place for part in mail.parts if _is_text(part)), "1")
        return (
            Document(place, None, "text of the mail", text.form, text.text.encode(errors="replace"), "utf-8"),
        )
    return Problem(_nothing(mail))


def _is_text(part: Part) -> bool:
    """Whether a part is text of the mail itself, which has rules of its own."""
    return part.media_type == "text/plain" and not part.attached


def _is_candidate(part: Part) -> bool:
    """Whether a part would be taken for a specification if it is the only such part.

    Nameless Markdown may just be another rendering of the mail's text.
    """
    form = declared(part.name, part.media_type)
    return form is not None and (form is not Form.MARKDOWN or part.attached)


def _is_specification(part: Part) -> bool:
    if part.media_type == "text/html" or _is_text(part):
        return False
    form = declared(part.name, part.media_type)
    if form and _is_named_so(part.name):
        return True
    if (
        form is None
        and not part.media_type.startswith("text/")
        and part.media_type != "application/octet-stream"
    ):
        return False
    return _says_so(part, form)


def _is_named_so(name: str | None) -> bool:
    last = re.split(r"[/\\]", name or "")[-1].lower()
    return suffix(last) in _SPEC_SUFFIXES and "spec" in last.rpartition(".")[0]


def _says_so(part: Part, form: Form | None) -> bool:
    """Whether a part's own words make it a specification.

    One that is broken counts where its form is declared and a key of ours
    stands where it would stand: its sender must hear of it.
    """
    try:
        text = decode(part.content, part.charset)
    except FaultyError:
        return False
    try:
        return _describes(text, form or sniffed(text))
    except FaultyError:
        key = _FRONT_MATTER_KEY if form is Form.MARKDOWN else _ANY_KEY if form is Form.JSON else OUR_KEY
        return form is not None and key.search(text) is not None


_ANY_KEY = re.compile(r'"(?:meta|planning)"\s*:')


def _describes(text: str, form: Form) -> bool:
    if form is Form.MARKDOWN:
        front = markdown.front_matter(text)
        return (
            front is not None and isinstance(front.value, dict) and not markdown.KEYS.isdisjoint(front.value)
        )
    if form is Form.JSON:
        return _ANY_KEY.search(text) is not None and upstream.describes(jsondoc.read(text))
    looks_so = OUR_KEY.search(text) is not None or text.lstrip().startswith("{")
    return looks_so and upstream.describes(yamldoc.read(text))


def _document(part: Part) -> Document:
    form = declared(part.name, part.media_type) or _looks(part.content, part.charset)
    return Document(part.place, part.name, _label(part), form, part.content, part.charset)


def _looks(content: bytes, charset: str | None) -> Form:
    try:
        return sniffed(decode(content, charset))
    except FaultyError:
        return Form.YAML


def _label(part: Part) -> str:
    return shown(part.name, 100)[1:-1] if part.name else f"part {part.place}"


def _nothing(mail: Mail) -> str:
    seen = [f"{_label(part)} ({part.media_type}, {len(part.content):,} bytes)" for part in mail.parts]
    if more := seen[MOST_TOLD:]:
        seen[MOST_TOLD:] = [f"{len(more)} more"]
    return (
        "no specification found; attach one as YAML, JSON or Markdown (such as spec.yaml)."
        f" This mail holds {', '.join(seen) or 'no parts'}"
    )
