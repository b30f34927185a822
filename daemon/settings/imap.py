"""``[imap.NAME]``: a mailbox that is watched, and where its mails go.

The name of an account is in the database for ever: it says of each mail that
was taken in where it lay, so a mailbox under another name is met anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator, model_validator

from daemon.settings.kind import GIB, KIB, MIB, UnfitError, choice, count, duration, hidden, matching, size
from daemon.settings.listen import loopback
from daemon.settings.model import Table
from daemon.settings.oauth import OAuth  # noqa: TC001 - pydantic reads the annotations
from daemon.settings.senders import RULE
from daemon.settings.smtp import HOSTNAME

if TYPE_CHECKING:
    from pydantic import ValidationInfo

ACCOUNT = replace(RULE, allowed="an account's name")

#: Where each kind of TLS is usually spoken.
PORTS = {"implicit": 993, "starttls": 143, "none": 143}

_LEVEL = r"[^\x00-\x1f\x7f*%/]+"
_NAME = 'the name of a folder, with "/" between its levels, such as "Specs/Done"'
_FOLDER = matching(rf"{_LEVEL}(?:/{_LEVEL})*", _NAME)
_TARGET = matching(rf"(?:{_LEVEL}(?:/{_LEVEL})*)?", f'{_NAME}, or "" to leave them where they are')
_TEXT = matching(r"[^\x00-\x1f\x7f]{1,1000}", "text without control characters")
_PASSWORD = hidden(_TEXT)


class Imap(Table):
    """One mailbox: how it is entered, which of its mails are ours, and where they go."""

    host: Annotated[str, HOSTNAME] = Field(description="The mail server.")
    tls: Annotated[Literal["implicit", "starttls", "none"], choice("implicit", "starttls", "none")] = Field(
        default="implicit", description="How the connection is protected; `none` on loopback only."
    )
    port: Annotated[int, count(1, 65535)] = Field(
        default=None,
        validate_default=True,
        description="Its port.",
        json_schema_extra={"left_out": "993, or 143 where `tls` is not `implicit`"},
    )
    user: Annotated[str, _TEXT] = Field(
        description="Who logs in; if it is an address, it is one of our own for the proof `dkim`."
    )
    password: Annotated[str | None, _PASSWORD] = Field(
        default=None,
        repr=False,
        description="The password; best given as the credential `imap__NAME__password`.",
    )
    oauth: OAuth | None = None
    folder: Annotated[str, _FOLDER] = Field(default="INBOX", description="The folder that is watched.")
    existing: Annotated[Literal["skip", "take"], choice("skip", "take")] = Field(
        default="skip", description="What becomes of mails that are in it at the first contact."
    )
    processed: Annotated[str, _TARGET] = Field(
        default="Processed",
        description="Where accepted mails go; it is made if it is missing, as all of these.",
    )
    rejected: Annotated[str, _TARGET] = Field(
        default="Rejected", description="Where mails go in which something must be mended."
    )
    held: Annotated[str, _TARGET] = Field(
        default="Held", description="Where mails go that could not be read, or are larger than `max_size`."
    )
    refused: Annotated[str, _TARGET] = Field(
        default="",
        description="Where mails go whose sender is not entitled, or not proven to be who they say.",
    )
    ignored: Annotated[str, _TARGET] = Field(
        default="", description="Where bounces, automatic replies and loops go."
    )
    authserv_id: Annotated[str | None, HOSTNAME] = Field(
        default=None,
        description="The server whose Authentication-Results are believed in this mailbox, where one stands"
        " topmost; as `smtp.authserv_id`.",
    )
    idle: Annotated[float, duration(1, 1740)] = Field(
        default=240.0, description="After which IDLE is issued anew (RFC 2177 asks for 29 minutes at most)."
    )
    poll: Annotated[float, duration(1, 3600)] = Field(
        default=120.0, description="After which the folder is looked at, whatever the server says."
    )
    max_size: Annotated[int, size(KIB, GIB)] = Field(
        default=25 * MIB, description="The largest mail that is fetched; a larger one goes to `held` unread."
    )

    @field_validator("port", mode="before")
    @classmethod
    def _usual_for_tls(cls, port: object, info: ValidationInfo) -> object:
        return PORTS[info.data.get("tls", "implicit")] if port is None else port  # missing: refused itself

    @field_validator("tls")
    @classmethod
    def _protected_beyond_loopback(cls, tls: str, info: ValidationInfo) -> str:
        host = info.data.get("host")  # missing when it was itself refused
        if tls == "none" and host and not loopback(host):
            raise UnfitError(f"{host} is not on loopback, and everybody on the way could read the password")
        return tls

    @model_validator(mode="after")
    def _entered_in_one_way(self) -> Imap:
        if self.password is None and self.oauth is None:
            raise ValueError(
                "neither password nor oauth: give a password (or the credential imap__NAME__password), or"
                ' oauth = { provider = "google", client_id = "…" }'
            )
        if self.password is not None and self.oauth is not None:
            raise ValueError("both password and oauth: take one out")
        return self
