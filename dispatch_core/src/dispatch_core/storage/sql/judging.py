"""The check that every database gets alike: is its schema ours, and do its rows keep the laws."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import define, field

from dispatch_core.storage.reports import FINDINGS_MAX, Tell, Verdict
from dispatch_core.storage.sql import schema
from dispatch_core.storage.sql.stories import Judge, Read

ROWS_BETWEEN_CALLS = 2_000
_TABLES = ("jobs", "attempts", "history", "engines", "pulses", "receipts", "records")


@define
class Findings:
    """What is wrong: counted all, kept up to a bound."""

    kept: list[str] = field(factory=list)
    total: int = 0

    def add(self, finding: str) -> None:
        """One more."""
        self.total += 1
        if len(self.kept) < FINDINGS_MAX:
            self.kept.append(finding if len(finding) <= 2_000 else finding[:1_999] + "…")


def verdict_of(
    path: Path | str, revision: str | None, read: bool, counts: Counter[str], findings: Findings
) -> Verdict:
    """What was found, as a report."""
    return Verdict(
        path=path,
        revision=revision,
        read=read,
        counts=dict(counts),
        findings=tuple(findings.kept),
        findings_total=findings.total,
    )


def is_readable(revision: str | None, findings: Findings) -> bool:
    """Whether the rows can be read by this program: not if the schema is older, or of an unknown version."""
    if revision is None:
        findings.add("the schema revision is lost")
        return False
    if revision == schema.HEAD:
        return True
    from dispatch_core.storage.sql import migrating

    if not migrating.is_known(revision):
        findings.add(f"the schema {revision} is not one this program knows (its own is {schema.HEAD})")
    return False


def check_rows(read: Read, findings: Findings, counts: Counter[str], tell: Tell) -> None:
    """Every row, history and count of one snapshot."""
    for table in _TABLES:
        [(counts[table],)] = read(f"SELECT count(*) FROM {table}")  # noqa: S608  # our names
    judge = Judge(read, findings.add, _told(tell, sum(counts.values())))
    judge.jobs()
    judge.engines()
    judge.other_records()
    judge.counters()
    counts["purged"] = judge.purged


def _told(tell: Tell, total: int) -> Callable[[Any], None]:
    """Called with every row; tells now and then."""
    seen = Counter[str]()

    def row(_row: Any) -> None:
        seen["all"] += 1
        if seen["all"] % ROWS_BETWEEN_CALLS == 0 or seen["all"] == total:
            tell("rows", seen["all"], total)

    return row
