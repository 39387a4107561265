"""Dispatch gives every job to the engine that should run it, and explains every decision.

The public names; inner modules never import from here.
"""

from dispatch_core.kernel.retry import ExponentialBackoff, RetryPolicy
from dispatch_core.kernel.scheduling.classes import SchedulingClass
from dispatch_core.kernel.scheduling.explanation import (
    ClaimExplanation,
    EngineAnswer,
    JobExplanation,
    JobVerdict,
    Reason,
)
from dispatch_core.kernel.scheduling.policy import Estimate, FifoPolicy, FlowPolicy, Policy, StrictPolicy
from dispatch_core.kernel.scheduling.rules import DEFAULT_RULES, EngineView, Rule
from dispatch_core.ports.observer import BatchReport, Observer
from dispatch_core.ports.storage import Page, Query, Recorded, Storage
from dispatch_core.shell.dispatcher import Dispatcher
from dispatch_core.shell.maintenance import TickReport
from dispatch_core.shell.queries import EngineStatus, Stats
from dispatch_core.shell.settings import Settings
from dispatch_core.vocabulary.attempts import Attempt, Lease, LeaseStatus, Outcome, Progress
from dispatch_core.vocabulary.bounds import Bound, Length
from dispatch_core.vocabulary.clock import Clock, ManualClock, SystemClock
from dispatch_core.vocabulary.commands import (
    UNSET,
    Command,
    Complete,
    Edit,
    Fail,
    GiveBack,
    HeldLease,
    Renew,
    ReportProgress,
)
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.engines import (
    Benchmark,
    Engine,
    HeartbeatAnswer,
    Profile,
    Seen,
    Wanted,
    WantedState,
)
from dispatch_core.vocabulary.errors import (
    ClosedError,
    CommandRejectedError,
    ConflictError,
    DispatchError,
    FieldProblem,
    InvalidCommandError,
    InvariantError,
    KeyReusedError,
    LeaseLostError,
    LimitExceededError,
    SchemaMismatchError,
    SessionReplacedError,
    StorageDamagedError,
    StorageError,
    StorageInUseError,
    StorageUnavailableError,
    UnknownEngineError,
    UnknownJobError,
    VersionMismatchError,
    WrongStateError,
)
from dispatch_core.vocabulary.facts import FactType
from dispatch_core.vocabulary.ids import IdSource, RandomIds, SeededIds
from dispatch_core.vocabulary.jobs import (
    Job,
    JobError,
    JobSize,
    JobSpec,
    JobState,
    Pin,
    Ready,
    Retry,
    Timeouts,
)
from dispatch_core.vocabulary.kinds import TRANSCODE, JobKind, TranscodeParameters

__all__ = [
    "DEFAULT_RULES",
    "TRANSCODE",
    "UNSET",
    "Attempt",
    "BatchReport",
    "Benchmark",
    "Bound",
    "ClaimExplanation",
    "Clock",
    "ClosedError",
    "Command",
    "CommandRejectedError",
    "Complete",
    "ConflictError",
    "Context",
    "DispatchError",
    "Dispatcher",
    "Edit",
    "Engine",
    "EngineAnswer",
    "EngineStatus",
    "EngineView",
    "Estimate",
    "ExponentialBackoff",
    "FactType",
    "Fail",
    "FieldProblem",
    "FifoPolicy",
    "FlowPolicy",
    "GiveBack",
    "HeartbeatAnswer",
    "HeldLease",
    "IdSource",
    "InvalidCommandError",
    "InvariantError",
    "Job",
    "JobError",
    "JobExplanation",
    "JobKind",
    "JobSize",
    "JobSpec",
    "JobState",
    "JobVerdict",
    "KeyReusedError",
    "Lease",
    "LeaseLostError",
    "LeaseStatus",
    "Length",
    "LimitExceededError",
    "ManualClock",
    "Observer",
    "Outcome",
    "Page",
    "Pin",
    "Policy",
    "Profile",
    "Progress",
    "Query",
    "RandomIds",
    "Ready",
    "Reason",
    "Recorded",
    "Renew",
    "ReportProgress",
    "Retry",
    "RetryPolicy",
    "Rule",
    "SchedulingClass",
    "SchemaMismatchError",
    "SeededIds",
    "Seen",
    "SessionReplacedError",
    "Settings",
    "Stats",
    "Storage",
    "StorageDamagedError",
    "StorageError",
    "StorageInUseError",
    "StorageUnavailableError",
    "StrictPolicy",
    "SystemClock",
    "TickReport",
    "Timeouts",
    "TranscodeParameters",
    "UnknownEngineError",
    "UnknownJobError",
    "VersionMismatchError",
    "Wanted",
    "WantedState",
    "WrongStateError",
]
