"""``specpost show --urls``: for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from daemon.commands.lending import lasting
from tests.fix_daemon import specpost


@pytest.mark.parametrize(
    ("text", "lasts"),
    [
        ("90s", timedelta(seconds=90)),
        ("90 min", timedelta(minutes=90)),
        ("1.5h", timedelta(hours=1.5)),
        ("7d", timedelta(days=7)),
    ],
)
def test_a_duration_has_a_unit(text: str, lasts: timedelta) -> None:
    """As in the configuration, and days beside."""
    assert lasting(text) == lasts


@pytest.mark.parametrize(
    "text", ["", "7", "h", "-1h", "7 days", "nan h", "1e400d", "0s", "7.1d", "8d", "169h"]
)
def test_anything_else_is_refused(text: str) -> None:
    """Above all what S3 would sign for nobody."""
    with pytest.raises(ValueError, match="a duration"):
        lasting(text)


def test_the_limit_is_named() -> None:
    """With its unit, and why."""
    done = specpost("show", "00000000-0000-0000-0000-000000000000", "--urls", "8d")

    assert done.returncode == 2
    assert "'8d' is not a duration of 1 s to 7 d, which is the longest that S3 signs for" in done.stderr
