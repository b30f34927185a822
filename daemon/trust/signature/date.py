"""The Date of a mail, read strictly."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    r"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), *+)?"
    r"([0-9]{1,2}) ++([A-Z][a-z]{2}) ++([0-9]{4}) ++([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))? ++"
    r"(?:([+-])([0-9]{2})([0-5][0-9])|GMT|UTC?|Z)(?: *+\([^()]*+\))?",
    re.IGNORECASE,
)


def moment(value: str) -> datetime | None:
    """When an unfolded Date says it was, in UTC; None unless it is written as RFC 5322, 3.3, has it.

    Of the obsolete forms (4.3) only GMT and UT, which many still write.
    """
    match = _DATE.fullmatch(value.strip())
    if not match or match[2].lower() not in _MONTHS:
        return None
    day, year, hour, minute, second = (int(match[group] or 0) for group in (1, 3, 4, 5, 6))
    ahead = timedelta(hours=int(match[8] or 0), minutes=int(match[9] or 0))
    try:  # a leap second has no place in datetime
        local = datetime(
            year, _MONTHS.index(match[2].lower()) + 1, day, hour, minute, min(second, 59), tzinfo=UTC
        )
        return local + ahead if match[7] == "-" else local - ahead
    except (ValueError, OverflowError):
        return None
