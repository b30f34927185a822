"""Whose domain speaks for whose mail."""

from __future__ import annotations

import pytest

from daemon.names import Answers, Question, Unasked, Unavailable
from daemon.trust.alignment import Strictness, a_labels, is_same, organisation, same_organisation, strictness
from daemon.trust.asking import Asking


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("Example.COM", "example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("straße.example", None),
        ("ﬁle.example", None),
        ("a..b", None),
        ("é..b", None),
        ("a.b.", None),
        ("a b.example", None),
        ("[192.0.2.1]", None),
        ("", None),
        ("a" * 64 + ".example", None),
        ("é" * 300, None),
        ("é" * 40 + ".example", "xn--9caaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example"),
    ],
)
def test_a_domain_is_compared_as_the_dns_writes_it(domain: str, name: str | None) -> None:
    """What has two readings is in doubt: ``straße`` was ``strasse`` once, and is another's domain today."""
    assert a_labels(domain) == name


@pytest.mark.parametrize(
    ("domain", "theirs"),
    [
        ("mail.example.com", "example.com"),
        ("example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", None),
        ("com", None),
        ("ana.github.io", "ana.github.io"),
        ("github.io", None),
        ("bücher.example", "xn--bcher-kva.example"),
        ("localhost", None),
    ],
)
def test_an_organisation_is_one_label_below_a_public_suffix(domain: str, theirs: str | None) -> None:
    """By the whole list, hosters' suffixes too; a suffix is nobody's."""
    assert organisation(domain) == theirs


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("mail.example.com", "news.example.com", True),
        ("EXAMPLE.com", "mail.example.com", True),
        ("bücher.example", "mail.xn--bcher-kva.example", True),
        ("example.com", "notexample.com", False),
        ("example.co.uk", "sibling.co.uk", False),
        ("co.uk", "co.uk", False),
        ("ana.github.io", "eve.github.io", False),
        ("", "", False),
    ],
)
def test_relaxed_alignment_is_of_organisations(one: str, other: str, alike: bool) -> None:  # noqa: FBT001
    """And never of public suffixes."""
    assert same_organisation(one, other) == alike
    assert same_organisation(other, one) == alike


def test_the_same_domain_needs_no_list() -> None:
    """Spelt in whatever way, but without doubt."""
    assert is_same("GitHub.io", "github.io")
    assert is_same("bücher.example", "XN--BCHER-KVA.example")
    assert not is_same("straße.example", "straße.example")
    assert not is_same("a.example", "b.example")


def asked(**policies: tuple[str, ...] | None) -> Asking:
    """What the DNS has; names with ``__`` for dots."""
    known = {Question(f"_dmarc.{name.replace('__', '.')}", "TXT"): found for name, found in policies.items()}
    return Asking(Answers(known))


@pytest.mark.parametrize(
    ("records", "strict"),
    [
        ((), Strictness()),
        (("v=DMARC1; p=none",), Strictness()),
        (("v=DMARC1; p=none; adkim=s; aspf=s",), Strictness(dkim=True, spf=True)),
        (("v = DMARC1 ;ADKIM = S",), Strictness(dkim=True)),
        (("v=DMARC1; p=none; adkim=r; aspf=s",), Strictness(spf=True)),
        (("v=DMARC1; garbage;; =; adkim=s",), Strictness(dkim=True)),
        (("v=DMARC2; adkim=s", "v=spf1 -all"), Strictness()),
        (("v=DMARC1; p=none", "v=DMARC1; adkim=s"), Strictness(dkim=True)),
    ],
)
def test_a_policy_may_be_strict(records: tuple[str, ...], strict: Strictness) -> None:
    """Of several, the strictest words count."""
    assert strictness("example.com", asked(example__com=records)) == strict


def test_the_organisations_policy_holds_below_it() -> None:
    """Unless a domain has its own (RFC 7489, 6.6.3); a public suffix has none above it."""
    above = ("v=DMARC1; adkim=s",)

    assert strictness("a.b.example.com", asked(a__b__example__com=("v=spf1",), example__com=above)).dkim
    assert not strictness("a.example.com", asked(a__example__com=("v=DMARC1",), example__com=above)).dkim
    assert not strictness("github.io", asked(github__io=())).dkim


def test_both_policies_are_asked_for_at_once() -> None:
    """A round of questions takes its time."""
    asking = asked()

    with pytest.raises(Unasked):
        strictness("mail.example.com", asking)

    assert {str(question) for question in asking.open} == {
        "_dmarc.mail.example.com TXT",
        "_dmarc.example.com TXT",
    }


def test_a_policy_out_of_reach_is_not_taken_for_none() -> None:
    """It might be strict."""
    with pytest.raises(Unavailable):
        strictness("example.com", asked(example__com=None))
