"""Rules: each answers, for a class or a job and an engine, what keeps them apart. One rule per file.

A rule of your own is a class with these four members, passed in ``rules=``.
"""

from __future__ import annotations

from collections.abc import Sequence

from dispatch_core.kernel.scheduling.rules.assignment import AssignmentRule
from dispatch_core.kernel.scheduling.rules.capability import CapabilityRule
from dispatch_core.kernel.scheduling.rules.failed_here import FailedHereRule
from dispatch_core.kernel.scheduling.rules.limits import LimitRule
from dispatch_core.kernel.scheduling.rules.maintenance import MaintenanceRule
from dispatch_core.kernel.scheduling.rules.rule import EngineView, Rule
from dispatch_core.kernel.scheduling.rules.size import SizeRule
from dispatch_core.kernel.scheduling.rules.software import SoftwareRule
from dispatch_core.kernel.scheduling.rules.storage_pool import StoragePoolRule

DEFAULT_RULES: Sequence[Rule] = (
    CapabilityRule(),
    SoftwareRule(),
    SizeRule(),
    StoragePoolRule(),
    LimitRule(),
    MaintenanceRule(),
    AssignmentRule(),
    FailedHereRule(),
)
"""The rules every dispatcher has unless told otherwise."""

__all__ = [
    "DEFAULT_RULES",
    "AssignmentRule",
    "CapabilityRule",
    "EngineView",
    "FailedHereRule",
    "LimitRule",
    "MaintenanceRule",
    "Rule",
    "SizeRule",
    "SoftwareRule",
    "StoragePoolRule",
]
