"""A batch: commands decided together and written in one transaction, each with its own answer or refusal."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from attrs import define

from dispatch_core.ports.observer import BatchReport
from dispatch_core.ports.storage import Change, ChangeSet, Transaction
from dispatch_core.shell.handlers import HANDLERS
from dispatch_core.shell.house import House, Races
from dispatch_core.shell.measuring import completed_runs, deadlines_missed
from dispatch_core.shell.receipts import once
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.attempts import Attempt
from dispatch_core.vocabulary.bounds import problems_of
from dispatch_core.vocabulary.commands import Command
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import (
    ConflictError,
    DispatchError,
    InvalidCommandError,
    StorageError,
    StorageUnavailableError,
)
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.records import RecordType, receipt_id

CONFLICT_ROUNDS_MAX = 8
TAKE_ROUNDS_MAX = 4
"""How often a batch is decided within a transaction because others were faster to take jobs it would have granted."""
LOG = logging.getLogger("dispatch_core")


@define(eq=False)
class Entry:
    """One caller's command, and what became of it."""

    command: Command
    context: Context
    result: Any = None
    error: BaseException | None = None

    def answer(self) -> Any:
        """The result, or raise what refused it."""
        if self.error is not None:
            raise self.error
        return self.result


def check(command: Command) -> None:
    """Refuse unfit input before it meets a transaction. Raises InvalidCommandError."""
    if problems := problems_of(command):
        raise InvalidCommandError(problems)


class _UndecidedError(Exception):
    """A programmer's error met while deciding: nothing of the batch has been written."""


def commit(house: House, entries: Sequence[Entry]) -> list[ChangeSet]:
    """Decide and write a batch; every entry has its answer then. Raises StorageError: outcome unknown.

    A programmer's error in one command (a rule that raises, say) is that caller's alone: the others are
    decided again, each by itself. What was committed is never decided again.
    """
    try:
        return [_commit(house, entries)]
    except _UndecidedError as error:
        if len(entries) == 1:
            entries[0].error = error.__cause__
            return []
    return [changes for entry in entries for changes in commit(house, [entry])]


def _commit(house: House, entries: Sequence[Entry]) -> ChangeSet:
    for round_number in range(CONFLICT_ROUNDS_MAX):
        try:
            return _commit_once(house, entries, lock=round_number > 0)
        except ConflictError:
            house.undo()  # another server was faster: decide again on rows read with locks
        except BaseException as error:
            house.forget()
            if isinstance(error, StorageError):
                _reopen(house)
            raise
    raise StorageUnavailableError("too many servers changed the same records at once; try again")


def _reopen(house: House) -> None:
    """Whatever becomes of it, the caller must hear of the failed commit; the next one tries again."""
    try:
        house.storage.reopen()
    except Exception as error:  # noqa: BLE001  # see above
        LOG.warning("the store could not be opened again yet: %s", error)


def _commit_once(house: House, entries: Sequence[Entry], *, lock: bool) -> ChangeSet:
    started = time.perf_counter()
    with house.storage.begin() as transaction:
        workspace = _decided(house, transaction, entries, lock=lock)
        changes = workspace.change_set()
        decided = time.perf_counter()
        if changes.changes:
            transaction.save(changes)
    _after_commit(house, entries, changes, decided - started, time.perf_counter() - decided)
    return changes


def _decided(house: House, transaction: Transaction, entries: Sequence[Entry], *, lock: bool) -> Workspace:
    try:
        return decide(house, transaction, entries, lock=lock)
    except StorageError:
        raise
    except Exception as error:
        raise _UndecidedError from error


