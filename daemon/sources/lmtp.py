"""LMTP: the conversation with a mail server that hands mail over to us (RFC 2033)."""

from __future__ import annotations

from typing import ClassVar

from daemon.sources.conversation import Conversation


class LmtpConversation(Conversation):
    """SMTP that begins with LHLO and answers a message once for each recipient.

    All of a message's answers are the same: it is one mail and one commit,
    whoever it was sent to. One answer alone, and the peer would send it
    again for the recipients that heard none.

    Nobody logs in here: who may reach the listener is the operator's choice
    (the mode of a socket, a loopback address), and the peer brings other
    people's mail.
    """

    _SOURCE: ClassVar = "lmtp"
    _BANNER: ClassVar = "LMTP"
    #: No HELO and EHLO: who took us for an SMTP server would miscount our answers (RFC 2033 4.1).
    _VERBS: ClassVar = {
        **{verb: do for verb, do in Conversation._VERBS.items() if verb not in ("HELO", "EHLO")},  # noqa: SLF001
        "LHLO": Conversation._VERBS["EHLO"],  # noqa: SLF001 - one family
    }

    @property
    def _may_start_tls(self) -> bool:
        """A UNIX socket has no wire to listen in on."""
        return super()._may_start_tls and self._peer != "unix"

    @property
    def _answers(self) -> int:
        """One for each recipient that was accepted, also when it was named twice (RFC 2033 4.2)."""
        return len(self.envelope.rcpt_tos)
