"""What a handler is: the records a command names, those found on them, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import IntEnum
from typing import Any

from attrs import frozen

from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import InvariantError
from dispatch_core.vocabulary.records import RecordType, Ref

_IDS_TRIED_MAX = 100


class Phase(IntEnum):
    """The order within a batch: reports free what claims may take; submits come before claims."""

    REPORT = 0
    CONTROL = 1
    SUBMIT = 2
    CLAIM = 3


def _none(_command: Any, _workspace: Workspace) -> Collection[Ref]:
    return ()


@frozen(kw_only=True)
class Handler:
    """One command's part. ``needs`` and ``engines`` are read from the command alone, ``then`` may look at
    what was loaded; each is loaded for the whole batch at once. What ``locks`` names is rested upon
    without being written: where servers share a store it is locked. ``run`` decides and applies, or raises.
    """

    phase: Phase
    needs: Callable[[Any], Collection[Ref]]
    run: Callable[[Any, Context, Workspace], Any]
    engines: Callable[[Any], Collection[str]] = lambda _command: ()
    then: Callable[[Any, Workspace], Collection[Ref]] = _none
    locks: Callable[[Any], Collection[Ref]] = lambda _command: ()


def fresh_id(workspace: Workspace, record_type: RecordType) -> str:
    """An id new to this batch. One that the store has makes the save a conflict, and then all is decided again."""
    for _ in range(_IDS_TRIED_MAX):
        new = workspace.house.ids.new(record_type.value)
        if not workspace.knows((record_type, new)):
            return new
    raise InvariantError(f"the source of ids repeats itself: {_IDS_TRIED_MAX} taken in a row")


def job_ref(job_id: str) -> Ref:
    """The name of a job's record."""
    return (RecordType.JOB, job_id)


def engine_refs(engine_id: str) -> list[Ref]:
    """The names of an engine's record and pulse."""
    return [(RecordType.ENGINE, engine_id), (RecordType.PULSE, engine_id)]
