"""URLs of objects: whom they let in, to what, and how long; and that the server which says so is strict."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
import urllib3
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from daemon.storage import StoredObject
from tests import sigv4
from tests.fix_s3 import BUCKET, KEY_ID, PREFIX, REGION, SECRET

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fix_s3 import S3

KEY = "mails/ab/x/raw.eml"


def read(url: str) -> bytes:
    """What is at a URL, asked for without any credentials."""
    with urlopen(url) as response:  # noqa: S310 - our own URL
        content: bytes = response.read()
        return content


def refused(url: str) -> str:
    """The code with which a URL is refused."""
    with pytest.raises(HTTPError) as raised:
        read(url)
    with closing(raised.value):
        return raised.value.read().decode().partition("<Code>")[2].partition("</Code>")[0]


def test_a_signed_url_opens_this_object_and_no_other(s3: S3) -> None:
    """Anybody can read who has it, and make nothing else of it."""
    storage = s3.storage()
    storage.put([StoredObject("mails/ab/x/1-aa", b"document"), StoredObject("mails/ab/x/1-bb", b"other")])

    url = storage.sign("mails/ab/x/1-aa", 60)

    assert read(url) == b"document"
    assert refused(url.replace("1-aa", "1-bb")) == "SignatureDoesNotMatch"
    assert refused(url.replace("Expires=60", "Expires=6000")) == "SignatureDoesNotMatch"
    assert refused(url.partition("?")[0]) == "AccessDenied"
    assert urllib3.request("DELETE", url).status == 403
    assert SECRET not in url


def test_a_signed_url_ends(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it was said to."""
    storage = s3.storage()
    storage.put([StoredObject(KEY, b"x")])
    url = storage.sign(KEY, 3600)

    def later(**ago: float) -> Callable[[], datetime]:
        return lambda: datetime.now(UTC) + timedelta(**ago)

    monkeypatch.setattr(sigv4, "now", later(minutes=59))
    assert read(url) == b"x"
    monkeypatch.setattr(sigv4, "now", later(minutes=61))
    assert refused(url) == "AccessDenied"


@pytest.mark.parametrize(
    ("path_style", "place"),
    [(True, f"s3.{REGION}.amazonaws.com/{BUCKET}/"), (False, f"{BUCKET}.s3.{REGION}.amazonaws.com/")],
)
def test_without_an_endpoint_it_is_aws(s3: S3, *, path_style: bool, place: str) -> None:
    """In the bucket's region, by TLS."""
    url = s3.storage(endpoint=None, path_style=path_style).sign(KEY, 60)

    assert url.startswith(f"https://{place}{PREFIX}{KEY}?")


def test_a_bucket_may_stand_in_the_host_s_name(s3: S3) -> None:
    """Where the store wants it so; what is signed is for that host."""
    storage = s3.storage(endpoint=f"http://localhost:{s3.port}", path_style=False)

    url = storage.sign(KEY, 60)

    host, _, target = url.removeprefix("http://").partition("/")
    assert host == f"{BUCKET}.localhost:{s3.port}"
    assert target.startswith(PREFIX + KEY)
    answer = urllib3.request("GET", f"{s3.endpoint}/{target}", headers={"Host": host})
    assert b"SignatureDoesNotMatch" not in answer.data
    assert b"AccessDenied" not in answer.data


def signed(s3: S3, secret: str, auth: type[Any], method: str = "GET", **more: Any) -> AWSRequest:
    """A request as botocore signs it."""
    request = AWSRequest(method, f"{s3.endpoint}/{BUCKET}?list-type=2&prefix=a%20b", **more)
    auth(Credentials(KEY_ID, secret), "s3", REGION).add_auth(request)
    return request


@pytest.mark.parametrize("auth", [S3SigV4Auth, S3SigV4QueryAuth])
@pytest.mark.parametrize(("secret", "status"), [(SECRET, 200), ("another", 403)])
def test_the_gate_knows_amazon_s_own_signatures(s3: S3, auth: type[Any], secret: str, status: int) -> None:
    """Else what it takes from us would prove nothing."""
    request = signed(s3, secret, auth).prepare()

    answer = urllib3.request("GET", request.url, headers=dict(request.headers))

    assert answer.status == status
