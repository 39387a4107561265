"""How a verb and a question reach the store in somebody's name: permitted, or refused and noted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from dispatch_core.kernel.permits import check_permit
from dispatch_core.shell.committer import Committer
from dispatch_core.shell.house import House
from dispatch_core.vocabulary.commands import Command
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.errors import CommandRejectedError

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
