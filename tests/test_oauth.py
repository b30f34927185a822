"""OAuth 2.0 with a provider that does as it should, and with one that does not."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from daemon import oauth
from daemon.credentials import ConsentError
from daemon.oauth import (
    AddressError,
    DeviceGrant,
    Grant,
    ProviderError,
    Wait,
    WithdrawnError,
    await_consent,
    begin,
    invite,
    poll,
    redeem,
    refresh,
    wire,
)
from tests.fix_provider import DESCRIPTION, SECRET, Reply, refusal, said

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fix_provider import TokenServer

HERE = "http://localhost:4711"


@pytest.fixture
def token(token_server: TokenServer) -> str:
    """A refresh token that is good."""
    return str(token_server.grant()["refresh_token"])


def test_a_refresh_brings_an_access_token_and_the_next_refresh_token(
    token_server: TokenServer, token: str
) -> None:
    """As RFC 6749, 6, has it, with the client's secret in the form and nothing in the URL."""
    grant = refresh(token_server.provider(), token)

    assert grant == Grant("access-2", "refresh-2", 3599)
    (asked,) = token_server.asked
    assert asked.path == "/token"
    assert asked.fields == {
        "grant_type": "refresh_token",
        "refresh_token": token,
        "client_id": "our-client",
        "client_secret": SECRET,
    }


def test_a_provider_may_keep_the_refresh_token(token_server: TokenServer, token: str) -> None:
    """As Google does: then there is no new one."""
    token_server.rotates = False

    assert refresh(token_server.provider(), token).refresh_token is None


def test_a_client_without_a_secret_sends_none(token_server: TokenServer, token: str) -> None:
    """As programs on people's machines are registered with Microsoft."""
    token_server.next.append(said(200, access_token="a", token_type="bearer"))
    refresh(token_server.provider(client_secret=None), token)

    assert "client_secret" not in token_server.asked[0].fields


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ({}, 3600),
        ({"expires_in": 100}, 100),
        ({"expires_in": "100"}, 100),
        ({"expires_in": 1.5}, 1.5),
        ({"expires_in": 10**12}, 86_400),
        ({"expires_in": -1}, 3600),
        ({"expires_in": True}, 3600),
        ({"expires_in": float("nan")}, 3600),
        ({"expires_in": float("inf")}, 3600),
        ({"expires_in": "soon"}, 3600),
        ({"expires_in": None}, 3600),
    ],
    ids=str,
)
def test_a_time_that_makes_no_sense_is_the_usual_hour(
    token_server: TokenServer, token: str, told: dict[str, Any], seconds: float
) -> None:
    """And none is longer than a day."""
    token_server.next.append(said(200, access_token="a", **told))

    assert refresh(token_server.provider(), token).expires_in == seconds


