"""What one dispatcher consists of, and what it keeps in memory. Memory may change a choice, never its safety."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import define, field

from dispatch_core.kernel.quarantine import Breaker
from dispatch_core.kernel.retry import RetryPolicy
from dispatch_core.kernel.scheduling.accounts import Accounts
from dispatch_core.kernel.scheduling.classes import Classifier
from dispatch_core.kernel.scheduling.matcher import Matcher
from dispatch_core.kernel.scheduling.modes import ModesPolicy
from dispatch_core.kernel.scheduling.policy import Policy
from dispatch_core.kernel.scheduling.rules import (
    AssignmentRule,
    LimitRule,
    MaintenanceRule,
    Rule,
    StoragePoolRule,
)
from dispatch_core.kernel.terms import Terms
from dispatch_core.ports.observer import Observer
from dispatch_core.ports.storage import Change, ChangeSet, Storage, Transaction
from dispatch_core.shell.denials import Denials
from dispatch_core.shell.fleetview import FleetView
from dispatch_core.shell.heads import Heads
from dispatch_core.shell.keyring import Keyring
from dispatch_core.shell.quotaview import QuotaView
from dispatch_core.shell.settings import Settings
from dispatch_core.shell.windowview import WindowView
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.engines import Engine
from dispatch_core.vocabulary.ids import IdSource, SecretSource
from dispatch_core.vocabulary.jobs import Job, Ready
from dispatch_core.vocabulary.kinds import JobKind
from dispatch_core.vocabulary.windows import Window

HOUSE_RULES: Sequence[Rule] = (MaintenanceRule(), AssignmentRule(), StoragePoolRule(), LimitRule())
"""Rules that no list of one's own leaves out: tenants stay apart, pins, maintenance, full pools and limits are obeyed."""


@define
class Races:
    """What was lost to other servers since the last batch was written."""

    lost: int = 0
    again: int = 0


@define(kw_only=True)
class House:
    """The parts of a dispatcher, wired once."""

    storage: Storage
    settings: Settings
    kinds: Mapping[str, JobKind]
    rules: Sequence[Rule]
    policy: Policy
    retry: RetryPolicy
    ids: IdSource
    secrets: SecretSource
    observers: Sequence[Observer]
    classifier: Classifier = field(init=False)
    matcher: Matcher = field(init=False)
    heads: Heads = field(init=False)
    keyring: Keyring = field(init=False)
    denials: Denials = field(init=False)
    fleet: FleetView = field(init=False)
    windows: WindowView = field(factory=WindowView)
    quotas: QuotaView = field(factory=QuotaView)
    races: Races = field(factory=Races)
    _terms: Terms | None = field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        self.classifier = Classifier(self.kinds, self.settings.large_job_bytes)
        named = {rule.name for rule in self.rules}
        own = [rule for rule in HOUSE_RULES if rule.name not in named]
        self.rules = (*own, *self.rules)
        self.matcher = Matcher(self.rules, self.policy, self.classifier)
        accounts = Accounts(push_us=to_us(self.settings.account_push_s), shares=self.settings.shares)
        self.fleet = FleetView(self.matcher, self.classifier, accounts, shared=self.storage.traits.shared)
        self.heads = Heads(self.settings.head_rows_max)
        self.keyring = Keyring(self.storage)
        self.denials = Denials(self.storage)

    def terms(self) -> Terms:
        """The kernel's terms; the incarnation is the store's present one."""
        if self._terms is None or self._terms.incarnation != self.storage.incarnation:
            self._terms = self._present_terms()
        return self._terms

    def _present_terms(self) -> Terms:
        settings = self.settings
        return Terms(
            incarnation=self.storage.incarnation,
            lease_ttl_us=to_us(settings.lease_ttl_s),
            late_report_us=to_us(settings.late_report_s),
            cancel_grace_us=to_us(settings.cancel_grace_s),
            give_backs_max=settings.give_backs_max,
            attempts_cap=settings.attempts_cap,
            poison_engines=settings.poison_engines,
            retry=self.retry,
        )

    def breaker(self) -> Breaker:
        """When engines are quarantined, and how they are tried again."""
        settings = self.settings
        return Breaker(
            failures=settings.quarantine_failures,
            window_us=to_us(settings.quarantine_window_s),
            probe_us=to_us(settings.quarantine_probe_s),
            probe_max_us=to_us(settings.quarantine_probe_max_s),
            silence_us=to_us(settings.lease_ttl_s),
        )

    def place(self, job: Job, transaction: Transaction, now: int, *, fresh: bool = False) -> Ready | None:
        """Where a job waits now; None while it may not be claimed. ``fresh``: it was submitted just now."""
        if not job.claimable:
            return None
        prospects = self.fleet.prospects(transaction, job, now, fresh=fresh)
        return self.policy.place(job, self.classifier.of(job), prospects)

    def mode_of(self, job: Job) -> str | None:
        """The mode a job is ordered by, if that is its own and not the server's."""
        return self.policy.own_mode(job) if isinstance(self.policy, ModesPolicy) else None

    def remember(self, changes: ChangeSet) -> None:
        """Take over what was just committed."""
        self.heads.remember(changes.changes)
        self.fleet.remember(changes.changes)
        self.windows.remember(changes.changes)
        self.quotas.remember(changes.changes)
        self.keyring.remember(changes.changes)

    def forget(self) -> None:
        """Drop what memory says of the store: a save failed."""
        self.look_again()
        self.fleet.forget()
        self.matcher.forget()

    def undo(self) -> None:
        """Another server was faster: what the batch has decided is not written, and what memory knew is read again."""
        self.races.again += 1
        self.fleet.undo()
        self.look_again()
        self.matcher.forget()

    def lost_race(self, jobs: Sequence[Change]) -> None:
        """Another server was faster with these: the batch is decided once more, on what was read of them."""
        self.races.lost += len(jobs)
        self.fleet.undo()
        self.heads.remember(jobs)

    def look_again(self) -> None:
        """Another server may have changed the store. The outlook may be behind for a while: nothing rests on it."""
        self.heads.forget()
        self.windows.forget()
        self.quotas.forget()
        self.fleet.grow_old()

    def windows_of(self, transaction: Transaction, engine: Engine, now_us: int) -> tuple[Window, ...]:
        """The maintenance windows that count for an engine."""
        ahead = self.settings.windows_finish_first
        return self.windows.of(transaction, engine, now_us, self.storage.monotonic_us(), ahead=ahead)
