"""What a history is made of: entries as a process writes them, and the operations that they tell of."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen


class Act(StrEnum):
    """What a client or an engine may ask in a history that is checked. ``look`` reads a job."""

    SUBMIT = "submit"
    CLAIM = "claim"
    RENEW = "renew"
    PROGRESS = "progress"
    COMPLETE = "complete"
    FAIL = "fail"
    GIVE_BACK = "give-back"
    CANCEL = "cancel"
    REQUEUE = "requeue"
    LOOK = "look"


class Kind(StrEnum):
    """What an entry says of its operation: it begins, or how it ended."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Ending(StrEnum):
    """How an operation ended: done, refused without effect, or nobody knows."""

    DONE = "done"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@frozen(kw_only=True)
class Granted:
    """One lease in the answer to a claim."""

    job_id: str
    token: str


@frozen(kw_only=True)
class Entry:
    """One line of a log. ``n`` counts the operations of its process; ``at_us`` is on the machine's monotonic clock.

    What is asked stands in the ``invoke``, what is heard in the entry that ends it. ``value`` is what a completion
    reports, as text. ``answer`` holds what was heard, by the names of the HTTP forms (``state``, ``generation``,
    ``attempts_used``, ``live_attempt``, ``cancel_requested``, ``result``; of a report ``outcome``; of a renewal
    ``cancel``): what is named is checked. ``code`` is that of a refusal.
    """

    process: str
    n: int
    kind: Kind
    at_us: int
    act: Act | None = None
    job_id: str | None = None
    token: str | None = None
    engine_id: str | None = None
    key: str | None = None
    value: str | None = None
    retryable: bool = True
    limit: int = 1
    granted: tuple[Granted, ...] = ()
    answer: Mapping[str, object] = field(factory=dict)
    code: str | None = None


@frozen(kw_only=True)
class Operation:
    """One thing that a process asked, and what it heard. ``ended_us`` is None while nobody knows the outcome.

    An unknown one may have taken effect at any time after it began, or never.
    """

    process: str
    act: Act
    ending: Ending
    begun_us: int
    ended_us: int | None = None
    job_id: str | None = None
    token: str | None = None
    engine_id: str | None = None
    key: str | None = None
    value: str | None = None
    retryable: bool = True
    limit: int = 1
    granted: tuple[Granted, ...] = ()
    answer: Mapping[str, object] = field(factory=dict)
    code: str | None = None

    @property
    def known(self) -> bool:
        """Whether it was answered."""
        return self.ending is not Ending.UNKNOWN

    @property
    def number(self) -> int | None:
        """The number of the attempt that its token names."""
        return None if self.token is None else number_of(self.token)

    def __str__(self) -> str:
        return f"{self.process}: {self._asked()}{self._heard()}"

    def _asked(self) -> str:
        of = f" of {self.token}" if self.token and self.act is not Act.CLAIM else ""
        key = f" with the key {self.key}" if self.key else ""
        return f"{self.act}{of}{key} → "

    def _heard(self) -> str:
        if self.ending is Ending.UNKNOWN:
            return "never answered"
        if self.ending is Ending.REFUSED:
            return f"refused, {self.code}"
        told = [f"made {self.job_id}"] if self.act is Act.SUBMIT else []
        if self.act is Act.CLAIM:
            given = (
                [self.token] if self.token else [f"{each.token} of {each.job_id}" for each in self.granted]
            )
            told = [f"granted {' and '.join(given) or 'nothing'}"]
        told += [f"{name} {value}" for name, value in sorted(self.answer.items())]
        return ", ".join(told) or "done"


def number_of(token: str) -> int | None:
    """The number of the attempt that a token names, None if it is no token."""
    number = token.rpartition(".")[2]
    return int(number) if number.isascii() and number.isdigit() else None
