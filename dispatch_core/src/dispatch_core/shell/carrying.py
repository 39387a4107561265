"""How a verb and a question reach the store in somebody's name: permitted, or refused and noted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from dispatch_core.kernel.permits import check_permit
from dispatch_core.shell.batch import check
from dispatch_core.shell.committer import Committer
from dispatch_core.shell.house import House
from dispatch_core.vocabulary.commands import Command
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import CommandRejectedError, DispatchError

T = TypeVar("T")
_IDS = ("job_id", "engine_id", "key_id", "window_id")


def carry(house: House, committer: Committer, context: Context, command: Command) -> Any:
    """The answer to a command. Raises whatever refuses it."""
    verb = type(command).__name__
    try:
        check_permit(context, verb, getattr(command, "engine_id", None))
        return committer.execute(command, context)
    except CommandRejectedError as error:
        house.denials.judge(context, verb, error, (getattr(command, name, None) for name in _IDS))
        raise


def carry_many(
    house: House, committer: Committer, context: Context, commands: Sequence[Command]
) -> list[Any]:
    """Of each command its answer, or the DispatchError that refuses it; they join one batch.

    Under a receipt key each has a receipt of its own, by its place. Raises StorageError: outcome unknown.
    """
    answers: list[Any] = [_barred(context, command) for command in commands]
    places = [place for place, error in enumerate(answers) if error is None]
    key = context.receipt_key
    entries = committer.execute_many(
        [commands[place] for place in places],
        context,
        # No caller's key has a line end in it, so this is nobody else's.
        receipt_keys=() if key is None else [f"{key}\n{place}" for place in places],
    )
    for place, entry in zip(places, entries, strict=True):
        if entry.error is not None and not isinstance(entry.error, DispatchError):
            raise entry.error
        answers[place] = entry.error or entry.result
    for command, answer in zip(commands, answers, strict=True):
        if isinstance(answer, CommandRejectedError):
            verb = type(command).__name__
            house.denials.judge(context, verb, answer, (getattr(command, name, None) for name in _IDS))
    return answers


def _barred(context: Context, command: Command) -> DispatchError | None:
    """What refuses a command before it is queued."""
    try:
        check_permit(context, type(command).__name__, getattr(command, "engine_id", None))
        check(command)
    except DispatchError as error:
        return error
    return None


def ask(
    house: House,
    context: Context,
    question: Callable[..., T],
    arguments: tuple[object, ...],
    engine_id: str | None,
) -> T:
    """The answer to a question, read from one snapshot. Raises whatever refuses it."""
    try:
        check_permit(context, question.__name__, engine_id)
        with house.storage.read() as snapshot:
            return question(snapshot, house, context, *arguments)
    except CommandRejectedError as error:
        house.denials.judge(context, question.__name__, error, arguments)
        raise
