"""What an object store's client says of its trouble, in words for whoever has to mend it."""

from __future__ import annotations

import errno
import re

from daemon.storage import UnfitError

_CREDENTIALS = "mend [storage] access_key_id and secret_access_key"
_REGION = "the bucket is in another region than [storage] region says"
_TOO_LARGE = "it takes no object of this size; raise its limit, or lower [smtp] max_size"
#: What S3's codes ask of an operator. With any of them no trying again will help.
_UNFIT = {
    "AccessDenied": "whose key it is may not do this; it needs s3:PutObject, s3:GetObject, s3:DeleteObject on"
    " the objects, and s3:ListBucket on the bucket",
    "AllAccessDisabled": "the bucket is closed to everybody",
    "AuthorizationHeaderMalformed": _REGION,
    "EntityTooLarge": _TOO_LARGE,
    "ExpiredToken": "the token has expired; give [storage] keys that last",
    "IllegalLocationConstraintException": _REGION,
    "InvalidAccessKeyId": f"nobody has this key; {_CREDENTIALS}",
    "InvalidBucketName": "no bucket can have this name; mend [storage] url",
    "InvalidToken": f"the token isn't valid; {_CREDENTIALS}",
    "NoSuchBucket": "there is no such bucket; make it, or mend [storage] url",
    "PermanentRedirect": _REGION,
    "SignatureDoesNotMatch": f"the secret is not this key's; {_CREDENTIALS}",
}
#: What statuses ask when they come without a code that we know, as from what is no S3.
_UNFIT_STATUS = {
    "401": f"the key isn't taken; {_CREDENTIALS}",
    "403": _UNFIT["AccessDenied"],
    "404": "there is no S3 at this place; mend [storage] endpoint",
    "405": "there is no S3 at this place; mend [storage] endpoint",
    "413": _TOO_LARGE,
}
_NOBODY = "no credentials were found; set [storage] access_key_id and secret_access_key"

_STATUS = re.compile(r"status code: (?P<status>\d{3})(?P<words>[^:\n]*)")
_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)")
#: What a variable of AWS's is refused with; our own settings were checked before.
_VARIABLE = re.compile(r"Generic Config error: ([^\n]+)")
_REGION_SAID = re.compile(r"<Region>(?P<region>[\w-]+)</Region>")
#: Where AWS's machines get their credentials, asked when none are given.
_METADATA = re.compile(r"/latest/(?:api/token|meta-data)")


def trouble(said: str, where: str, *, by_role: bool) -> OSError:
    """The error to raise for what obstore ``said``; ``by_role`` says whether a machine's own role could do.

    Nothing is repeated but statuses, codes and what the network said: an
    answer of the server may quote what was signed.
    """
    status, code = _STATUS.search(said), _CODE.search(said)
    name = code[1] or code[2] if code else "PermanentRedirect" if "redirect without LOCATION" in said else ""
    if variable := _VARIABLE.search(said):
        return UnfitError(f"{where}: a variable AWS_… in the environment can't be: {variable[1]}")
    if _METADATA.search(said):
        return (OSError if by_role else UnfitError)(f"{where}: {_NOBODY}")
    if name == "NoSuchKey":
        return FileNotFoundError(errno.ENOENT, f"{where}: there is no such object")
    number = status["status"] if status else ""
    if advice := _UNFIT.get(name) or (not name and _UNFIT_STATUS.get(number)):
        region = _REGION_SAID.search(said)
        return UnfitError(f"{where}: {name or number}: {advice}" + (f": {region[1]}" if region else ""))
    if status:
        return OSError(f"{where}: the server says {number}{status['words']} {name}".rstrip())
    return OSError(f"{where}: {_network(said)}")


def _network(said: str) -> str:
    """The innermost words of an error that the network, or TLS, made; else the first line."""
    inner = said.partition("inner:")[2]
    quoted = re.findall(r'"([^"]+)"', inner)
    if quoted:
        return f"it can't be reached: {quoted[-1]}"
    named = re.findall(r"[A-Z][A-Za-z]+", inner)
    if named:
        return f"it can't be reached: {' '.join(named[-2:])}"
    return said.partition("\n")[0][:200]
