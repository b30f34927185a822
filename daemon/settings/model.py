"""What every table of the configuration is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Table(BaseModel):
    """A table of the configuration; frozen, and closed to keys it doesn't know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
