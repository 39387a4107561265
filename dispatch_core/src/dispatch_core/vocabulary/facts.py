"""Typed facts of engines, and requirement terms over them: ``fact op value``. Parsed, never evaluated."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Mapping
from enum import StrEnum

from attrs import frozen

FactValue = str | int | float | bool | tuple[str, ...]
"""What an engine reports for a fact; versions are text such as ``6.1.1``, sets are tuples of text."""


class FactType(StrEnum):
    """How a fact is compared."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    VERSION = "version"
    SET = "set"


Catalogue = Mapping[str, FactType]
"""The fact names a kind of job may name in its requirements."""

COMMON_FACTS: Catalogue = {
    "os": FactType.TEXT,
    "arch": FactType.TEXT,
    "hostname": FactType.TEXT,
    "cpus": FactType.NUMBER,
    "memory_gb": FactType.NUMBER,
    "disk_free_gb": FactType.NUMBER,
    "streaming": FactType.BOOL,
    "tag": FactType.SET,
    "pool": FactType.SET,
}
VOLATILE_FACTS = frozenset({"disk_free_gb", "load"})
"""Facts that move with every heartbeat; verdicts over them are never remembered."""

_OPERATORS: Mapping[FactType, tuple[str, ...]] = {
    FactType.TEXT: ("==", "!="),
    FactType.NUMBER: (">=", "<=", "==", "!=", ">", "<"),
    FactType.BOOL: ("==", "!="),
    FactType.VERSION: (">=", "<=", "==", "!=", ">", "<"),
    FactType.SET: ("has", "lacks"),
}
_COMPARE: Mapping[str, Callable[[object, object], bool]] = {
    "==": lambda mine, wanted: mine == wanted,
    "!=": lambda mine, wanted: mine != wanted,
    ">=": lambda mine, wanted: mine >= wanted,  # type: ignore[operator]  # both sides come from _comparable
    "<=": lambda mine, wanted: mine <= wanted,  # type: ignore[operator]  # both sides come from _comparable
    ">": lambda mine, wanted: mine > wanted,  # type: ignore[operator]  # both sides come from _comparable
    "<": lambda mine, wanted: mine < wanted,  # type: ignore[operator]  # both sides come from _comparable
    "has": lambda mine, wanted: wanted in mine,  # type: ignore[operator]  # a set fact is a tuple
    "lacks": lambda mine, wanted: wanted not in mine,  # type: ignore[operator]  # a set fact is a tuple
}
_TERM = re.compile(
    r"\s*(?:prefer\s+)?([a-z][a-z0-9_]{0,63})\s*(>=|<=|==|!=|>|<|\bhas\b|\blacks\b)\s*(\S.{0,199}?)\s*"
)


@frozen
class Term:
    """One requirement. ``preferred`` terms never exclude an engine; they only order."""

    fact: str
    op: str
    operand: str
    type: FactType
    preferred: bool = False

    @property
    def text(self) -> str:
        """The canonical form: equal terms have equal text."""
        return f"{'prefer ' if self.preferred else ''}{self.fact} {self.op} {self.operand}"

    def holds(self, value: FactValue | None) -> bool:
        """Whether an engine with this value of the fact meets the term; an unknown fact meets none."""
        if value is None or not fits_type(value, self.type):
            return False
        return _COMPARE[self.op](_comparable(value, self.type), _comparable(self.operand, self.type))


def fits_type(value: object, kind: FactType) -> bool:
    """Whether a reported value can be compared as this type."""
    match kind:
        case FactType.TEXT | FactType.VERSION:
            return isinstance(value, str)
        case FactType.NUMBER:
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case FactType.BOOL:
            return isinstance(value, bool)
        case FactType.SET:
            return isinstance(value, (tuple, list, frozenset))


def _comparable(value: object, kind: FactType) -> object:
    match kind:
        case FactType.NUMBER:
            return float(value)  # type: ignore[arg-type]  # text operands were checked when parsed
        case FactType.BOOL:
            return value if isinstance(value, bool) else value == "true"
        case FactType.VERSION:
            return version_key(str(value))
        case FactType.TEXT | FactType.SET:
            return value


def version_key(text: str) -> tuple[int, ...]:
    """The leading dotted numbers of a version, trailing zeros dropped: ``6.1.0-static`` is (6, 1).

    A development build without numbers is older than every release.
    """
    found = re.search(r"\d+(?:\.\d+)*", text)
    parts = [int(part) for part in found.group().split(".")] if found else []
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def parse_term(text: str, catalogue: Catalogue) -> Term:
    """A term from ``fact op value`` (optionally after ``prefer``). Raises ValueError with a hint."""
    found = _TERM.fullmatch(text)
    if not found:
        raise ValueError(f"{text!r} is not of the form 'fact op value', for example 'encoder has libx265'")
    fact, op, operand = found.groups()
    kind = catalogue.get(fact)
    if kind is None:
        close = difflib.get_close_matches(fact, catalogue, n=1)
        known = f"did you mean {close[0]!r}?" if close else f"known facts: {', '.join(sorted(catalogue))}"
        raise ValueError(f"no fact is called {fact!r}; {known}")
    if op not in _OPERATORS[kind]:
        raise ValueError(f"{fact!r} is a {kind} and is compared by {' '.join(_OPERATORS[kind])}, not {op!r}")
    return Term(fact, op, _canonical(fact, operand, kind), kind, text.lstrip().startswith("prefer "))


def _canonical(fact: str, operand: str, kind: FactType) -> str:
    if kind is FactType.NUMBER:
        return _canonical_number(fact, operand)
    if kind is FactType.BOOL and operand.lower() not in ("true", "false"):
        raise ValueError(f"{fact!r} is compared with true or false, not {operand!r}")
    if kind is FactType.VERSION and not re.search(r"\d", operand):
        raise ValueError(f"{fact!r} is compared with a version such as 6.1, not {operand!r}")
    return operand.lower() if kind is FactType.BOOL else operand


def _canonical_number(fact: str, operand: str) -> str:
    try:
        number = float(operand)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{fact!r} is compared with a number, not {operand!r}")
    return repr(number + 0.0).removesuffix(".0")  # exact (six digits are not), and -0 is 0
