"""The older engines' habits: no token, always "idle", one report sent once. No job is lost or doubled through them."""

import pytest
from falcon.testing import TestClient

from dispatch_core import TRANSCODE, Context, Dispatcher, JobState, ManualClock, Outcome, SeededIds
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.legacy import fleet as adapter
from dispatch_http.legacy.kind import DISTCONV
from tests.http.fleet import Fleet, problem
from tests.http.legacy.words import Older

TTL_S = 30.0
"""The lease's usual length."""


def outcomes(dispatcher: Dispatcher, job_id: str) -> list[Outcome | None]:
    """How each attempt of a job ended."""
    return [attempt.outcome for attempt in dispatcher.attempts(job_id)]


def working(older: Older, **fields: object) -> str:
    """A job an engine works on."""
    job_id = str(older.submit(**fields)["job_id"])
    older.start()
    assert (older.assign() or {})["job_id"] == job_id
    return job_id


def past_the_start(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Let the pause pass in which a server that has just started ends no lease."""
    dispatcher.tick()
    clock.advance(TTL_S + 1)
    dispatcher.tick()


def test_idle_does_not_mean_free(older: Older, dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Heartbeats of an engine at work say idle; they renew its lease as long as they come, and no longer."""
    past_the_start(dispatcher, clock)
    job_id = working(older)
    for _ in range(30):
        clock.advance(5)
        older.beat()
        dispatcher.tick()
    assert older.job(job_id)["status"] == "assigned"
    assert outcomes(dispatcher, job_id) == [None]
    clock.advance(TTL_S + 1)
    dispatcher.tick()
    assert older.job(job_id)["status"] == "pending"
    assert outcomes(dispatcher, job_id) == [Outcome.EXPIRED]


def test_a_restart_ends_what_the_process_held(older: Older, dispatcher: Dispatcher) -> None:
    """At once, not after the lease; the job it gets again is a new attempt."""
    job_id = working(older)
    older.start()
    assert older.job(job_id)["status"] == "pending"
    assert (older.assign() or {})["job_id"] == job_id
    assert outcomes(dispatcher, job_id) == [Outcome.EXPIRED, None]


def test_who_asks_for_work_does_not_work(older: Older, dispatcher: Dispatcher) -> None:
    """The job it held was lost with a crash, an answer or a report: it is given out anew, and counted."""
    job_id = working(older)
    shape = older.assign()
    assert shape
    assert (shape["job_id"], shape["retries"]) == (job_id, 1)
    assert outcomes(dispatcher, job_id) == [Outcome.EXPIRED, None]


def test_a_job_that_kills_its_engines_comes_to_an_end(
    older: Older, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """max_retries 2 is three attempts, however they end."""
    job_id = working(older, max_retries=2)
    for _ in range(2):
        older.start()
        assert (older.assign() or {})["job_id"] == job_id
    older.start()
    assert older.assign() is None
    clock.advance(dispatcher.settings.late_report_s + 1)
    dispatcher.tick()
    assert older.job(job_id)["status"] == "failed_permanently"
    assert outcomes(dispatcher, job_id) == [Outcome.EXPIRED] * 3


def test_a_lost_report_costs_an_attempt_not_the_job(older: Older, dispatcher: Dispatcher) -> None:
    """The engine never repeats it; its next question says that the job is not being worked on."""
    job_id = working(older)
    other = older.submit(priority=5)["job_id"]
    assert (older.assign() or {})["job_id"] == other
    assert older.job(job_id)["status"] == "pending"
    older.complete(other)
    assert (older.assign() or {})["job_id"] == job_id
    older.complete(job_id)
    assert outcomes(dispatcher, job_id) == [Outcome.EXPIRED, Outcome.COMPLETED]


@pytest.mark.parametrize(("verb", "other"), [("complete", "fail"), ("fail", "complete")])
def test_a_repeated_report_changes_nothing(
    older: Older, dispatcher: Dispatcher, verb: str, other: str
) -> None:
    """It is 2xx with the job as it is; so is another report on what has ended."""
    job_id = working(older, max_retries=0)
    first = older.told(older.post(f"/jobs/{job_id}/{verb}", {}))
    version = dispatcher.job(job_id).version
    assert older.told(older.post(f"/jobs/{job_id}/{verb}", {})) == first
    assert older.told(older.post(f"/jobs/{job_id}/{other}", {})) == first
    assert dispatcher.job(job_id).version == version


def test_a_report_after_the_lease_still_counts(
    older: Older, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """The engine was cut off, not dead: nobody has begun anew, so its work is not thrown away."""
    past_the_start(dispatcher, clock)
    job_id = working(older)
    clock.advance(TTL_S + 1)
    dispatcher.tick()
    assert older.complete(job_id)["status"] == "completed"
    assert len(dispatcher.attempts(job_id)) == 1


def test_a_report_of_an_engine_that_lost_the_job_counts_for_the_one_that_has_it(
    older: Older, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """Reports name nobody, so they cannot be fenced: the first one ends the job, once; the other is told so."""
    past_the_start(dispatcher, clock)
    job_id = working(older)
    clock.advance(TTL_S + 1)
    dispatcher.tick()
    older.start("engine-2")
    assert (older.assign("engine-2") or {})["job_id"] == job_id
    first = older.complete(job_id, "http://example.com/first.mp4")
    second = older.complete(job_id, "http://example.com/second.mp4")
    assert second == first
    assert first["output_url"] == "http://example.com/first.mp4"
    assert outcomes(dispatcher, job_id) == [Outcome.EXPIRED, Outcome.COMPLETED]


def test_a_late_failure_of_a_former_engine_costs_at_most_an_attempt(
    older: Older, dispatcher: Dispatcher
) -> None:
    """It ends the attempt of the present engine; that engine's own report then finds the job waiting."""
    job_id = working(older)
    older.start()
    older.start("engine-2")
    assert (older.assign("engine-2") or {})["job_id"] == job_id
    assert older.fail(job_id)["status"] == "failed_retry"
    assert older.complete(job_id)["status"] == "failed_retry"
    assert dispatcher.job(job_id).state is JobState.FAILED_RETRY


def test_another_server_knows_what_the_fleet_holds(clock: ManualClock) -> None:
    """Nothing is kept in the process: after a restart heartbeats renew, and reports arrive."""
    storage = MemoryStorage(clock)

    def server() -> tuple[Dispatcher, Older]:
        dispatcher = Dispatcher(storage, kinds=(TRANSCODE, DISTCONV), ids=SeededIds(1))
        return dispatcher, Older(TestClient(create_app(dispatcher), headers={"Host": "localhost"}))

    first, older = server()
    with first:
        job_id = working(older)
    second, older = server()
    with second:
        second.tick()
        for _ in range(3):
            clock.advance(20)
            older.beat()
            second.tick()
        assert outcomes(second, job_id) == [None]
        assert older.complete(job_id)["status"] == "completed"
        assert older.assign() is None
        assert outcomes(second, job_id) == [Outcome.COMPLETED]


def test_an_engine_first_heard_in_the_middle_of_its_life_is_welcome(older: Older) -> None:
    """Its first heartbeat went to another store; any one registers it."""
    older.beat()
    job_id = older.submit()["job_id"]
    assert (older.assign() or {})["job_id"] == job_id


def test_an_engine_that_was_sent_away_comes_back_with_its_next_heartbeat(
    older: Older, dispatcher: Dispatcher
) -> None:
    """It cannot be told to leave; until it is heard again it gets nothing."""
    job_id = working(older)
    dispatcher.deregister("engine-1")
    assert older.job(job_id)["status"] == "pending"
    problem(older.post("/assign_job/", {"engine_id": "engine-1"}), 404, "unknown-engine")
    older.beat()
    assert (older.assign() or {})["job_id"] == job_id


def test_a_cordoned_engine_gets_nothing(older: Older, dispatcher: Dispatcher) -> None:
    """What operators want holds for the older fleet, too, over its restarts."""
    older.start()
    dispatcher.cordon("engine-1")
    older.submit()
    older.start()
    assert older.assign() is None


def test_the_present_cancel_reaches_the_job_at_the_end_of_the_grace(
    older: Older, dispatcher: Dispatcher, clock: ManualClock
) -> None:
    """The engine works on; a complete that comes first wins, else the job is cancelled."""
    first = working(older)
    dispatcher.cancel(first)
    assert older.complete(first)["status"] == "completed"
    second = older.submit()["job_id"]
    older.assign()
    dispatcher.cancel(second)
    for _ in range(14):
        clock.advance(5)
        older.beat()
        dispatcher.tick()
    assert older.complete(second)["status"] == "cancelled"


def test_a_live_engine_of_the_present_protocol_keeps_its_name(
    older: Older, fleet: Fleet, dispatcher: Dispatcher
) -> None:
    """An older one with the same id is refused, and gives up; work is not given to it either."""
    lease = fleet.running()
    problem(
        older.post("/engines/heartbeat", {"engine_id": lease["engine_id"], "supported_codecs": []}),
        409,
        "session-replaced",
    )
    problem(older.post("/assign_job/", {"engine_id": lease["engine_id"]}), 409, "session-replaced")
    assert outcomes(dispatcher, lease["job_id"]) == [None]
    dispatcher.deregister(lease["engine_id"])
    older.start(lease["engine_id"])


def test_a_present_engine_may_do_older_jobs_and_reports_with_its_token(
    older: Older, fleet: Fleet, dispatcher: Dispatcher
) -> None:
    """A report by the id alone does not end its attempt, and a cancel waits for its answer."""
    job_id = older.submit()["job_id"]
    fleet.register("engine-9", kinds=["distconv"])
    lease = fleet.claim("engine-9")
    assert lease["job_id"] == job_id
    for verb in ("complete", "fail", "progress"):
        problem(older.post(f"/jobs/{job_id}/{verb}", {"progress": 1}), 409, "lease-lost")
    assert older.told(older.post(f"/jobs/{job_id}/cancel"))["status"] == "assigned"
    held = {"token": lease["token"], "engine_id": "engine-9", "result": {"output_url": "s3://out/1.mp4"}}
    assert older.told(older.post(f"/jobs/{job_id}/complete", held))["outcome"] == "completed"
    assert older.job(job_id)["output_url"] == "s3://out/1.mp4"


def test_a_heartbeat_and_a_question_at_a_time_agree(older: Older, dispatcher: Dispatcher) -> None:
    """A heartbeat that read the engine before a new session began is decided again on what is true then."""
    job_id = working(older)
    acting = _Meddling(dispatcher.acting(Context()), older.start)
    adapter.heartbeat(acting, "engine-1", {"engine_id": "engine-1"})  # type: ignore[arg-type]  # quacks like it
    assert acting.meddled
    assert outcomes(dispatcher, job_id) == [Outcome.EXPIRED]
    assert adapter.assign(_Meddling(dispatcher.acting(Context()), older.start), "engine-1") is None  # type: ignore[arg-type]  # quacks like it


def test_a_report_and_a_new_grant_at_a_time_agree(older: Older, dispatcher: Dispatcher) -> None:
    """A report whose attempt has just ended counts for the one that has begun."""
    job_id = working(older)
    acting = _Meddling(dispatcher.acting(Context()), older.assign)
    job = adapter.complete(acting, job_id, "http://example.com/out.mp4")  # type: ignore[arg-type]  # quacks like it
    assert acting.meddled
    assert job.state is JobState.COMPLETED
    assert outcomes(dispatcher, job_id) == [Outcome.EXPIRED, Outcome.COMPLETED]


class _Meddling:
    """A dispatcher beside which something happens once: right after an engine was read, or before a report."""

    def __init__(self, inner, meddle) -> None:  # type: ignore[no-untyped-def]  # stands in for any verbs
        self._inner, self._meddle, self.meddled = inner, meddle, False

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)

    def engine(self, engine_id: str) -> object:
        """What was true before."""
        status = self._inner.engine(engine_id)
        self._once()
        return status

    def execute(self, command: object) -> object:
        """What is no longer true."""
        self._once()
        return self._inner.execute(command)

    def _once(self) -> None:
        if not self.meddled:
            self.meddled = True
            self._meddle()
