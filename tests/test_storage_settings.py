"""``[storage]``: folders and buckets, and what is said against those that can't be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from daemon import wiring
from daemon.settings import describe, load
from daemon.storage.objects import Bucket, ObjectStorage
from tests.fix_settings import is_told, refusal

if TYPE_CHECKING:
    from tests.fix_settings import Credentials, Toml

pytestmark = pytest.mark.usefixtures("no_standard_file")

SECRET = "wJalrXUtnFEMI/K7MDENG"
SUPABASE = f"""
[storage]
url = "s3://specifications/in/mails"
endpoint = "https://abc.storage.supabase.co/storage/v1/s3"
region = "eu-west-3"
access_key_id = "AKIDEXAMPLE"
secret_access_key = "{SECRET}"
"""


def bucket(toml: Toml, text: str) -> Bucket:
    """What a configuration makes of its bucket."""
    storage = wiring.storage(load(toml(text), {}))
    assert isinstance(storage, ObjectStorage)
    return storage._bucket


def test_a_bucket_is_entered_as_it_was_said(toml: Toml) -> None:
    """Every key, and no secret where it is shown."""
    settings = load(toml(SUPABASE), {})

    assert bucket(toml, SUPABASE) == Bucket(
        name="specifications",
        prefix="in/mails/",
        endpoint="https://abc.storage.supabase.co/storage/v1/s3",
        region="eu-west-3",
        path_style=True,
        access_key_id="AKIDEXAMPLE",
        secret_access_key=SECRET,
    )
    assert settings.storage.path is None
    assert SECRET not in repr(settings) + repr(describe(settings))
    assert describe(settings)["storage"]["secret_access_key"] == "***"


@pytest.mark.parametrize(
    ("url", "name", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://my.bucket_1/a", "my.bucket_1", "a/"),
        ("s3://bucket/a-b/c=d/", "bucket", "a-b/c=d/"),
    ],
)
def test_a_prefix_is_a_folder_in_the_bucket(toml: Toml, url: str, name: str, prefix: str) -> None:
    """With a slash behind it or without."""
    found = bucket(toml, f'[storage]\nurl = "{url}"')

    assert (found.name, found.prefix) == (name, prefix)


def test_the_secret_is_best_a_credential(credentials: Credentials, toml: Toml) -> None:
    """As every other."""
    environ = credentials(storage__secret_access_key=f"{SECRET}\n", storage__access_key_id="AKIDEXAMPLE")

    settings = load(toml('[storage]\nurl = "s3://bucket"'), environ)

    assert settings.storage.secret_access_key == SECRET


def test_without_keys_it_is_left_to_the_environment(toml: Toml) -> None:
    """A container or a machine may have its own."""
    assert bucket(toml, '[storage]\nurl = "s3://bucket"') == Bucket(name="bucket")


def test_a_folder_is_what_it_was(toml: Toml) -> None:
    """Relative to the state directory, whatever else is in the table."""
    settings = load(toml('state_dir = "/state"\n[storage]\nurl = "file:mails"\npath_style = false'), {})

    assert settings.storage.path == Path("/state/mails")
    assert settings.storage.bucket is None
    assert not settings.storage.path_style


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('url = "gs://bucket"', 2, '(gs: is no storage that we know); allowed: a folder, "file:PATH"'),
        ('url = "s3:bucket"', 2, 'or a bucket, "s3://BUCKET"'),
        ('url = "s3://"', 2, "(a bucket and a prefix are of letters, digits"),
        ('url = "s3://bucket/../x"', 2, "(a bucket and a prefix are of letters, digits"),
        ('url = "s3://bucket/a//b"', 2, "(a bucket and a prefix are of letters, digits"),
        ('url = "s3://bucket/a b"', 2, "(a bucket and a prefix are of letters, digits"),
        ('url = "s3://key:secret@bucket/x"', 2, "(a bucket and a prefix are of letters, digits"),
        ('url = "s3://bucket?region=x"', 2, "(a bucket and a prefix are of letters, digits"),
        (
            'url = "s3://b"\nendpoint = "http://minio.example.org"',
            3,
            "read the mails: https, or http",
        ),
        ('url = "s3://b"\nendpoint = "https://a:b@minio.example.org"', 3, "a name or password has no place"),
        ('url = "s3://b"\nendpoint = "minio.example.org:9000"', 3, 'allowed: a URL, "https://…"'),
        ('url = "s3://b"\nendpoint = "https://minio.example.org/?x=y"', 3, 'allowed: a URL, "https://…"'),
        ('url = "s3://b"\nregion = "eu central"', 3, 'allowed: a region, such as "eu-central-1"'),
        ('url = "s3://b"\npath_style = "maybe"', 3, "allowed: true or false"),
        ('url = "s3://b"\naccess_key_id = "AKID"', 1, "access_key_id and secret_access_key go together"),
        (
            'endpoint = "https://minio.example.org"',
            1,
            "url names a folder, and only a bucket has endpoint",
        ),
        ('url = "s3://b"\nregoin = "x"', 3, "storage.regoin: unknown key; did you mean storage.region?"),
    ],
)
def test_what_can_not_be_is_said(toml: Toml, text: str, line: int, says: str) -> None:
    """Line, key and what is allowed."""
    assert is_told(toml(f"[storage]\n{text}"), line, says)


def test_a_secret_that_can_not_be_is_not_shown(toml: Toml) -> None:
    """What is wrong with it is said without it."""
    told = refusal(toml('[storage]\nurl = "s3://b"\naccess_key_id = "a"\nsecret_access_key = "two words"'))

    assert "storage.secret_access_key: given a value (not shown, it is secret)" in told
    assert "two words" not in told
    for text in ("url = 's3://key:hunter2@bucket'", "endpoint = 'https://key:hunter2@minio.example.org'"):
        assert "hunter2" not in refusal(toml(f"[storage]\n{text}"))


def test_http_is_fine_on_this_machine(toml: Toml) -> None:
    """As a MinIO beside the daemon."""
    for host in ("127.0.0.1:9000", "localhost:9000", "[::1]:9000"):
        text = f'[storage]\nurl = "s3://b"\nendpoint = "http://{host}/"'
        assert bucket(toml, text).endpoint == f"http://{host}"
