"""The thread that tells how far the works are, about once a second."""

from __future__ import annotations

import threading
from typing import Final

from dispatch_cli.agent.client import LOST, AwayError, Client, job_path
from dispatch_cli.agent.hand import Hand
from dispatch_cli.agent.logs import Log
from dispatch_cli.agent.session import SETTLE_S, obey
from dispatch_cli.agent.work import Work
from dispatch_cli.exits import CommandFailure

PERIOD_S: Final = 1.0


class Reporter:
    """Sends the newest progress of every work; what came between is skipped, what fails is not repeated.

    The answer also says whether to stop, so a cancel arrives sooner than by the next heartbeat.
    """

    def __init__(self, hand: Hand, client: Client, log: Log) -> None:
        self._hand = hand
        self._client = client
        self._log = log
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="reporter", daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def stop(self) -> None:
        """Report no more."""
        self._stop.set()
        self._thread.join(SETTLE_S)

    def _main(self) -> None:
        while not self._stop.wait(PERIOD_S):
            try:
                for work in self._hand.works():
                    self._tell(work)
            except AwayError:
                continue  # the next round has newer numbers
            except Exception:  # noqa: BLE001  # progress is never worth a thread
                self._log.exception("a report of progress failed")

    def _tell(self, work: Work) -> None:
        news = work.take_news()
        if news is None:
            return
        body: dict[str, object] = {**work.lease.named, "fraction": news.fraction, "message": news.message}
        if news.speed is not None:
            body["speed"] = news.speed
        try:
            path = job_path(work.lease.job_id, "progress")
            answer = self._client.call("PUT", path, body=body, brief=True)
        except CommandFailure as failure:
            if failure.code in LOST:
                work.stop("lost")
            else:
                self._log.warning("progress was refused", code=failure.code, reason=str(failure.lines()))
        else:
            obey(self._hand, answer.form)
