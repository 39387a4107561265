"""The settings of a dispatcher. Frontends load them from files, ``DISPATCH_*`` variables and flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from attrs import frozen

from dispatch_core.kernel.retention import Span
from dispatch_core.kernel.scheduling.modes import MODES, ModesPolicy
from dispatch_core.kernel.scheduling.policy import FlowPolicy, Policy
from dispatch_core.vocabulary.bounds import Bound, Grammar, Length, problems_of
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.jobs import ATTEMPTS_MAX, FAILED_ON_MAX

SHARE = Grammar(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}=[0-9]{1,6}(\.[0-9]{1,6})?", "an account and its share, as in studio=2.5"
)

MODE = Grammar("|".join(MODES), " or ".join(MODES))


@frozen(kw_only=True)
class Settings:
    """Limits and periods; seconds where the name ends in ``_s``. Raises InvalidCommandError if unfit."""

    lease_ttl_s: Annotated[float, Bound(0.1, 86_400)] = 30.0
    heartbeat_s: Annotated[float, Bound(0.05, 3_600)] = 5.0
    silent_after_s: Annotated[float, Bound(0.1, 86_400)] = 15.0
    lost_after_s: Annotated[float, Bound(0.1, 30 * 86_400)] = 300.0
    late_report_s: Annotated[float, Bound(0, 7 * 86_400)] = 600.0
    cancel_grace_s: Annotated[float, Bound(0.1, 86_400)] = 60.0
    give_backs_max: Annotated[int, Bound(0, 1_000)] = 16
    attempts_cap: Annotated[int, Bound(1, ATTEMPTS_MAX)] = ATTEMPTS_MAX
    poison_engines: Annotated[int, Bound(0, FAILED_ON_MAX)] = 3
    quarantine_failures: Annotated[int, Bound(0, 100)] = 5
    quarantine_window_s: Annotated[float, Bound(1, 30 * 86_400)] = 600.0
    quarantine_probe_s: Annotated[float, Bound(1, 30 * 86_400)] = 300.0
    quarantine_probe_max_s: Annotated[float, Bound(1, 30 * 86_400)] = 4 * 3_600.0
    learned_timeout_factor: Annotated[float, Bound(1, 1_000)] | None = None
    receipt_ttl_s: Annotated[float, Bound(60, 366 * 86_400)] = 7 * 86_400.0
    tick_s: Annotated[float, Bound(0.01, 60)] = 0.5
    tick_rows_max: Annotated[int, Bound(1, 10_000)] = 500
    batch_commands_max: Annotated[int, Bound(1, 10_000)] = 256
    queue_commands_max: Annotated[int, Bound(1, 1_000_000)] = 10_000
    poll_floor_s: Annotated[float, Bound(0.01, 60)] = 5.0
    classes_max: Annotated[int, Bound(1, 100_000)] = 2_000
    head_rows_max: Annotated[int, Bound(1, 10_000)] = 64
    priority_default: Annotated[int, Bound(-100, 100)] = 0
    account_push_s: Annotated[float, Bound(0, 86_400)] = 600.0
    account_shares: Annotated[tuple[Annotated[str, SHARE], ...], Length(0, 1_000)] = ()
    mode: Annotated[str, MODE] = "flow"
    priority_cap_s: Annotated[float, Bound(0, 30 * 86_400)] = 6 * 3_600.0
    priority_step_s: Annotated[float, Bound(0, 30 * 86_400)] = 0.0
    priority_kappa: Annotated[float, Bound(0, 1e6)] = 100.0
    windows_finish_first: bool = True
    retain_completed_s: Span | None = None
    retain_failed_s: Span | None = None
    retain_cancelled_s: Span | None = None
    retain_deleted_s: Span | None = 30 * 86_400.0
    large_job_bytes: Annotated[int, Bound(1, 2**63 - 1)] | None = None

    @property
    def shares(self) -> Mapping[str, float]:
        """The share of each account that has another one than 1."""
        pairs = (text.split("=") for text in self.account_shares)
        return {name: float(share) for name, share in pairs}

    @property
    def flow_policy(self) -> FlowPolicy:
        """The flow policy with these dials."""
        return FlowPolicy(kappa=self.priority_kappa, cap_s=self.priority_cap_s, step_s=self.priority_step_s)

    @property
    def policy(self) -> Policy:
        """The policy of a dispatcher that was given no other: that of the mode, and of each job's own."""
        return ModesPolicy(mode=self.mode, flow=self.flow_policy)

    def __attrs_post_init__(self) -> None:
        problems = list(problems_of(self))
        if not problems and self.cancel_grace_s < 2 * self.heartbeat_s:
            problems = [FieldProblem("/cancel_grace_s", "must be at least twice heartbeat_s")]
        if not problems and self.silent_after_s <= self.heartbeat_s:
            problems = [FieldProblem("/silent_after_s", "must be longer than heartbeat_s")]
        if problems:
            raise InvalidCommandError(problems)
