"""Every error Dispatch raises on purpose. Each has a stable kebab-case ``code`` that HTTP and the CLI map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from attrs import frozen


@frozen
class FieldProblem:
    """One thing wrong with one field: a JSON pointer, what is wrong, and how to mend it."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path or '/'}: {self.message}"


class DispatchError(Exception):
    """Root of all operating errors. ``code`` never changes; the text may."""

    code: ClassVar[str] = "dispatch-error"


class InvalidCommandError(DispatchError):
    """The input is not acceptable; ``problems`` lists every field at once. Nothing was changed."""

    code = "invalid-command"

    def __init__(self, problems: Sequence[FieldProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class CommandRejectedError(DispatchError):
    """The input is well formed, but the present state refuses it. Nothing was changed."""

    code = "rejected"


class UnknownJobError(CommandRejectedError):
    """No such job for this tenant (a foreign job is indistinguishable from a missing one)."""

    code = "unknown-job"


class AmbiguousIdError(CommandRejectedError):
    """A shortened id stands for several jobs; ``candidates`` names up to five of them."""

    code = "ambiguous-id"

    def __init__(self, text: str, candidates: Sequence[str]) -> None:
        self.candidates = tuple(candidates)
        super().__init__(f"{text} is the beginning of several ids, such as {', '.join(self.candidates)}")


class CountChangedError(CommandRejectedError):
    """As many jobs as the caller expects do not fit any more: look again before many are changed."""

    code = "count-changed"


class UnknownEngineError(CommandRejectedError):
    """No such engine for this tenant, or it has left and must register again."""

    code = "unknown-engine"


class UnknownKeyError(CommandRejectedError):
    """No such key for this tenant."""

    code = "unknown-key"


class UnknownPoolError(CommandRejectedError):
    """No such storage pool for this tenant."""

    code = "unknown-pool"


class UnknownLimitError(CommandRejectedError):
    """No limit of this key for this tenant."""

    code = "unknown-limit"


class UnknownCampaignError(CommandRejectedError):
    """No job of such a campaign for this tenant."""

    code = "unknown-campaign"


class UnknownWindowError(CommandRejectedError):
    """No such maintenance window for this tenant."""

    code = "unknown-window"


class ForbiddenError(CommandRejectedError):
    """The caller's scopes do not allow it, or its key is bound to another engine."""

    code = "forbidden"


class WrongStateError(CommandRejectedError):
    """The job or engine is in a state that does not allow this command."""

    code = "wrong-state"


class LeaseLostError(CommandRejectedError):
    """The token is not the job's live attempt, or the engine does not hold it: stop this work."""

    code = "lease-lost"


class SessionReplacedError(CommandRejectedError):
    """Another start of the same engine has registered since; this process must stop or register."""

    code = "session-replaced"


class VersionMismatchError(CommandRejectedError):
    """The record changed since the version the caller named (If-Match)."""

    code = "version-mismatch"


class KeyReusedError(CommandRejectedError):
    """The idempotency key was used before with another body."""

    code = "idempotency-key-reused"


class LimitExceededError(CommandRejectedError):
    """A published limit is reached. ``retry_after_s`` says when a repeat may succeed."""

    code = "limit-exceeded"

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message)


class OverloadedError(LimitExceededError):
    """The dispatcher has more to write than it promises to hold; repeat after ``retry_after_s``."""

    code = "overloaded"


class StorageError(DispatchError):
    """The store did not do what was asked."""

    code = "storage-error"


class ConflictError(StorageError):
    """A record changed between the read and the conditional write; ``losers`` names the records."""

    code = "conflict"

    def __init__(self, losers: Sequence[object]) -> None:
        self.losers = tuple(losers)
        super().__init__(f"changed since they were read: {', '.join(map(str, self.losers))}")


class StorageUnavailableError(StorageError):
    """The store is away, full, read-only or busy. If it failed during commit, the outcome is unknown.

    Repeating the command with the same receipt key is always safe.
    """

    code = "storage-unavailable"


class StorageInUseError(StorageError):
    """Another process owns this database file."""

    code = "storage-in-use"


class SchemaMismatchError(StorageError):
    """The store was written by a version this program cannot read."""

    code = "schema-mismatch"


class StorageDamagedError(StorageError):
    """The file is not a Dispatch database or fails its checks. It was not touched."""

    code = "storage-damaged"


class ClosedError(DispatchError):
    """The dispatcher is closed or draining and takes no more of these commands."""

    code = "closed"


class InvariantError(Exception):
    """A law of the system does not hold: a programmer's error, never caught on purpose."""