@pytest.mark.parametrize(
    ("reply", "kind", "why"),
    [
        (refusal("invalid_grant"), WithdrawnError, "consent was withdrawn or has run out"),
        (refusal("interaction_required"), WithdrawnError, "a person has to log in again"),
        (refusal("invalid_client", 401), ConsentError, "look at client_id and client_secret"),
        (refusal("unauthorized_client"), ConsentError, "allow public client flows"),
        (refusal("access_denied", 403), ConsentError, "consent was refused"),
        (refusal("invalid_scope"), ConsentError, "look at scope"),
        (refusal("something_new"), ConsentError, "example says something_new (told by the provider)"),
        (refusal("invalid_grant", 200), WithdrawnError, "withdrawn"),
    ],
    ids=lambda value: value.body.decode()[:40] if isinstance(value, Reply) else None,
)
def test_what_only_a_person_mends_is_said_in_words(
    token_server: TokenServer, token: str, reply: Reply, kind: type[Exception], why: str
) -> None:
    """The provider's code, what it means to us, and what the provider adds."""
    token_server.next.append(reply)
    with pytest.raises(ConsentError) as refused:
        refresh(token_server.provider(), token)

    assert type(refused.value) is kind
    assert str(refused.value).startswith(f"example says {json.loads(reply.body)['error']}")
    assert why in str(refused.value)
    assert DESCRIPTION in str(refused.value)


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(500, b"oops"), "answered 500, and nothing that could be read"),
        (refusal("invalid_grant", 503), "answered 503"),
        (refusal("invalid_grant", 429), "answered 429"),
        (refusal("temporarily_unavailable"), "answered 400"),
        (refusal("server_error"), "answered 400"),
        (Reply(404, b"<html>"), "answered 404, and nothing that could be read"),
        (said(400, error={"code": 400}), "answered 400"),
        (said(200, error={"code": 400}, access_token="a"), "answered 200"),
        (Reply(200, b"\xff\xfe"), "answered 200, and nothing that could be read"),
        (Reply(200, b"[" * 60_000), "answered 200, and nothing that could be read"),
        (Reply(200, b"[]"), "answered 200, and nothing that could be read"),
        (Reply(200, b""), "answered 200, and nothing that could be read"),
        (Reply(200, b" " * (65 << 10)), "answered more than 64 KiB"),
        (said(200), "without an access token that can be used"),
        (said(200, access_token=""), "without an access token that can be used"),
        (said(200, access_token=7), "without an access token that can be used"),
        (said(200, access_token="a\x01auth=b"), "without an access token that can be used"),
        (said(200, access_token="a\r\nA1 LOGOUT"), "without an access token that can be used"),
        (said(200, access_token="x" * 20_000), "without an access token that can be used"),
        (said(200, access_token="a", token_type="mac"), "without an access token that can be used"),
        (said(200, access_token="a", refresh_token="\n"), "with a refresh token that can't be used"),
    ],
    ids=lambda value: f"{value.status} {value.body[:40]!r}" if isinstance(value, Reply) else None,
)
def test_what_may_pass_is_an_os_error(token_server: TokenServer, token: str, reply: Reply, why: str) -> None:
    """Trouble of the provider's, and whatever is no answer; said in one line, and asked once only."""
    token_server.next.append(reply)
    with pytest.raises(ProviderError) as trouble:
        refresh(token_server.provider(), token)

    assert why in str(trouble.value)
    assert str(trouble.value).isprintable()
    assert len(token_server.asked) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(token_server: TokenServer, token: str, status: int) -> None:
    """The token would be sent to wherever it leads."""
    token_server.next.append(Reply(status, b"", {"Location": f"{token_server.url}/elsewhere"}))
    with pytest.raises(ProviderError, match=f"127.0.0.1 answered {status}"):
        refresh(token_server.provider(), token)

    assert [each.path for each in token_server.asked] == ["/token"]


@pytest.mark.parametrize("reply", [Reply(silent=True), Reply(200, b" " * 60_000, drips=True)])
def test_a_provider_that_takes_its_time_is_given_up(
    token_server: TokenServer, token: str, monkeypatch: pytest.MonkeyPatch, reply: Reply
) -> None:
    """One that says nothing, and one that says it octet by octet."""
    monkeypatch.setattr(wire, "READ", 0.2)
    monkeypatch.setattr(wire, "WHOLE", 0.2)
    token_server.next.append(reply)

    with pytest.raises(TimeoutError, match=r"^example: 127\.0\.0\.1 did not answer in time$"):
        refresh(token_server.provider(), token)


def test_nobody_there_is_said(token_server: TokenServer) -> None:
    """In a line, without the representation of a connection."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/token"
        with pytest.raises(ProviderError) as trouble:
            refresh(token_server.provider(token_url=url), "geheim-token")

    told = "example: 127.0.0.1 can't be reached: Failed to establish a new connection: "
    assert str(trouble.value).startswith(told)
    assert "Connection refused" in str(trouble.value)


def test_a_provider_that_hangs_up_is_trouble(token_server: TokenServer) -> None:
    """As one that is restarted does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up() -> None:
            server.accept()[0].close()

        other = threading.Thread(target=hang_up)
        other.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/token"
        with pytest.raises(ProviderError, match="can't be reached"):
            refresh(token_server.provider(token_url=url), "geheim-token")
        other.join()


