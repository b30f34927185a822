"""What the DNS says while the tables run: the keys and policies of those who send."""

from __future__ import annotations

from tests.fix_signers import key

Records = dict[tuple[str, str], tuple[str | bytes, ...]]


def records() -> Records:
    """Values by name and kind. A selector is called after what its key is."""
    return _keys() | _odd_keys() | {(name, "TXT"): (value,) for name, value in _POLICIES.items()}


#: Who signs with which good keys.
_GOOD = {
    "example.com": ("rsa2048", "rsa1024", "ed25519", "google", "selector2", "fm1"),
    "gmail.com": ("20230601",),
    "messagingengine.com": ("fm3",),
    "mail.example.com": ("rsa2048",),
    "other.example.com": ("rsa2048",),
    "evil.example": ("rsa2048",),
    "notexample.com": ("rsa2048",),
    "com": ("rsa2048",),
    "co.uk": ("rsa2048",),
    "example.co.uk": ("rsa2048",),
    "sibling.co.uk": ("rsa2048",),
    "strict.example": ("rsa2048",),
    "mail.strict.example": ("rsa2048",),
    "lenient.example": ("rsa2048",),
    "mail.lenient.example": ("rsa2048",),
    "xn--bcher-kva.example": ("rsa2048",),
    "chained.example": ("rsa2048",),
    "redirected.example": ("rsa2048",),
    "spfonly.example": ("rsa2048",),
    "pair.example": ("rsa2048",),
    "bound.example": ("rsa2048",),
    "loose.example": ("rsa2048",),
    "relayed.example": ("rsa2048",),
}

_POLICIES = {
    "_dmarc.example.com": "v=DMARC1; p=reject; rua=mailto:dmarc@example.com",
    "_dmarc.strict.example": "v=DMARC1; p=quarantine; adkim=s; aspf=s",
    "_dmarc.lenient.example": "v=DMARC1; p=none; adkim=r",
    "example.com": "v=spf1 ip4:198.51.100.0/24 -all",
    "bounces.example.com": "v=spf1 ip4:198.51.100.0/24 -all",
    "notexample.com": "v=spf1 ip4:198.51.100.0/24 -all",
    "chained.example": "v=spf1 include:_spf.chained.example -all",
    "_spf.chained.example": "v=spf1 ip4:192.0.2.0/28 include:_spf2.chained.example ~all",
    "_spf2.chained.example": "v=spf1 ip4:198.51.100.0/24 ip6:2001:db8::/32 -all",
    "redirected.example": "v=spf1 redirect=_spf2.chained.example",
    "endless.example.com": "v=spf1 include:endless.example.com -all",
}


def _keys() -> Records:
    return {
        (f"{selector}._domainkey.{domain}", "TXT"): (key(_kind(selector)).record,)
        for domain, selectors in _GOOD.items()
        for selector in selectors
    }


def _kind(selector: str) -> str:
    return selector if selector.startswith(("rsa", "ed")) else "rsa2048"


def _odd_keys() -> Records:
    """Records of example.com that no signature may count by."""
    good = key("rsa2048").record
    public = good.partition("p=")[2]
    odd = {
        "rsa512": (key("rsa512").record,),
        "rsa768": (key("rsa768").record,),
        "revoked": ("v=DKIM1; k=rsa; p=",),
        "twice": (good, key("rsa1024").record),
        "other": (key("rsa1024").record,),
        "itself": (f"v=DKIM1; k=rsa; t=s; p={public}",),
        "elsewhere": (f"v=DKIM1; k=rsa; s=tlsrpt; p={public}",),
        "sha1only": (f"v=DKIM1; k=rsa; h=sha1; p={public}",),
        "garbage": ("v=DKIM1; k=rsa; p=" + "A" * 300,),
        "notbase64": ("v=DKIM1; k=rsa; p=%%%\\\\;;=;p",),
        "huge": ("v=DKIM1; k=rsa; p=" + "A" * 10_000,),
        "version": (f"v=DKIM2; k=rsa; p={public}",),
        "wrongkind": (f"v=DKIM1; k=ed25519; p={public}",),
        "mismatch": (key("ed25519").record,),
        "empty": ("",),
    }
    return {(f"{name}._domainkey.example.com", "TXT"): values for name, values in odd.items()}
