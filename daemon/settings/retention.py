"""``[retention]``: for how long what is kept is kept."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from daemon.settings.kind import age
from daemon.settings.model import Table


class Retention(Table):
    """After which time ``specpost cleanup`` removes what; what is left out is kept for ever."""

    refused: Annotated[float | None, age()] = Field(
        default=None,
        description="Mails that were refused, ignored or rejected: what is kept of them, and that they came.",
    )
    held: Annotated[float | None, age()] = Field(
        default=None, description="Mails that are held, dropped ones and those accepted later on among them."
    )
    raw: Annotated[float | None, age()] = Field(
        default=None,
        description="Accepted mails as they came; their documents, plans and attachments stay.",
    )
    specs: Annotated[float | None, age()] = Field(
        default=None,
        description="Specifications whose sprints are all DONE or FAILED, since the last thing that happened"
        " to them: with their runs, artifacts, and all that is stored of them.",
    )
    events: Annotated[float | None, age()] = Field(
        default=None, description="Status events, but those of a specification that is still there."
    )