def test_who_is_not_the_provider_gets_nothing(
    token_server: TokenServer, tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    """Its certificate must be one that the system trusts, and it is said when it isn't."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        provider = token_server.provider(token_url=f"https://localhost:{server.getsockname()[1]}/token")
        with ThreadPoolExecutor(1) as other:
            heard = other.submit(_heard, server, tls)
            with pytest.raises(ProviderError, match=r"can't be reached: .*CERTIFICATE_VERIFY_FAILED"):
                refresh(provider, "geheim-token")
            assert heard.result() == b""

            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            heard = other.submit(_heard, server, tls)
            with pytest.raises(ProviderError, match="localhost can't be reached"):
                refresh(provider, "geheim-token")
            assert b"POST /token" in heard.result()


def _heard(server: socket.socket, tls: ssl.SSLContext) -> bytes:
    """What comes in by one connection, which is then closed."""
    try:
        with tls.wrap_socket(server.accept()[0], server_side=True) as conn:
            return conn.recv(4096)
    except ssl.SSLError:
        return b""


@pytest.mark.parametrize(
    "url", ["http://provider.example/token", "ftp://127.0.0.1/token", "http://127.0.0.1.example/", "token"]
)
def test_nothing_is_sent_where_others_listen(token_server: TokenServer, url: str) -> None:
    """Without https it is loopback, or nothing."""
    with pytest.raises(ConsentError, match="nothing secret is sent to"):
        refresh(token_server.provider(token_url=url), "geheim-token")


def test_what_a_provider_repeats_or_invents_is_made_harmless(token_server: TokenServer, token: str) -> None:
    """Our secrets are taken out, wherever it says them; the rest is one line, and no longer than a line."""
    told = f"{token} of {SECRET}\r\n\x1b[31m\u202e" + "x" * 5000
    token_server.next.append(refusal(f"code {SECRET}", description=told))
    with pytest.raises(ConsentError) as refused:
        refresh(token_server.provider(), token)

    text = str(refused.value)
    assert text.startswith(r"example says code *** (*** of *** \x1b[31m\u202exxx")
    assert len(text) < 300
    assert text.isprintable()


def test_no_secret_is_in_a_representation_or_a_cause(token_server: TokenServer, token: str) -> None:
    """Whatever is logged."""
    provider = token_server.provider()
    shown = repr([provider, refresh(provider, token), begin(provider), invite(provider, HERE)])

    assert all(secret not in shown for secret in (SECRET, "access-2", "refresh-2", "device-geheim"))
    assert not {"state=", "verifier"} & set(shown.split("'"))


def test_a_person_types_a_code(token_server: TokenServer) -> None:
    """RFC 8628: what to ask for is said at the beginning, and asking goes on while they are about it."""
    token_server.pending = 2
    provider, slept = token_server.provider(), list[float]()
    asked = begin(provider)

    grant = await_consent(provider, asked, slept.append)

    assert asked == DeviceGrant("device-geheim", "ABCD-EFGH", "https://provider.example/device", 1, 900)
    assert token_server.asked[0].fields["scope"] == "mail offline_access"
    assert token_server.asked[1].fields["grant_type"] == "urn:ietf:params:oauth:grant-type:device_code"
    assert grant.refresh_token in token_server.good
    assert slept == [1, 1, 1]


def test_google_says_url_where_others_say_uri(token_server: TokenServer) -> None:
    """It is older than the RFC."""
    token_server.device = {"verification_url": "https://provider.example/old"}

    assert begin(token_server.provider()).verification_uri == "https://provider.example/old"


@pytest.mark.parametrize(
    ("device", "interval"),
    [({}, 5), ({"interval": 0}, 1), ({"interval": 10**9}, 60), ({"interval": "7"}, 7), ({"interval": []}, 5)],
    ids=str,
)
def test_the_interval_is_the_provider_s_within_reason(
    token_server: TokenServer, device: dict[str, Any], interval: float
) -> None:
    """Neither without a pause nor for ever."""
    token_server.device = {"verification_uri": "https://x"} | device

    assert begin(token_server.provider()).interval == interval


@pytest.mark.parametrize("missing", ["verification_uri", "user_code", "device_code"])
def test_a_code_that_nobody_can_type_is_none(token_server: TokenServer, missing: str) -> None:
    """It may be trouble of the moment."""
    told = {"verification_uri": "https://x", "user_code": "A", "device_code": "B"}
    token_server.next.append(said(200, **{key: value for key, value in told.items() if key != missing}))
    with pytest.raises(ProviderError, match="without a code to type"):
        begin(token_server.provider())


def test_what_a_person_reads_does_nothing_to_their_terminal(token_server: TokenServer) -> None:
    """Neither the code nor the address."""
    told = {"verification_uri": "https://x\x1b[2J", "user_code": "A\nB", "device_code": "C"}
    token_server.next.append(said(200, **told))
    asked = begin(token_server.provider())

    assert (asked.verification_uri, asked.user_code) == (r"https://x\x1b[2J", r"A\nB")


def test_who_asks_too_often_asks_less_from_then_on(token_server: TokenServer) -> None:
    """By five seconds each time (RFC 8628, 3.5), by whatever status it is said."""
    provider, slept = token_server.provider(), list[float]()
    asked = begin(provider)
    token_server.next.extend([refusal("slow_down", 429), refusal("authorization_pending", 428)])
    token_server.next.append(refusal("slow_down", 403))

    await_consent(provider, asked, slept.append)

    assert slept == [1, 6, 6, 11]


def test_trouble_is_waited_out_ever_slower(token_server: TokenServer) -> None:
    """A person who is typing must not begin anew because a provider stumbled."""
    provider, slept = token_server.provider(), list[float]()
    asked = begin(provider)
    token_server.next.extend([Reply(502), Reply(200, b"<"), refusal("authorization_pending")])

    assert await_consent(provider, asked, slept.append).access_token in token_server.access
    assert slept == [1, 2, 4, 4]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("access_denied", "consent was refused"),
        ("authorization_declined", "consent was refused"),
        ("expired_token", "nobody consented in time"),
        ("invalid_grant", "withdrawn"),
    ],
)
def test_a_person_who_refuses_is_heard_at_once(token_server: TokenServer, code: str, why: str) -> None:
    """As is the provider's end of patience."""
    provider = token_server.provider()
    asked = begin(provider)
    token_server.next.append(refusal(code))
    with pytest.raises(ConsentError, match=why):
        await_consent(provider, asked, lambda _: None)


def test_a_code_that_has_run_out_is_not_asked_for_any_more(token_server: TokenServer) -> None:
    """Even when the provider never says so; trouble at the end is what is told."""
    token_server.pending = 10_000
    provider = token_server.provider()
    asked = DeviceGrant("device-geheim", "A", "https://x", 5, 15)
    with pytest.raises(ConsentError, match=r"^nobody consented at example in time$"):
        await_consent(provider, asked, lambda _: None)
    assert len(token_server.asked) == 3

    token_server.next.extend([Reply(500)] * 10)
    with pytest.raises(ProviderError, match="answered 500"):
        await_consent(provider, asked, lambda _: None)


def test_one_question_has_one_answer(token_server: TokenServer) -> None:
    """Not yet, less often, or the tokens."""
    token_server.pending = 1
    provider = token_server.provider()
    asked = begin(provider)

    assert poll(provider, asked) is Wait.PENDING
    token_server.next.append(refusal("slow_down"))
    assert poll(provider, asked) is Wait.SLOWER
    assert isinstance(poll(provider, asked), Grant)


def test_a_person_consents_in_a_browser(token_server: TokenServer) -> None:
    """RFC 8252 and 7636: the address brings a code, which is good only with what never left this process."""
    provider = token_server.provider()
    invitation = invite(provider, HERE)
    query = {key: values[0] for key, values in parse_qs(urlsplit(invitation.url).query).items()}

    grant = redeem(provider, invitation, f"  {token_server.consent(invitation.url)}\n")

    assert invitation.url.startswith(f"{token_server.url}/authorize?response_type=code&")
    assert (query["client_id"], query["scope"]) == ("our-client", "mail offline_access")
    assert invitation.verifier not in invitation.url
    assert SECRET not in invitation.url
    assert grant.refresh_token in token_server.good


def test_a_code_is_good_only_for_who_asked_for_it(token_server: TokenServer) -> None:
    """Whoever sees the address lacks the verifier."""
    provider = token_server.provider()
    ours, theirs = invite(provider, HERE), invite(provider, HERE)
    address = token_server.consent(ours.url).replace(ours.state, theirs.state)
    with pytest.raises(WithdrawnError):
        redeem(provider, theirs, address)

    assert ours.state != theirs.state
    assert ours.verifier != theirs.verifier


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("", "has a [?] in it"),
        ("http://localhost:4711", "has a [?] in it"),
        ("http://localhost:4711/?code=c", "another login"),
        ("http://localhost:4711/?code=c&state=other", "another login"),
        ("http://localhost:4711/?code=c&state=\u00e9", "another login"),
        ("http://localhost:4711/?state=STATE", "no code"),
        ("http://[/?state=STATE", "can't be read"),
        ("/?state=STATE" + "&x=1" * 100, "can't be read"),
    ],
)
def test_what_is_not_the_address_is_asked_for_again(
    token_server: TokenServer, address: str, why: str
) -> None:
    """A slip of the mouse ends nothing, and nothing is sent anywhere."""
    provider = token_server.provider()
    invitation = invite(provider, HERE)
    with pytest.raises(AddressError, match=why):
        redeem(provider, invitation, address.replace("STATE", invitation.state))

    assert token_server.asked == []


