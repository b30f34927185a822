"""The desk at the door, where peers log in, and where guessing a password takes its time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from daemon.log import Event
from daemon.peers import neighbourhood
from daemon.sources.refusal import Refusal
from daemon.text import printable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from daemon.mail import Login
    from daemon.sources.auth import Credentials

    #: Who has this name and password, if anybody. It raises TimeoutError when it is asked too much at once,
    #: and whatever else for our own trouble.
    Check = Callable[[str, str], Awaitable[Login | None]]

_log = structlog.get_logger()

#: Seconds that the answer to the first, the second, and any later wrong guess of a neighbourhood waits.
DELAYS = (1.0, 2.0, 4.0)
#: Seconds without a wrong guess after which a neighbourhood begins anew.
MEMORY = 900.0
#: Neighbourhoods that are remembered; beyond, the one that has been away longest is forgotten.
NEIGHBOURHOODS = 10_000
#: Seconds a peer waits for its turn and for the check, then it is asked to come again.
TURN = 30.0
#: Characters of a wrong name that are logged.
_NAME = 64

_BUSY = "454 4.7.0 too many logins at once: please try again later"


@dataclass(slots=True)
class Neighbourhood:
    """Peers that are counted together, and how they guessed lately; times are monotonic seconds."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    wrong: int = 0
    closed_until: float = 0.0

    def pause(self) -> float:
        """Seconds until the next guess may be made."""
        return max(0.0, self.closed_until - time.monotonic())

    def failed(self) -> None:
        """Count a wrong guess."""
        now = time.monotonic()
        if now > self.closed_until + MEMORY:
            self.wrong = 0
        self.closed_until = now + DELAYS[min(self.wrong, len(DELAYS) - 1)]
        self.wrong += 1


class Desk:
    """Checks who logs in, one at a time of each neighbourhood.

    A wrong guess closes the desk to its whole neighbourhood for a while:
    neither a second connection nor a new one makes guessing faster, and one
    neighbourhood never occupies more than one of the places where passwords
    are checked. All others are served meanwhile.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._known: OrderedDict[str, Neighbourhood] = OrderedDict()

    async def login(self, peer: str, said: Credentials) -> Login | None:
        """Whom ``said`` proves ``peer`` to be; None, late, when it proves nothing.

        Raises:
            Refusal: 454, when it can't be found out now (RFC 4954 6).
        """
        neighbourhood = self._neighbourhood(peer)
        try:
            async with asyncio.timeout(TURN), neighbourhood.turn:
                await asyncio.sleep(neighbourhood.pause())
                found = await self._checked(said, peer, neighbourhood)
        except TimeoutError:
            _log.warning(Event.SMTP_TROUBLE, peer=peer, reply=_BUSY)
            raise Refusal(_BUSY) from None
        except Exception as error:  # noqa: BLE001 - whatever it is, it is our trouble and not the peer's
            # By its name alone: the text may hold what it was about, a password.
            _log.error(Event.INTERNAL_ERROR, peer=peer, where="login", error=type(error).__name__)
            raise Refusal("454 4.7.0 no login for now: please try again later") from None
        if found is None:
            await asyncio.sleep(neighbourhood.pause())
        return found

    async def _checked(self, said: Credentials, peer: str, neighbourhood: Neighbourhood) -> Login | None:
        """Ask, and count who is wrong; who hangs up before the answer was wrong too, or it cost nothing."""
        try:
            found = await self._check(said.name, said.password)
        except asyncio.CancelledError:
            neighbourhood.failed()
            raise
        if found is None:
            neighbourhood.failed()
            _log.warning(Event.LOGIN_FAILED, peer=peer, name=printable(said.name, _NAME))
        return found

    def _neighbourhood(self, peer: str) -> Neighbourhood:
        place = neighbourhood(peer)  # this machine too, unlike at the door
        found = self._known.setdefault(place, Neighbourhood())
        self._known.move_to_end(place)
        if len(self._known) > NEIGHBOURHOODS:
            self._known.popitem(last=False)
        return found
