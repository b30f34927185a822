"""A bucket that is wrong, away, slow or lying: what is said of it, and how soon."""

from __future__ import annotations

import hashlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from daemon.storage import StoredObject, UnfitError, objects
from tests.fix_s3 import BUCKET, KEY_ID, PREFIX, REGION, SECRET, refusal
from tests.proxy import proxied

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.storage import Storage
    from tests import sigv4
    from tests.fix_s3 import S3, Answer

KEY = "mails/ab/x/raw.eml"
#: A secret that is nobody's.
OTHER = "8Zb1nQeTqvLxg2/not+the+one"
#: Each way to need the server.
CALLS: dict[str, Callable[[Storage], Any]] = {
    "check": lambda storage: storage.check(),
    "put": lambda storage: storage.put([StoredObject(KEY, b"x")]),
    "get": lambda storage: storage.get(KEY),
    "list": lambda storage: list(storage.list()),
    "delete": lambda storage: storage.delete([KEY]),
}
every_call = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)


@every_call
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"secret_access_key": OTHER},
            "SignatureDoesNotMatch: the secret is not this key's; mend [storage]",
        ),
        ({"access_key_id": "AKIDANOTHER"}, "InvalidAccessKeyId: nobody has this key; mend [storage]"),
        ({"region": "us-east-1"}, "the bucket is in another region than [storage] region says: eu-west-3"),
        ({"name": "nobodys"}, "NoSuchBucket: there is no such bucket; make it, or mend [storage] url"),
    ],
    ids=["secret", "key", "region", "bucket"],
)
def test_what_only_an_operator_can_mend_is_said(
    s3: S3, call: Callable[[Storage], Any], changes: dict[str, str], words: str
) -> None:
    """With the bucket, its place, and what to do; never with a secret, nor with what was signed."""
    with pytest.raises(UnfitError) as raised:
        call(s3.storage(**changes))

    said = str(raised.value)
    assert said.startswith(f"s3://{changes.get('name', BUCKET)}/made/here at {s3.endpoint}: ")
    assert words in said
    assert not any(secret in repr(raised.value) for secret in (SECRET, OTHER, "AWS4-HMAC-SHA256"))
    assert raised.value.__cause__ is None
    assert len(s3.gate.requests) == 1


def test_a_limit_of_the_store_s_is_named(s3: S3) -> None:
    """Else mails of this size would be deferred, and nobody knew why."""
    s3.gate.trouble = lambda _: refusal("400 Bad Request", "EntityTooLarge")

    with pytest.raises(UnfitError, match=r"EntityTooLarge: .*; raise its limit, or lower \[smtp\] max_size"):
        CALLS["put"](s3.storage())


@every_call
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (refusal("403 Forbidden", "AccessDenied"), "it needs s3:PutObject"),
        (refusal("301 Moved Permanently", "PermanentRedirect"), "in another region"),
        (("403 Forbidden", [], b"<html>who are you</html>"), "403: whose key it is may not do this"),
        (
            ("404 Not Found", [], b"<html>no such page</html>"),
            "there is no S3 at this place; mend [storage] end",
        ),
    ],
    ids=["policy", "redirect", "403", "404"],
)
def test_a_server_that_refuses_is_wrong(
    s3: S3, call: Callable[[Storage], Any], answer: Answer, words: str
) -> None:
    """Whether S3 says it in its own way or something in front of it does."""
    s3.gate.trouble = lambda _: answer

    with pytest.raises(UnfitError) as raised:
        call(s3.storage())

    assert words in str(raised.value)


SLOW_DOWN = refusal("503 Slow Down", "SlowDown"), "503 Service Unavailable SlowDown"


