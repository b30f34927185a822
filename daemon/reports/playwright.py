"""The JSON of Playwright's own reporter."""

from __future__ import annotations

from daemon.reports import Counts, jsondoc


def read(content: bytes) -> Counts:
    """How the tests ended; one that passed when it was tried again has passed.

    Errors are what broke outside of any test, such as a set-up.
    """
    report = jsondoc.read(content)
    expected, flaky, unexpected, skipped = (
        jsondoc.count(report, "stats", key) for key in ("expected", "flaky", "unexpected", "skipped")
    )
    errors = jsondoc.at(report, "errors") or []
    return Counts(
        passed=expected + flaky,
        failed=unexpected,
        errors=len(errors) if isinstance(errors, list) else 1,
        skipped=skipped,
    )
