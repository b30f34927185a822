"""When a mail says it was written."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from daemon.trust.signature.date import moment


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 22 Nov 2026 10:00:00 +0000",
        "Sun, 22 Nov 2026 12:00:00 +0200",
        "22 nov 2026 05:30:00 -0430",
        "Sun, 22 Nov 2026 10:00 GMT",
        "Sun,  22 Nov 2026 10:00:00 +0000 (UTC)",
        "Mon, 22 Nov 2026 10:00:00 UT",
    ],
)
def test_a_date_is_read_as_the_standard_has_it(value: str) -> None:
    """RFC 5322, 3.3, and the two obsolete forms that live on; the day of the week decides nothing."""
    assert moment(value) == datetime(2026, 11, 22, 10, tzinfo=UTC)


def test_a_leap_second_is_a_second() -> None:
    """And no error."""
    assert moment("Sat, 31 Dec 2016 23:59:60 +0000") == datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yesterday",
        "2026-11-22T10:00:00Z",
        "Sun, 22 Nov 26 10:00:00 +0000",
        "Sun, 22 Nov 2026 10:00:00",
        "Sun, 22 Nov 2026 10:00:00 EST",
        "Sun, 32 Nov 2026 10:00:00 +0000",
        "Sun, 22 Foo 2026 10:00:00 +0000",
        "Sun, 22 Nov 2026 24:00:00 +0000",
        "Sun, 22 Nov 2026 10:00:00 +0099",
        "Sun, 22 Nov 0000 10:00:00 +0000",
        "Sun, 1 Jan 0001 00:00:00 +9900",
        "Sun, 22 Nov 2026 10:00:00 +0000, 1 Dec 2026 10:00:00 +0000",
        "Sun, ٢٢ Nov 2026 10:00:00 +0000",
    ],
)
def test_what_programs_would_guess_at_is_no_date(value: str) -> None:
    """A mail without a date is as good as one of last year."""
    assert moment(value) is None
