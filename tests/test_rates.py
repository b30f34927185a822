"""How often one sender may come."""

from __future__ import annotations

import sys

import pytest

from daemon import rates
from daemon.rates import PIECES, Rates

ANA, BEN = "ana@example.org", "ben@example.org"


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def take(limited: Rates, sender: str) -> bool:
    """Bring a mail; whether it was taken."""
    allowed = limited.allows(sender)
    if allowed:
        limited.count(sender)
    return allowed


@pytest.fixture
def clock() -> Clock:
    """A clock that stands."""
    return Clock()


def test_without_a_limit_anybody_may_come_as_often_as_they_like() -> None:
    """And nobody is remembered for it."""
    free = Rates(None)

    assert all(take(free, ANA) for _ in range(1000))
    assert not free._counts


def test_one_too_many_is_refused_and_others_are_not_held_up(clock: Clock) -> None:
    """The limit is each sender's own."""
    limited = Rates(2, clock=clock)

    assert [take(limited, ANA) for _ in range(3)] == [True, True, False]
    assert take(limited, BEN)


def test_a_sender_in_other_letters_is_the_same(clock: Clock) -> None:
    """Mailboxes that differ by case alone exist in no real system."""
    limited = Rates(1, clock=clock)

    assert take(limited, "Ana@Example.ORG")
    assert not take(limited, ANA)


def test_the_window_slides(clock: Clock) -> None:
    """Each mail has its own hour: no moment at which twice the limit fits in."""
    limited = Rates(2, window=3600, clock=clock)
    take(limited, ANA)
    clock.now += 3000
    take(limited, ANA)
    clock.now += 3600 - 3000
    assert not take(limited, ANA)
    clock.now += 3600 / PIECES

    assert [take(limited, ANA) for _ in range(2)] == [True, False]


@pytest.mark.parametrize("start", [0.0, 0.4, 0.999])
def test_the_limit_holds_in_every_window(clock: Clock, start: float) -> None:
    """Wherever the window begins, and whenever the sender tries."""
    limited = Rates(5, window=60, clock=clock)
    clock.now += start
    taken = []
    for _ in range(2000):
        clock.now += 0.37
        if take(limited, ANA):
            taken.append(clock.now)

    assert len(taken) > 50
    assert all(late - early > 60 for early, late in zip(taken, taken[5:], strict=False))


def test_a_refused_mail_does_not_count(clock: Clock) -> None:
    """Who tries again and again is not kept out for longer."""
    limited = Rates(1, window=60, clock=clock)
    take(limited, ANA)
    for _ in range(59):
        clock.now += 1
        assert not take(limited, ANA)
    clock.now += 2

    assert take(limited, ANA)


def test_several_at_once_are_asked_for_together(clock: Clock) -> None:
    """A batch is one question, and asking counts nothing."""
    limited = Rates(3, clock=clock)
    take(limited, ANA)

    assert [limited.allows(ANA, more) for more in (1, 2, 3)] == [True, True, False]
    assert limited.allows(ANA, 2)


def test_who_stays_away_is_forgotten(clock: Clock) -> None:
    """Memory is for those who come."""
    limited = Rates(1, window=60, clock=clock)
    for number in range(100):
        take(limited, f"{number}@example.org")
    clock.now += 62
    take(limited, ANA)

    assert list(limited._counts) == [ANA]


def test_no_more_senders_are_remembered_than_the_cap(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever hasn't come for longest makes room, and only for somebody new."""
    monkeypatch.setattr(rates, "SENDERS_MAX", 3)
    limited = Rates(2, clock=clock)
    for name in "abcad":
        take(limited, f"{name}@example.org")
    assert list(limited._counts) == ["c@example.org", "a@example.org", "d@example.org"]

    assert not take(limited, "a@example.org")
    assert "c@example.org" in limited._counts


def test_a_large_limit_costs_no_memory(clock: Clock) -> None:
    """A sender's mails are numbers, however many there are."""
    limited = Rates(1_000_000, clock=clock)
    for _ in range(20_000):
        clock.now += 1
        take(limited, ANA)

    count = limited._counts[ANA]
    assert count.mails <= 3600 + 3600 / PIECES
    assert len(count.pieces) <= PIECES + 1
    assert sys.getsizeof(count.pieces) < 4096