@pytest.mark.parametrize(
    ("call", "answer", "words"),
    [
        (CALLS["put"], refusal("500 Internal Server Error", "InternalError"), "500 .* InternalError"),
        (CALLS["put"], refusal("429 Too Many Requests", "TooManyRequests"), "429 .* TooManyRequests"),
        *((call, *SLOW_DOWN) for call in CALLS.values()),
    ],
    ids=["500", "429", *(f"503-{name}" for name in CALLS)],
)
def test_a_server_in_trouble_is_asked_again_and_soon_given_up(
    s3: S3, call: Callable[[Storage], Any], answer: Answer, words: str
) -> None:
    """It may pass, so the text says no more than what the server does."""
    s3.gate.trouble = lambda _: answer
    begun = time.monotonic()

    with pytest.raises(OSError, match=words) as raised:
        call(s3.storage())

    assert not isinstance(raised.value, UnfitError)
    assert len(s3.gate.requests) == 1 + objects.RETRIES
    assert time.monotonic() - begun < 6


@pytest.mark.parametrize("call", [CALLS["put"], CALLS["get"]], ids=["put", "get"])
def test_one_stumble_is_nobody_s_trouble(s3: S3, call: Callable[[Storage], Any]) -> None:
    """The first answer is an error, the next one is right."""
    s3.storage().put([StoredObject(KEY, b"x")])
    answers = iter([refusal("503 Slow Down", "SlowDown")])
    s3.gate.trouble = lambda _: next(answers, None)

    call(s3.storage())


@pytest.mark.parametrize("call", [CALLS["check"], CALLS["put"]], ids=["check", "put"])
def test_a_server_that_is_not_there_is_said_so(s3: S3, call: Callable[[Storage], Any]) -> None:
    """Its port is closed."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        endpoint = f"http://127.0.0.1:{gone.getsockname()[1]}"

    with pytest.raises(OSError, match=f"at {endpoint}: .*it can't be reached: Connection refused") as raised:
        call(s3.storage(endpoint=endpoint))

    assert not isinstance(raised.value, UnfitError)


def test_a_name_that_nobody_has_is_said_so(s3: S3) -> None:
    """It may as well be the resolver that is away."""
    with pytest.raises(OSError, match="it can't be reached: "):
        s3.storage(endpoint="http://nowhere.invalid").check()


def test_what_speaks_no_tls_is_said_so(s3: S3) -> None:
    """As https to a port of plain http."""
    with pytest.raises(OSError, match=r"it can't be reached: .*Invalid"):
        s3.storage(endpoint=s3.endpoint.replace("http:", "https:")).check()


@every_call
def test_a_server_that_falls_silent_is_given_up(
    s3: S3, call: Callable[[Storage], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadline of ours ends the wait, and no retry makes it longer."""
    with proxied(s3.host, s3.port) as proxy:
        storage = s3.storage(endpoint=f"http://{proxy.host}:{proxy.port}")
        storage.check()
        proxy.black_hole()
        monkeypatch.setattr(objects, "PATIENCE", 0.1)
        monkeypatch.setattr(objects, "LONGEST", 0.2)
        begun = time.monotonic()

        with pytest.raises(TimeoutError, match=f"{proxy.port}: .*it doesn't answer in time"):
            call(storage)

        assert time.monotonic() - begun < 1.5
        proxy.heal()


def test_the_deadlines_end_before_storage_counts_as_dead() -> None:
    """A batch as heavy as one can be is given up while the watchdog still waits (ledger.py)."""
    from daemon.ledger import STORAGE_TIMEOUT  # noqa: PLC0415 - a room above

    assert objects.LONGEST + objects.PATIENCE < STORAGE_TIMEOUT


def test_bytes_that_changed_on_the_way_there_are_refused(s3: S3) -> None:
    """The signature covers their hash, so the server sees it."""
    s3.gate.spoil = lambda body: body.replace(b"good", b"evil")

    with pytest.raises(OSError, match="400 Bad Request XAmzContentSHA256Mismatch"):
        s3.storage().put([StoredObject(KEY, b"good")])

    s3.gate.heal()
    with pytest.raises(FileNotFoundError, match=rf"{PREFIX}{KEY}: there is no such object"):
        s3.storage().get(KEY)


