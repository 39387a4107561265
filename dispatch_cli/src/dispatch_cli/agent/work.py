"""One lease being worked on, from its run to the report that the server has accepted."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from dispatch_cli.agent.client import LOST, AwayError, Client, job_path
from dispatch_cli.agent.leases import Lease
from dispatch_cli.agent.logs import Log
from dispatch_cli.agent.runners import News, RunFailedError, Runner, WithdrawnError
from dispatch_cli.exits import CommandFailure, ExitCode

Why = Literal["cancel", "lost", "leaving"]

PATIENCE_S: Final = 3_600.0
"""How long a finished result waits for its server: well beyond the 600 s for which late reports are accepted."""

_REASONS: Final[Mapping[str, str]] = {
    "cancel": "cancelled as asked",
    "leaving": "the engine is shutting down",
}


class Work:
    """One lease in a thread of its own, because ffmpeg dies with the thread that started it.

    The order at the end: the result is written under a name that carries this attempt's token; the server confirms
    that the lease is still ours, which also renews it; the result takes its final name at once; the report follows.
    So a lost lease overwrites nothing, unless a whole ttl passes between the confirmation and a rename.
    """

    def __init__(self, lease: Lease, runner: Runner, client: Client, log: Log) -> None:
        self.lease = lease
        self.held_since = time.monotonic()
        self._runner = runner
        self._client = client
        self._log = log.bind(job=lease.job_id, attempt=lease.attempt)
        self._lock = threading.Lock()  # guards the five that follow
        self._why: Why | None = None
        self._run_cancel: Callable[[], None] | None = None
        self._reporting = False
        self._news: News | None = None
        self._told: News | None = None
        self._stopping = threading.Event()
        self._hurry = threading.Event()

    def start(self, on_end: Callable[[Work], None]) -> None:
        """Begin; ``on_end`` is called in the work's thread when nothing is left to do."""
        name = f"work-{self.lease.job_id}"
        threading.Thread(target=self._main, args=(on_end,), name=name, daemon=True).start()

    def stop(self, why: Why) -> None:
        """End the run; does not wait. A result that is already in place is still reported.

        ``cancel`` and ``leaving`` give the lease back, ``lost`` says nothing to anybody.
        """
        with self._lock:
            if self._reporting:
                if why == "leaving":
                    self._hurry.set()
                return
            first = self._why is None
            if first or why == "lost":
                self._why = why
            cancel = self._run_cancel
        self._stopping.set()
        if why == "leaving":
            self._hurry.set()
        if first and cancel is not None:
            threading.Thread(target=cancel, daemon=True).start()

    def take_news(self) -> News | None:
        """The newest progress, once; None if there is nothing new."""
        with self._lock:
            if self._reporting or self._news is self._told:
                return None
            self._told = self._news
            return self._news

    # ----- the work's own thread

    def _main(self, on_end: Callable[[Work], None]) -> None:
        try:
            report = self._perform()
            if report is not None:
                self._deliver(report)
        except Exception:  # noqa: BLE001  # the agent has other jobs
            self._log.exception("the agent failed at this job; its lease will run out")
        finally:
            on_end(self)

    def _perform(self) -> dict[str, Any] | None:
        """The report to make, or None if there is nobody to make it to."""
        started = time.monotonic()
        failure = RunFailedError("engine", "withdrawn for no reason")
        try:
            result = self._run()
            self._settle()
            return self._report("completed", result=_finite(result), usage=_usage(started))
        except WithdrawnError:
            pass
        except RunFailedError as error:
            failure = error
        except Exception as error:  # noqa: BLE001  # runners may be anybody's
            self._log.exception("the runner failed")
            failure = RunFailedError("engine", f"the engine's runner failed: {error}")
        why = self._settle()
        return self._failed(failure, started) if why is None else self._stopped(why)

    def _run(self) -> Mapping[str, object]:
        run = self._runner.prepare(self.lease, self._tell, self._confirm)
        with self._lock:
            self._run_cancel = run.cancel
            stopped = self._why is not None
        if stopped:
            raise WithdrawnError
        return run.run()

    def _tell(self, news: News) -> None:
        with self._lock:
            self._news = news

    def _confirm(self) -> None:
        """Ask whether the result may appear, for as long as that takes. Raises WithdrawnError if not."""
        path = job_path(self.lease.job_id, "renew")
        try:
            answer = self._client.insist(
                "POST", path, body=self.lease.named, hurry=self._stopping, patience_s=PATIENCE_S
            )
        except AwayError:
            self._log.warning("nobody could confirm the lease; the result is discarded")
            self._withdraw("lost")
        except CommandFailure as failure:
            self._log.warning("the lease is gone; the result is discarded", reason=failure.message)
            self._withdraw("lost")
        else:
            if answer.form["lost"] or answer.form["cancel"]:
                self._withdraw("lost" if answer.form["lost"] else "cancel")

    def _withdraw(self, why: Why) -> None:
        with self._lock:
            self._why = self._why or why
        raise WithdrawnError

    def _settle(self) -> Why | None:
        """From here on only the report is left; why the run was stopped, if it was."""
        with self._lock:
            self._reporting = True
            return self._why

    def _stopped(self, why: Why) -> dict[str, Any] | None:
        """The lease goes back, unless it is lost."""
        self._log.info("stopped", why=why)
        return None if why == "lost" else self._report("given_back", reason=_REASONS[why])

    def _failed(self, failure: RunFailedError, started: float) -> dict[str, Any]:
        self._log.warning("failed", failure_class=failure.failure_class, reason=failure.message)
        error = {
            "failure_class": failure.failure_class,
            "message": failure.message,
            "detail": failure.detail,
            "retryable": failure.retryable,
        }
        return self._report("failed", error=error, usage=_usage(started))

    def _report(self, status: str, **fields: object) -> dict[str, Any]:
        return {**self.lease.named, "status": status, **fields}

    def _deliver(self, report: dict[str, Any]) -> None:
        """Repeat the report until it is accepted or the lease is known to be lost."""
        path = job_path(self.lease.job_id, "status")
        try:
            self._client.insist("PUT", path, body=report, hurry=self._hurry, patience_s=PATIENCE_S)
        except AwayError as away:
            self._log.error("the report could not be delivered", status=report["status"], reason=str(away))
        except CommandFailure as failure:
            if failure.exit_code is ExitCode.INVALID and set(report) & {"result", "usage"}:
                self._log.warning("the report was refused, repeating it bare", reason=str(failure.lines()))
                self._deliver(
                    {name: each for name, each in report.items() if name not in {"result", "usage"}}
                )
            elif failure.code in LOST:
                self._log.warning("reported too late: another attempt counts", status=report["status"])
            else:
                self._log.error("the report was refused", status=report["status"], reason=failure.message)
        else:
            self._log.info("reported", status=report["status"])


def _usage(started: float) -> dict[str, object]:
    return {"wall_s": round(time.monotonic() - started, 3)}


def _finite(result: Mapping[str, object]) -> dict[str, object]:
    """Without what JSON cannot say."""
    return {
        name: value
        for name, value in result.items()
        if not (isinstance(value, float) and not math.isfinite(value))
    }
