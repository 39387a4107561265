"""A history checker: what clients and engines asked and heard, and whether any order of it could be true."""

from dispatch_core.testing.histories.checking import (
    Finding,
    HistoryReport,
    HistoryVerdict,
    check_history,
)
from dispatch_core.testing.histories.life import Allowance
from dispatch_core.testing.histories.logbook import Logbook, appending, operations_of, read_logs
from dispatch_core.testing.histories.operations import Act, Ending, Entry, Granted, Kind, Operation
from dispatch_core.testing.histories.witness import Witness

__all__ = [
    "Act",
    "Allowance",
    "Ending",
    "Entry",
    "Finding",
    "Granted",
    "HistoryReport",
    "HistoryVerdict",
    "Kind",
    "Logbook",
    "Operation",
    "Witness",
    "appending",
    "check_history",
    "operations_of",
    "read_logs",
]