def test_a_person_who_refuses_in_the_browser_is_heard(token_server: TokenServer) -> None:
    """Their answer comes by the same way."""
    provider = token_server.provider()
    invitation = invite(provider, HERE)
    address = f"{HERE}/?error=access_denied&error_description=no%1b&state={invitation.state}"
    with pytest.raises(ConsentError, match=r"^example says access_denied: consent was refused \(no\\x1b\)$"):
        redeem(provider, invitation, address)


def test_a_provider_may_lack_a_way(token_server: TokenServer) -> None:
    """Then nobody is asked, and the words name the key."""
    with pytest.raises(ConsentError, match="there is no device_url"):
        begin(token_server.provider(device_url=None))
    with pytest.raises(ConsentError, match="there is no authorize_url"):
        invite(token_server.provider(authorize_url=None), HERE)
    assert token_server.asked == []


def asked_for(provider: str, **said: str) -> SimpleNamespace:
    """What an operator says."""
    nothing = dict.fromkeys(("client_secret", "device_url", "authorize_url", "token_url", "scope"))
    return SimpleNamespace(**{**nothing, "tenant": "common", "provider": provider, "client_id": "id"} | said)


def test_google_and_microsoft_are_known() -> None:
    """As they document it; Google's device flow refuses Gmail's scope, so only its page is offered."""
    google, microsoft = (
        oauth.provider(asked_for("google")),
        oauth.provider(asked_for("microsoft", tenant="t.x")),
    )

    assert google.device_url is None
    assert google.authorize_url == (
        "https://accounts.google.com/o/oauth2/v2/auth?access_type=offline&prompt=consent"
    )
    assert (google.token_url, google.scope) == (
        "https://oauth2.googleapis.com/token",
        "https://mail.google.com/",
    )
    assert "prompt=consent&response_type=code&" in invite(google, HERE).url
    assert microsoft.device_url == "https://login.microsoftonline.com/t.x/oauth2/v2.0/devicecode"
    assert microsoft.authorize_url == "https://login.microsoftonline.com/t.x/oauth2/v2.0/authorize"
    assert microsoft.token_url == "https://login.microsoftonline.com/t.x/oauth2/v2.0/token"
    assert microsoft.scope == "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"


def test_the_operator_s_word_goes_before_what_is_known() -> None:
    """A cloud of a country's own, or another provider altogether."""
    urls = {
        key: f"https://login.example/{key}" for key in ("device_url", "authorize_url", "token_url", "scope")
    }
    for name in ("google", "microsoft", "other"):
        made = oauth.provider(asked_for(name, **urls, client_secret=SECRET))
        assert {key: getattr(made, key) for key in urls} == urls
        assert made.client == {"client_id": "id", "client_secret": SECRET}
