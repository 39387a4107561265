"""What is particular to the store in memory: it is optimistic to the end of the block."""

import pytest

from dispatch_core.ports.storage import Transaction
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.samples import a_job, added, changed, load, next_version, save
from dispatch_core.vocabulary.errors import ConflictError
from dispatch_core.vocabulary.jobs import Bucket, Job


def test_of_two_that_saved_before_either_ended_the_first_to_end_wins() -> None:
    storage, job = MemoryStorage(), a_job()
    save(storage, added(job))
    with pytest.raises(ConflictError), storage.begin() as slow:
        both_save(storage, slow, job)
    assert load(storage, job) == next_version(job, held="fast")


def both_save(storage: MemoryStorage, slow: Transaction, job: Job) -> None:
    slow.save(changed((job, next_version(job, held="slow"))))
    with storage.begin() as fast:
        fast.save(changed((job, next_version(job, held="fast"))))


def fail(_buckets: frozenset[Bucket]) -> None:
    raise ZeroDivisionError


def test_a_listener_that_fails_does_not_fail_the_commit(caplog: pytest.LogCaptureFixture) -> None:
    storage = MemoryStorage()
    storage.listen(fail)
    save(storage, added(a_job(), wake=frozenset({("open", "a")})))
    assert load(storage, a_job()) == a_job()
    assert "a listener of the store failed" in caplog.text
