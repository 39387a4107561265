"""The stepped committer: the group committer's turns without its thread, when its caller says so."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from attrs import define

from dispatch_core import ClosedError, Dispatcher, InvalidCommandError, ManualClock, UnknownEngineError
from dispatch_core.shell.house import House
from dispatch_core.shell.stepped import SteppedCommitter
from dispatch_core.shell.waiting import Handed
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.checkers import check_store
from dispatch_core.vocabulary.commands import Claim, Command, Complete
from dispatch_core.vocabulary.context import LOCAL
from tests.core.house import FACTS, spec, start


@define
class Stepped:
    """A dispatcher and its committer."""

    dispatcher: Dispatcher
    committer: SteppedCommitter

    def hand(self, *commands: Command) -> list[Handed]:
        return self.committer.hand([(command, LOCAL) for command in commands])

    def ask(self, engine_id: str = "e1") -> Handed:
        return self.hand(Claim(engine_id=engine_id, session="s1"))[0]


@pytest.fixture
def stepped() -> Iterator[Stepped]:
    clock, made = ManualClock(), list[SteppedCommitter]()

    def committer(house: House) -> SteppedCommitter:
        made.append(SteppedCommitter(house, lambda: clock.monotonic_us() / 1e6))
        return made[-1]

    storage = MemoryStorage(clock, shared=False)
    with Dispatcher(storage, committer=committer) as dispatcher:
        yield Stepped(dispatcher, made[0])
    check_store(storage)


def test_a_claim_is_answered_by_the_submit_it_waits_for(stepped: Stepped) -> None:
    """It is decided in the turns of the submit, and told of once."""
    start(stepped.dispatcher)
    waiting = stepped.ask()
    assert stepped.committer.answered() == []
    job = stepped.dispatcher.submit(spec())
    assert stepped.committer.answered() == [waiting]
    assert [lease.job.id for lease in waiting.answer()] == [job.id]
    assert stepped.committer.answered() == []


def test_commands_handed_together_share_a_batch(stepped: Stepped) -> None:
    """A report frees the slot that a claim beside it needs."""
    start(stepped.dispatcher, slots=1)
    stepped.dispatcher.submit_many([spec(), spec()])
    [lease] = stepped.ask().answer()
    done = Complete(job_id=lease.job.id, token=lease.token, engine_id="e1", result={})
    report, claim = stepped.hand(done, Claim(engine_id="e1", session="s1"))
    assert report.answer().outcome == "completed"
    assert len(claim.answer()) == 1


def test_who_withdraws_is_not_served(stepped: Stepped) -> None:
    """The job goes to another that waits, or stays."""
    for engine_id in ("e1", "e2"):
        start(stepped.dispatcher, engine_id)
    gone, other = stepped.ask("e1"), stepped.ask("e2")
    stepped.committer.withdraw(gone)
    stepped.dispatcher.submit(spec())
    assert stepped.committer.answered() == [other]


def test_a_look_serves_what_no_commit_told_of(stepped: Stepped) -> None:
    """As the poll floor does: here a job that another dispatcher put into the store."""
    start(stepped.dispatcher)
    waiting = stepped.ask()
    Dispatcher(stepped.dispatcher.storage).submit(spec())
    stepped.dispatcher._house.forget()  # what a shared store would have made it do
    stepped.committer.look()
    assert stepped.committer.answered() == [waiting]


def test_a_plain_claim_does_not_wait(stepped: Stepped) -> None:
    """Whatever it says: there is no thread that could wait."""
    start(stepped.dispatcher, facts=FACTS)
    assert stepped.dispatcher.claim("e1", session="s1", wait_s=60) == []
    assert stepped.dispatcher.tick().attempts == 0


def test_refusals_are_the_callers(stepped: Stepped) -> None:
    """Unfit input before anything is decided; a refusal with the entry it belongs to."""
    start(stepped.dispatcher)
    with pytest.raises(InvalidCommandError):
        stepped.hand(Claim(engine_id="e1", session="s1", limit=0))
    with pytest.raises(UnknownEngineError):
        stepped.ask("nobody").answer()


def test_nothing_is_accepted_after_close(stepped: Stepped) -> None:
    """Who waits is answered with nothing."""
    start(stepped.dispatcher)
    waiting = stepped.ask()
    stepped.dispatcher.close()
    assert waiting.answer() == []
    with pytest.raises(ClosedError):
        stepped.dispatcher.submit(spec())
