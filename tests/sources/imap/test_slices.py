"""As many mails are taken at a time as can be read and filed together."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.sources.imap.slices import SLICE_BYTES, SLICE_MAILS, cut


def test_nothing_is_no_slice() -> None:
    """So nobody is asked for no mails."""
    assert list(cut({})) == []


def test_a_slice_has_a_hundred_mails_at_most() -> None:
    """In the order in which they came, whatever order they are named in."""
    uids = range(1, 2 * SLICE_MAILS + 2)

    slices = list(cut(dict.fromkeys(reversed(uids), 1)))

    assert [len(each) for each in slices] == [100, 100, 1]
    assert [uid for each in slices for uid in each] == list(uids)


def test_a_slice_is_full_when_the_next_mail_does_not_fit() -> None:
    """To the octet; the room of one is not that of the next."""
    half = SLICE_BYTES // 2

    assert list(cut({1: half, 2: half, 3: half, 4: half + 1, 5: 1})) == [[1, 2], [3], [4, 5]]


def test_a_large_mail_goes_alone() -> None:
    """Nobody is left out for their size, and those beside it stay together."""
    assert list(cut({1: 1, 2: 1, 3: 7 * SLICE_BYTES, 4: 1, 5: 0})) == [[1, 2], [3], [4, 5]]


def test_an_empty_mail_has_its_place() -> None:
    """A server may say 0 of any."""
    assert list(cut(dict.fromkeys(range(SLICE_MAILS), 0))) == [list(range(SLICE_MAILS))]


@settings(derandomize=True, deadline=None, database=None)
@given(st.dictionaries(st.integers(1, 2**32 - 1), st.integers(0, 2 * SLICE_BYTES)))
def test_each_mail_is_in_one_slice_and_none_is_beyond_measure(sizes: dict[int, int]) -> None:
    """Whatever a server says of its mails; and no slice ends before it must."""
    slices = list(cut(sizes))

    assert [uid for each in slices for uid in each] == sorted(sizes)
    assert all(len(each) == 1 or sum(map(sizes.__getitem__, each)) <= SLICE_BYTES for each in slices)
    for each, following in pairwise(slices):
        together = sum(map(sizes.__getitem__, [*each, following[0]]))
        assert len(each) == SLICE_MAILS or together > SLICE_BYTES
