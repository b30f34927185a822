"""How an operator says whom tokens come from, and what is said against it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from daemon import oauth
from daemon.settings import describe
from daemon.settings.oauth import OAuth, Vault
from daemon.vault import KEY

KEY_TEXT = base64.b64encode(bytes(range(KEY))).decode()
OTHER = {
    "provider": "other",
    "client_id": "id",
    "scope": "imap offline_access",
    "token_url": "https://login.example/token?tenant=1",
    "device_url": "https://login.example/device",
}


def why(model: type[OAuth | Vault], **given: Any) -> str:
    """The reason against what is ``given``."""
    with pytest.raises(ValidationError) as refused:
        model.model_validate(given)
    (error,) = refused.value.errors()
    return f"{'.'.join(map(str, error['loc']))}: {error['ctx']['error']}" if "ctx" in error else error["type"]


def test_a_client_is_all_that_must_be_said() -> None:
    """Of the providers we know; and what a table makes can be asked."""
    google = OAuth.model_validate({"provider": "google", "client_id": "id", "client_secret": "geheim"})
    microsoft = OAuth.model_validate({"provider": "microsoft", "client_id": "id", "tenant": "example.org"})

    assert oauth.provider(google).client == {"client_id": "id", "client_secret": "geheim"}
    assert "/example.org/" in oauth.provider(microsoft).token_url


def test_another_provider_is_said_whole() -> None:
    """Its URLs and its scope, and at least one way to consent."""
    assert oauth.provider(OAuth.model_validate(OTHER)).device_url == "https://login.example/device"
    page = {**OTHER, "authorize_url": "https://login.example/"}
    del page["device_url"]
    assert oauth.provider(OAuth.model_validate(page)).device_url is None

    assert why(OAuth, provider="other", client_id="id") == (
        ': provider = "other" needs token_url, scope, device_url or authorize_url as well'
    )


@pytest.mark.parametrize("key", ["token_url", "device_url", "authorize_url"])
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://login.example/token", "everybody on the way could read the tokens"),
        ("http://127.0.0.1.example/token", "everybody on the way could read the tokens"),
        ("https://me:geheim@login.example/", "a name or password has no place in it"),
        ("https:///token", ""),
        ("login.example/token", ""),
        ("https://login.example/ token", ""),
        ("https://login.example/#token", ""),
        ("https://login.example/\n", ""),
        ("https://[/", ""),
        ("https://login.example:99999/", ""),
        (7, ""),
    ],
)
def test_secrets_are_sent_to_a_url_that_is_safe(key: str, url: object, reason: str) -> None:
    """By https, but for this machine; said before anything is sent."""
    assert why(OAuth, **{**OTHER, key: url}).startswith(f"{key}: {reason}")


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://[::1]/x", "http://localhost:99/x"])
def test_this_machine_needs_no_https(url: str) -> None:
    """As for a proxy that speaks to the provider."""
    assert OAuth.model_validate({**OTHER, "token_url": url}).token_url == url


def test_only_microsoft_has_tenants() -> None:
    """And a tenant is a name that can stand in a URL."""
    assert why(OAuth, provider="google", client_id="id", tenant="x").startswith("tenant: only provider")
    assert why(OAuth, provider="microsoft", client_id="id", tenant="a/../b").startswith("tenant: ")


@pytest.mark.parametrize(
    ("key", "value"),
    [("client_id", ""), ("client_id", "a b"), ("client_secret", "a\n"), ("scope", "a  b"), ("scope", "")],
)
def test_what_a_provider_would_not_take_is_refused_here(key: str, value: str) -> None:
    """A line end from copying, say."""
    assert why(OAuth, **{**OTHER, key: value}).startswith(f"{key}: ")


def test_a_key_is_what_openssl_prints() -> None:
    """32 octets, with the line end that a file has."""
    assert Vault.model_validate({"key": f"{KEY_TEXT}\n"}).key == bytes(range(KEY))
    assert Vault.model_validate({}).key is None
    assert why(Vault, key=base64.b64encode(b"short").decode()) == "key: 5 octets"
    assert why(Vault, key="no base64!") == "key: no base64"
    assert why(Vault, key="é") == "key: no base64"
    assert why(Vault, key=7) == "key: "


def test_secrets_are_not_shown() -> None:
    """Neither in the log of the settings nor in a representation."""
    client = OAuth.model_validate({**OTHER, "client_secret": "geheim"})
    vault = Vault.model_validate({"key": KEY_TEXT})

    assert describe(client)["client_secret"] == "***"
    assert describe(vault) == {"key": "***"}
    assert "geheim" not in repr(client)
    assert "key" not in repr(vault)
