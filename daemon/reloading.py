"""Has the service go by a changed configuration, as far as that can be done while it runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Thread
from typing import TYPE_CHECKING

import structlog

from daemon import log as logs
from daemon import settings as configuration
from daemon import wiring
from daemon.changes import changed, merged
from daemon.child import NotStarted
from daemon.log import Event
from daemon.proving import Prover
from daemon.readers import Readers
from daemon.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from daemon.court import Court
    from daemon.intake import Intake
    from daemon.rates import Rates
    from daemon.resolver import Resolver
    from daemon.settings import Settings

log = structlog.get_logger()


class Bench:
    """Who reads and judges by the settings in effect, and by those before as long as mails need them.

    Only ``reload`` changes what is in effect, one after the other, in a
    thread that is not the caller's.
    """

    def __init__(self, settings: Settings, load: Callable[[], Settings], resolver: Resolver) -> None:
        self._settings, self._load, self._resolver = settings, load, resolver
        self.readers, self.prover = self._seated(settings)
        self._formers: list[tuple[Court, Thread]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reload")

    def reload(self, intake: Intake, rates: Rates) -> Future[Settings | None]:
        """Read the configuration anew; the settings in effect from now on, None when they are as they were.

        One that can't be used changes nothing, and the log says why.
        """
        return self._thread.submit(self._reload, intake, rates)

    def adjourn(self) -> None:
        """End all readers once they have read what they hold; mails that still wait are Busy."""
        self._thread.shutdown()
        for former, _ in self._formers:
            former.readers.close()
        self.readers.close()

    def close(self) -> None:
        """End once the mails that wait for the DNS are deferred; the resolver is closed first."""
        for former, dismissing in self._formers:
            former.prover.close()
            dismissing.join()
        self.prover.close()

    def _reload(self, intake: Intake, rates: Rates) -> Settings | None:
        try:
            new = self._load()
            settings = merged(self._settings, new)
            if later := changed(settings, new):
                log.warning(Event.RESTART_NEEDED, keys=later)
            if not changed(self._settings, settings):
                return None
            readers, prover = self._seated(settings)
            readers.start()
        except (SettingsError, NotStarted) as error:
            log.error(Event.CONFIGURATION_BROKEN, reason=str(error))  # noqa: TRY400 - expected, and no traceback
            return None
        former = intake.go_by(readers, prover)
        dismissing = Thread(target=_dismiss, args=[former], name="dismiss")
        self._formers = [each for each in self._formers if each[1].is_alive()] + [(former, dismissing)]
        dismissing.start()
        self._settings, self.readers, self.prover = settings, readers, prover
        rates.limit = settings.smtp.sender_rate
        logs.configure(settings.log.format, settings.log.level)
        log.info(Event.CONFIGURATION, **configuration.describe(settings))
        return settings

    def _seated(self, settings: Settings) -> tuple[Readers, Prover]:
        defaults = wiring.defaults(settings)
        readers = Readers(defaults, wiring.reader_limits(settings))
        return readers, Prover(readers, defaults, self._resolver, settings.dns.timeout)


def _dismiss(former: Court) -> None:
    """End those whom no mail needs any more."""
    former.wait_until_empty()
    former.readers.close()
    former.prover.close()
