"""Objects in a bucket, by S3's API. The only door to obstore."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from daemon.storage import Listed, intact
from daemon.storage.trouble import trouble

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from obstore import ListStream, ObjectMeta
    from obstore.store import ClientConfig, RetryConfig, S3Config

    from daemon.storage import StoredObject

T = TypeVar("T")

#: Seconds for a connection: a host that is there answers within a second, and one that is gone never does.
CONNECT = 3.0
#: Seconds for an answer, beside what its bytes take: so long the senders wait before they are told 451.
PATIENCE = 10.0
#: Bytes a second, the least that counts as alive: a mail of 25 MiB, which becomes 45, fits into ``LONGEST``.
SLOWEST = 1 << 20
#: Seconds for all objects of a batch, whatever they weigh: ends well under STORAGE_TIMEOUT of ledger.py.
LONGEST = 45.0
#: A stumble is tried again at once, and no more than that: who brings a mail tries again by himself.
RETRIES, RETRY_WITHIN = 2, 5.0
#: Requests of one batch under way at a time: most of each is waiting.
SIDE_BY_SIDE = 16
#: Keys in a page of a listing, and in one request to delete: S3 takes and gives no more.
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Bucket:
    """Which bucket, where it is, and who we are there; what is None the environment says, as AWS has it.

    ``prefix`` is empty, or ends with a slash.
    """

    name: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    path_style: bool = True
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        at = f" at {self.endpoint}" if self.endpoint else ""
        return f"s3://{self.name}/{self.prefix}".removesuffix("/") + at


class ObjectStorage:
    """Objects in an S3 bucket; a put is durable when the server says so.

    Each upload is signed together with the hash of its bytes, so the server
    refuses what was changed on the way. No other checksum is sent, since
    some servers refuse those they don't know.

    Every call has a deadline of its own, which is kept by a loop of its own:
    obstore's blocking calls can't be given up.
    """

    def __init__(self, bucket: Bucket) -> None:
        self.prefix = bucket.prefix
        self._bucket = bucket
        with self._worded():
            self._store = _open(bucket)

    def check(self) -> None:
        """Ask for what any of the other calls needs; UnfitError when only the operator can help."""
        next(self.list(), None)

    def put(self, objects: Iterable[StoredObject]) -> None:
        """Make all of ``objects`` durable, side by side, replacing what lies under their keys.

        Raises:
            OSError: not all of them are; those that are harm nobody.
        """
        last = {each.key: each.content for each in objects}
        size = sum(map(len, last.values()))

        async def put_all() -> None:
            gate = asyncio.Semaphore(SIDE_BY_SIDE)
            await asyncio.gather(*(self._put(gate, key, content) for key, content in last.items()))

        self._do(put_all, min(PATIENCE + size / SLOWEST, LONGEST))

    def get(self, key: str, sha256: str | None = None) -> bytes:
        """The bytes under ``key``, whose hash is ``sha256`` if that is given.

        Raises:
            FileNotFoundError: there are none.
            OSError: there are others, or nobody knows now.
        """

        async def get() -> bytes:
            async with asyncio.timeout(PATIENCE):
                result = await obstore.get_async(self._store, self._path(key))
            async with asyncio.timeout(PATIENCE + result.meta["size"] / SLOWEST):
                return bytes(await result.bytes_async())

        where = f"{self._bucket}: {self._path(key)}"
        return intact(self._do(get, LONGEST, where), where, sha256)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove the objects under ``keys``; what isn't there is no error."""
        paths = map(self._path, keys)
        while some := list(islice(paths, PAGE)):
            self._do(partial(obstore.delete_async, self._store, some), LONGEST)

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """What lies under keys that begin with ``prefix``, in no order, a page at a time."""
        folder = self._path(prefix).rpartition("/")[0]
        pages: Any = obstore.list(self._store, prefix=folder or None, chunk_size=PAGE)
        while page := self._do(lambda: _next(pages), PATIENCE):
            for each in page:
                key = each["path"].removeprefix(self.prefix)
                if key.startswith(prefix):
                    yield Listed(key, each["size"], each["last_modified"])

    def sign(self, key: str, seconds: int) -> str:
        """A URL by which anybody can read the object for so long; at most seven days."""
        lasts = timedelta(seconds=seconds)
        return self._do(lambda: obstore.sign_async(self._store, "GET", self._path(key), lasts), PATIENCE)

    def close(self) -> None:
        """Nothing is held that doesn't end by itself."""

    async def _put(self, gate: asyncio.Semaphore, key: str, content: bytes) -> None:
        async with gate:
            await obstore.put_async(self._store, self._path(key), content, use_multipart=False)

    def _path(self, key: str) -> str:
        return f"{self.prefix}{key}"

    def _do(self, work: Callable[[], Awaitable[T]], seconds: float, where: str | None = None) -> T:
        """The result of ``work``, which has so long; ``where`` names what it is about, if not the bucket."""

        async def bounded() -> T:
            async with asyncio.timeout(seconds):
                return await work()

        with self._worded(where):
            return asyncio.run(bounded())

    @contextmanager
    def _worded(self, where: str | None = None) -> Iterator[None]:
        """An error of obstore's in words for an operator; its own may quote what was signed."""
        where = where or str(self._bucket)
        try:
            yield
        except TimeoutError:
            raise TimeoutError(f"{where}: it doesn't answer in time") from None
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise trouble(str(error), where, by_role=self._bucket.endpoint is None) from None


async def _next(pages: ListStream[Any]) -> Sequence[ObjectMeta]:
    """The next page; empty behind the last."""
    try:
        return await anext(pages)
    except StopAsyncIteration:  # with a default, anext trips over obstore's iterator
        return ()


def _open(bucket: Bucket) -> S3Store:
    config: S3Config = {
        "virtual_hosted_style_request": not bucket.path_style,
        "unsigned_payload": False,  # the hash in the signature is the checksum of what is sent
    }
    given = {
        "aws_endpoint_url_s3": _endpoint(bucket),  # goes over AWS_ENDPOINT_URL_S3
        "region": bucket.region,
        "access_key_id": bucket.access_key_id,
        "secret_access_key": bucket.secret_access_key,
    }
    config |= {key: value for key, value in given.items() if value is not None}  # type: ignore[typeddict-item]
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECT),
        "timeout": timedelta(seconds=LONGEST),
        "allow_http": (bucket.endpoint or "").startswith("http:"),  # settings allow it on loopback alone
    }
    retries: RetryConfig = {
        "max_retries": RETRIES,
        "retry_timeout": timedelta(seconds=RETRY_WITHIN),
        "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=1), "base": 2},
    }
    return S3Store(bucket.name, config=config, client_options=client, retry_config=retries)


def _endpoint(bucket: Bucket) -> str | None:
    """What obstore calls the endpoint: with the bucket in the host's name unless that stands in the path."""
    if bucket.endpoint is None or bucket.path_style:
        return bucket.endpoint
    scheme, _, rest = bucket.endpoint.partition("://")
    return f"{scheme}://{bucket.name}.{rest}"