def test_bytes_that_changed_on_the_way_back_are_seen(s3: S3) -> None:
    """By whoever knows their hash; and what ends early is seen by everybody."""
    storage = s3.storage()
    about = [("ETag", '"x"'), ("Last-Modified", "Sun, 22 Nov 2026 10:00:00 GMT")]
    s3.gate.trouble = lambda _: ("200 OK", about, b"evil")
    with pytest.raises(OSError, match="these are not the bytes"):
        storage.get(KEY, hashlib.sha256(b"good").hexdigest())

    s3.gate.trouble = lambda _: (
        "200 OK",
        [*about, ("Content-Length", "9"), ("Connection", "close")],
        b"good",
    )
    with pytest.raises(OSError, match="s3://specifications"):
        storage.get(KEY)


def test_one_batch_is_put_side_by_side_and_no_wider(s3: S3) -> None:
    """So many at once as were agreed on; none waits for another that it needn't."""
    together = threading.Barrier(objects.SIDE_BY_SIDE)
    changed, now, most = threading.Condition(), [0], [0]

    def count(_request: sigv4.Request) -> None:
        with changed:
            now[0] += 1
            most[0] = max(most[0], now[0])
            changed.notify_all()
        together.wait(10)  # breaks unless as many are there
        with changed:
            changed.wait_for(lambda: now[0] > objects.SIDE_BY_SIDE, 0.2)
            now[0] -= 1

    s3.gate.trouble = count
    batch = [StoredObject(f"mails/{number}", b"x") for number in range(2 * objects.SIDE_BY_SIDE)]

    s3.storage().put(batch)

    assert most[0] == objects.SIDE_BY_SIDE
    assert len(s3.gate.requests) == len(batch)


def test_when_one_fails_the_rest_is_not_begun(s3: S3) -> None:
    """The batch is lost, and the store has trouble enough."""
    s3.gate.trouble = lambda _: refusal("403 Forbidden", "AccessDenied")

    with pytest.raises(UnfitError):
        s3.storage().put([StoredObject(f"mails/{number}", b"x") for number in range(500)])

    assert len(s3.gate.requests) < 100


def test_what_the_settings_leave_out_the_environment_says(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """By AWS's own names, as in a container."""
    environment = {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": REGION,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    s3.storage(access_key_id=None, secret_access_key=None, region=None).check()


def test_what_the_settings_say_goes_over_the_environment(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that was meant for another program does nothing."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "another")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "true")

    s3.storage().check()


def test_a_variable_that_can_not_be_is_named(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody could mend a traceback."""
    monkeypatch.setenv("AWS_REQUEST_PAYER", "maybe")

    with pytest.raises(UnfitError, match=r"a variable AWS_… in the environment can't be: .*maybe"):
        s3.storage()


def test_an_object_that_may_not_be_deleted_is_no_success(s3: S3) -> None:
    """S3 says 200, and then what it thinks of each key."""
    refused = "<Error><Key>made/here/a</Key><Code>AccessDenied</Code><Message>no</Message></Error>"
    body = f'<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{refused}</DeleteResult>'
    s3.gate.trouble = lambda _: ("200 OK", [("Content-Type", "application/xml")], body.encode())

    with pytest.raises(UnfitError, match="AccessDenied: whose key it is may not do this"):
        s3.storage().delete(["a"])


def test_credentials_that_nobody_has_are_asked_for(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's machines may have a role; beside another store there is none to wait for."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", s3.endpoint)

    with pytest.raises(UnfitError, match=r"no credentials were found; set \[storage\] access_key_id"):
        s3.storage(access_key_id=None, secret_access_key=None).check()


def test_nothing_shows_the_secret(s3: S3) -> None:
    """Not what a traceback or a debugger prints."""
    assert SECRET not in repr(s3.bucket()) + str(s3.bucket())
    assert SECRET not in repr(vars(s3.storage()))


def test_a_large_object_is_one_request(s3: S3) -> None:
    """So it is there whole or not at all, and a kill leaves no parts of it that cost and that nobody sees."""
    s3.storage().put([StoredObject(KEY, bytes(12 << 20))])

    assert [(each.method, len(each.body)) for each in s3.gate.requests] == [("PUT", 12 << 20)]
