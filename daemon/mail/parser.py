"""mail-parser, and of all that it can do what somebody asks for. The only importer of mailparser."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

from mailparser import MailParser

if TYPE_CHECKING:
    from email.message import Message

#: What mail-parser may find a defect in: octets beyond ASCII, encoded words (RFC 2047), and parameters in
#: pieces or with a charset (RFC 2231).
_ODD = re.compile(r"[^\x00-\x7f]|=\?|\*")

# mail-parser logs pieces of the mail as it goes; what matters of it is in its defects.
logging.getLogger("mailparser").setLevel(logging.CRITICAL + 1)


class Parser(MailParser):  # type: ignore[misc]  # the library has no types
    """A message as mail-parser reads it: its From, its date, its defects.

    Left alone, mail-parser does all it can do at once: it looks for bodies
    and attachments, which were taken out before, and puts everything into
    two dictionaries, which nobody reads. That took longer than parsing.
    ``_reset`` and ``_make_mail`` are its own; they are those of 4.8.
    """

    def parse(self) -> None:
        """Read the headers, and the parts where there may be a defect in them."""
        if all(map(_is_plain, self.message.walk())):
            self._reset()
        else:
            super().parse()

    def _make_mail(self, *_: object, **__: object) -> dict[str, Any]:
        return {}


def _is_plain(part: Message) -> bool:
    """Whether there is no defect in a part nor in what its headers say about it."""
    about = (value for name, value in part.raw_items() if name.lower().startswith("content-"))
    return not part.defects and not any(map(_ODD.search, about))
