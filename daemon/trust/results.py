"""Authentication-Results: what a relay of ours found out about a mail (RFC 8601)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from daemon.trust.findings import Results

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


#: How deep comments may nest, and how many results one header may hold; who writes more is no relay of ours.
_DEPTH_MAX, _RESULTS_MAX = 10, 50

#: What follows outside of comments: white space, a quoted string, the begin of a comment, or other ASCII.
_PIECE = re.compile(r'(?P<space>[ \t]++)|(?P<quoted>"(?:[^"\\]|\\.)*+")|\(|(?P<text>[!#-\'*-\[\]-~]++)')
#: What follows inside of one. A quote has no meaning there, so who sends from ``"a); dkim=pass (b"@…`` would
#: end the comment in which a relay repeats their address, and go on with a result of their own: it is odd.
_IN_COMMENT = re.compile(r'[^()\\"]++|\\.|[()]')

_KEYWORD = r"[a-z0-9][a-z0-9_-]*+"
_ID = re.compile(r'(?P<id>[^ ()<>@,:\\"/\[\]?=]++|"[0-9]++")(?: (?P<version>[0-9]++))?')
_METHOD = re.compile(
    rf"(?P<method>{_KEYWORD})(?: ?/ ?(?P<version>[0-9]++))? ?= ?(?P<result>{_KEYWORD})", re.IGNORECASE
)
#: ``reason=…``, ``header.d=…``, and ``x-bits=…``, which the grammar hasn't and large providers write; so
#: with base64 and IPv6 addresses without quotes. No value holds what ends it, so none is more than one.
_PROPERTY = re.compile(
    rf' (?P<name>{_KEYWORD}(?: ?\. ?{_KEYWORD})?) ?= ?(?P<value>"[0-9]++"(?:@[^ "]++)?|[^ "]++)',
    re.IGNORECASE,
)
_QUOTED = re.compile(r'"([0-9]++)"')
_DOMAIN = re.compile(r"[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]++)*")


def believed(headers: Sequence[tuple[str, str]], authserv_id: str | None) -> Results | None:
    """What the topmost Authentication-Results says, if it is of ``authserv_id``; None believes nobody.

    Only the topmost: what stands below may be the sender's (RFC 8601, 7.1).
    The server must take out of a mail what bears its own authserv-id before it
    adds to it (RFC 8601, 5), and put all it found into one header. A header
    that doesn't follow the grammar to the end says nothing.
    """
    topmost = next((value for name, value in headers if name == "authentication-results"), None)
    if topmost is None or authserv_id is None:
        return None
    said = parse(topmost)
    return said if said and said.authserv_id == authserv_id else None


def parse(value: str) -> Results | None:
    """An Authentication-Results header, unfolded; None when anything about it is odd (RFC 8601, 2.2).

    Of repeated results each stands for itself; what isn't ``pass`` says
    nothing, and so does a pass for no domain.
    """
    header = _Plain.of(value)
    first, *rest = header.text.split(";") if header else ("",)
    authserv = _ID.fullmatch(first.strip())
    if header is None or authserv is None or (authserv["version"] or "1") != "1":
        return None
    results = _results(header, rest)
    if results is None:
        return None
    name = header.value(authserv["id"])
    return Results(name.lower(), tuple(_dkim(results)), _spf(results)) if name.isascii() else None


@dataclass(frozen=True, slots=True)
class _Plain:
    """A header without what needs care: comments are spaces, a quoted string its number in quotes."""

    text: str
    quoted: tuple[str, ...]

    @classmethod
    def of(cls, value: str) -> _Plain | None:
        """None when a comment or a quoted string doesn't end, or anything stands where it can't."""
        text: list[str] = []
        quoted: list[str] = []
        depth = at = 0
        while at < len(value):
            piece = (_IN_COMMENT if depth else _PIECE).match(value, at)
            if piece is None or depth > _DEPTH_MAX:
                return None
            at = piece.end()
            depth += {"(": 1, ")": -1}.get(piece[0], 0)
            kind = piece.lastgroup
            if kind == "quoted":
                text.append(f'"{len(quoted)}"')
                quoted.append(re.sub(r"\\(.)", r"\1", piece[0][1:-1]))
            else:
                text.append(piece[0] if kind == "text" else " ")
        return None if depth else cls(" ".join("".join(text).split()), tuple(quoted))

    def value(self, text: str) -> str:
        """``text`` with its quoted strings back in it, without their quotes."""
        return _QUOTED.sub(lambda match: self.quoted[int(match[1])], text)


@dataclass(frozen=True, slots=True)
class _Result:
    """One result; names and words in lower case."""

    method: str
    word: str
    properties: tuple[tuple[str, str], ...]

    def only(self, name: str) -> str | None:
        """The value of a property that is there once; twice, it is none."""
        values = [value for key, value in self.properties if key == name]
        return values[0] if len(values) == 1 else None

    def has(self, name: str) -> bool:
        """Whether the property is there at all."""
        return any(key == name for key, _ in self.properties)


def _results(header: _Plain, texts: Sequence[str]) -> list[_Result] | None:
    """The results of a header, [] for ``none``; None when one can't be read, or there are too many."""
    if [text.strip().lower() for text in texts] == ["none"]:
        return []
    found = [_result(header, text.strip()) for text in texts[: _RESULTS_MAX + 1]]
    whole = [each for each in found if each is not None]
    return whole if 0 < len(whole) == len(texts) <= _RESULTS_MAX else None


def _result(header: _Plain, text: str) -> _Result | None:
    head = _METHOD.match(text)
    if head is None:
        return None
    properties, at = [], head.end()
    while at < len(text):
        match = _PROPERTY.match(text, at)
        if match is None:
            return None
        properties.append((match["name"].replace(" ", "").lower(), header.value(match["value"])))
        at = match.end()
    method = head["method"] if (head["version"] or "1") == "1" else ""
    return _Result(method.lower(), head["result"].lower(), tuple(properties))


def _passed(results: Sequence[_Result], method: str) -> Iterator[_Result]:
    return (each for each in results if each.method == method and each.word == "pass")


def _dkim(results: Sequence[_Result]) -> dict[str, None]:
    """The domains whose signature passed, in their order.

    ``i=`` is in the signing domain or below it (RFC 6376, 3.5), so it stands
    in where a relay doesn't name that.
    """
    named = (
        each.only("header.d") if each.has("header.d") else _after_at(each.only("header.i"))
        for each in _passed(results, "dkim")
    )
    return dict.fromkeys(domain for domain in map(_domain, named) if domain)


def _spf(results: Sequence[_Result]) -> str | None:
    """The first domain of MAIL FROM that passed; that of HELO proves nothing about a sender."""
    named = (each.only("smtp.mailfrom") or "" for each in _passed(results, "spf"))
    return next((domain for name in named if (domain := _domain(name.rpartition("@")[2]))), None)


def _after_at(text: str | None) -> str | None:
    _, at, domain = (text or "").rpartition("@")
    return domain if at else None


def _domain(text: str | None) -> str | None:
    return text.lower() if text and _DOMAIN.fullmatch(text) else None
