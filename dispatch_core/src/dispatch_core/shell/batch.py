"""A batch: commands decided together and written in one transaction, each with its own answer or refusal."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from typing import Any

from attrs import define

from dispatch_core.ports.observer import BatchReport
from dispatch_core.ports.storage import ChangeSet, Transaction
from dispatch_core.shell.handlers import HANDLERS
from dispatch_core.shell.house import House
from dispatch_core.shell.receipts import once
from dispatch_core.shell.workspace import Workspace
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
from dispatch_core.vocabulary.records import RecordType, receipt_id

CONFLICT_ROUNDS_MAX = 8
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


def commit(house: House, entries: Sequence[Entry]) -> ChangeSet:
    """Decide and write a batch; afterwards every entry has its answer. Raises StorageError: outcome unknown."""
    for round_number in range(CONFLICT_ROUNDS_MAX):
        try:
            return _commit_once(house, entries, lock=round_number > 0)
        except ConflictError:
            house.forget()  # another server was faster: decide again on rows read with locks
        except StorageError:
            house.forget()
            house.storage.reopen()
            raise
        except BaseException:
            house.forget()
            raise
    raise StorageUnavailableError("too many servers changed the same records at once; try again")


def _commit_once(house: House, entries: Sequence[Entry], *, lock: bool) -> ChangeSet:
    started = time.perf_counter()
    with house.storage.begin() as transaction:
        workspace = decide(house, transaction, entries, lock=lock)
        changes = workspace.change_set()
        decided = time.perf_counter()
        if changes.changes:
            transaction.save(changes)
    house.remember(changes)
    if house.observers:
        refused = sum(entry.error is not None for entry in entries)
        report = BatchReport(
            commands=len(entries),
            refused=refused,
            history=changes.history,
            decide_s=decided - started,
            save_s=time.perf_counter() - decided,
        )
        _tell(house, report)
    return changes


def _tell(house: House, report: BatchReport) -> None:
    for observer in house.observers:
        try:
            observer.committed(report)
        except Exception:
            LOG.exception("an observer failed; the batch is committed all the same")


def decide(house: House, transaction: Transaction, entries: Sequence[Entry], *, lock: bool) -> Workspace:
    """Decide every entry, phase by phase, on one workspace."""
    workspace = Workspace(transaction, house, lock=lock)
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
    # Open attempts first: those that reports name are mostly among them, which saves a statement.
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
