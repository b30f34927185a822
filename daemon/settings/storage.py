"""``[storage]``: where mails and attachments lie, and how a bucket is entered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

from pydantic import Field, model_validator

from daemon.settings.kind import FLAG, Kind, UnfitError, hidden, matching
from daemon.settings.listen import loopback
from daemon.settings.model import Table

_BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
#: A name in a prefix: at home in every URL, in every store, and in the control plane's keys.
_NAME = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_.=-]{1,100}"
_S3 = re.compile(rf"s3://(?P<bucket>{_BUCKET})(?:/(?P<prefix>{_NAME}(?:/{_NAME}){{0,9}}))?/?")
#: What only a bucket has, beside ``path_style``.
_OF_A_BUCKET = ("endpoint", "region", "access_key_id", "secret_access_key")


def _read(value: object) -> str:
    """A folder as ``file:`` and its path, or ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``."""
    scheme, colon, rest = value.partition(":") if isinstance(value, str) else ("", "", "")
    if scheme == "s3":
        return _read_bucket(f"s3:{rest}")
    if colon and scheme != "file":
        raise UnfitError(f"{scheme}: is no storage that we know")
    host, _, path = rest.removeprefix("//").partition("/") if rest.startswith("//") else ("", "", rest)
    if host not in ("", "localhost") or not path or "\0" in unquote(path):
        raise UnfitError
    return f"file:/{path}" if rest.startswith("//") else f"file:{path}"


def _read_bucket(url: str) -> str:
    if not _S3.fullmatch(url):
        raise UnfitError("a bucket and a prefix are of letters, digits and - . _, a prefix also of = and /")
    return url.removesuffix("/")


def _read_endpoint(value: object) -> str:
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or " " in value:
        raise UnfitError
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise UnfitError from None
    if parts.scheme not in ("https", "http") or not host or parts.query or parts.fragment:
        raise UnfitError
    if "@" in parts.netloc:
        raise UnfitError("a name or password has no place in it")
    if parts.scheme == "http" and not loopback(host):
        raise UnfitError("everybody on the way could read the mails: https, or http on loopback")
    return value.rstrip("/")


_URL = Kind(
    'a folder, "file:PATH" (relative to state_dir, or absolute), or a bucket, "s3://BUCKET" or'
    ' "s3://BUCKET/PREFIX"',
    _read,
)
_ENDPOINT = Kind('a URL, "https://…"', _read_endpoint)
_REGION = matching(r"[A-Za-z0-9-]{1,50}", 'a region, such as "eu-central-1"')
_KEY_ID = matching(r"[\x21-\x7e]{1,200}", "text without spaces, as the store shows it")
_SECRET = hidden(_KEY_ID)


class Storage(Table):
    """Where bytes lie."""

    url: Annotated[str, _URL] = Field(
        default="file:storage",
        description="Where mails and attachments are kept: a folder, of which a relative path is under"
        " `state_dir`, or a bucket that speaks S3.",
    )
    endpoint: Annotated[str | None, _ENDPOINT] = Field(
        default=None,
        description="Where the bucket is; left out, `$AWS_ENDPOINT_URL_S3`, else AWS. Plain http on loopback"
        " only.",
    )
    region: Annotated[str | None, _REGION] = Field(
        default=None,
        description="The bucket's region; left out, `$AWS_REGION`, else us-east-1.",
    )
    path_style: Annotated[bool, FLAG] = Field(
        default=True,
        description="The bucket's name stands in the path, which every store takes; false puts it before the"
        " host's name.",
    )
    access_key_id: Annotated[str | None, _KEY_ID] = Field(
        default=None,
        description="Who we are there; left out, `$AWS_ACCESS_KEY_ID`, a web identity or the machine's role.",
    )
    secret_access_key: Annotated[str | None, _SECRET] = Field(
        default=None,
        repr=False,
        description="The secret of `access_key_id`; best given as the credential"
        " `storage__secret_access_key`.",
    )

    @property
    def path(self) -> Path | None:
        """The folder, absolute in settings that were loaded; None for a bucket."""
        return None if self._bucket else Path(unquote(self.url.removeprefix("file:")))

    @property
    def bucket(self) -> str | None:
        """The bucket's name; None for a folder."""
        return self._bucket["bucket"] if self._bucket else None

    @property
    def prefix(self) -> str:
        """What all keys in the bucket begin with: empty, or with a slash at its end."""
        prefix = self._bucket["prefix"] if self._bucket else None
        return f"{prefix}/" if prefix else ""

    @property
    def _bucket(self) -> re.Match[str] | None:
        return _S3.fullmatch(self.url)

    @model_validator(mode="after")
    def _one_kind(self) -> Storage:
        given = [key for key in _OF_A_BUCKET if getattr(self, key) is not None]
        if given and not self._bucket:
            words = f"url names a folder, and only a bucket has {', '.join(given)}"
            raise ValueError(f'{words}; set url = "s3://BUCKET", or leave that out')
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together")
        return self
