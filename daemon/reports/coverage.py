"""How much of the code the tests have run, in whichever format that is told."""

from __future__ import annotations

from daemon.reports import cobertura, coveragepy, lcov


def read(content: bytes) -> float:
    """The fraction of lines that were run: Cobertura's XML, coverage.py's JSON, or lcov's lines."""
    start = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:2]
    if start[:1] == b"<" or start in (b"\xff\xfe", b"\xfe\xff"):
        return cobertura.read(content)
    if start[:1] in (b"{", b"["):
        return coveragepy.read(content)
    return lcov.read(content)