def _after_commit(
    house: House, entries: Sequence[Entry], changes: ChangeSet, decide_s: float, save_s: float
) -> None:
    """Memory and observers hear of it; nothing they do can undo it, or have it done twice."""
    try:
        house.remember(changes)
    except Exception:
        LOG.exception("memory could not take over a batch; it is read again")
        house.forget()
    races, house.races = house.races, Races()
    if not house.observers:
        return
    refused = sum(entry.error is not None for entry in entries)
    report = BatchReport(
        commands=len(entries),
        refused=refused,
        history=changes.history,
        decide_s=decide_s,
        save_s=save_s,
        completed=tuple(completed_runs(changes.changes, house.classifier)),
        deadlines_missed=deadlines_missed(changes.changes),
        granted=sum(
            isinstance(change.after, Attempt) and change.before is None for change in changes.changes
        ),
        lost=races.lost,
        again=races.again,
    )
    for observer in house.observers:
        try:
            observer.committed(report)
        except BaseException:  # even an exit: it is not the observer's place to end the writer
            LOG.exception("an observer failed; the batch is committed all the same")


def decide(house: House, transaction: Transaction, entries: Sequence[Entry], *, lock: bool) -> Workspace:
    """Decide every entry, and take the jobs that are granted, all with one statement.

    Those that another server was faster to take are left out, and the batch is decided once more, on what was read.
    Raises ConflictError if that does not help.
    """
    settled: dict[str, Job | None] = {}
    for _ in range(TAKE_ROUNDS_MAX):
        workspace = _decide_on(house, transaction, entries, lock=lock, settled=settled)
        offered = dict.fromkeys([*workspace.hoped, *(job.id for job in workspace.doubted)])
        found = transaction.take(list(offered)) if offered else {}
        lost = [job for job in workspace.hoped.values() if not _same(job, found.get(job.id))]
        lost += workspace.doubted
        if not lost:
            return workspace
        house.lost_race([Change((RecordType.JOB, job.id), job, found.get(job.id)) for job in lost])
        settled.update({job.id: job for job in found.values()} | {job.id: None for job in lost})
    raise ConflictError([(RecordType.JOB, job_id) for job_id, job in settled.items() if job is None])


def _same(known: Job, found: Job | None) -> bool:
    """Whether a job is as memory knows it; a re-route moves its place without a version."""
    return found is not None and (found.version, found.ready) == (known.version, known.ready)


def _decide_on(
    house: House,
    transaction: Transaction,
    entries: Sequence[Entry],
    *,
    lock: bool,
    settled: Mapping[str, Job | None],
) -> Workspace:
    """Decide every entry, phase by phase, on one workspace."""
    workspace = Workspace(transaction, house, lock=lock, settled=settled)
    _load(workspace, entries)
    for entry in sorted(entries, key=lambda each: HANDLERS[type(each.command)].phase):
        _decide(entry, workspace)
    return workspace


def _load(workspace: Workspace, entries: Collection[Entry]) -> None:
    pairs = [(entry.command, HANDLERS[type(entry.command)]) for entry in entries]
    receipts = [
        (RecordType.RECEIPT, receipt_id(entry.context.tenant, entry.context.receipt_key))
        for entry in entries
        if entry.context.receipt_key is not None
    ]
    # Locks first: whoever counted before it waited for a lock has counted what was true before. Then open attempts:
    # those that reports name are mostly among them, which saves a statement.
    workspace.load([ref for command, handler in pairs for ref in handler.locks(command)], lock=True)
    workspace.load_open([engine_id for command, handler in pairs for engine_id in handler.engines(command)])
    workspace.load([*receipts, *(ref for command, handler in pairs for ref in handler.needs(command))])
    workspace.load([ref for command, handler in pairs for ref in handler.then(command, workspace)])


def _decide(entry: Entry, workspace: Workspace) -> None:
    handler = HANDLERS[type(entry.command)]
    entry.result, entry.error = None, None
    try:
        entry.result = once(
            entry.command,
            entry.context,
            workspace,
            lambda: handler.run(entry.command, entry.context, workspace),
        )
    except StorageError:
        raise
    except DispatchError as refusal:  # a refusal happens before any write: nobody else's command notices
        entry.error = refusal
