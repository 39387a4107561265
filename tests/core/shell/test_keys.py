"""Keys: let in, told once, let in no longer; and what a key's scopes forbid in the library itself."""

from __future__ import annotations

import hashlib
import inspect
import re
from collections.abc import Callable
from typing import Any, get_args

import pytest
from attrs import evolve

from dispatch_core import (
    Context,
    Dispatcher,
    Edit,
    ForbiddenError,
    InvalidCommandError,
    JobError,
    Key,
    Lease,
    LimitExceededError,
    LimitSpec,
    ManualClock,
    PoolSpec,
    Profile,
    Progress,
    Query,
    Scope,
    UnknownKeyError,
    WrongStateError,
    context_of,
)
from dispatch_core.kernel.keys import evolve_key
from dispatch_core.kernel.permits import PERMITS
from dispatch_core.ports.storage import ChangeSet, Storage
from dispatch_core.shell import bulk, campaigns, explaining, limitview, poolview, queries, windowview
from dispatch_core.shell.handlers.keys import KEYS_MAX
from dispatch_core.shell.wire import event_from_plain
from dispatch_core.storage import MemoryStorage
from dispatch_core.testing.samples import a_key, added, save
from dispatch_core.vocabulary import commands as c
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.events import KeyEvent
from tests.core.house import claim, spec, start

pytestmark = pytest.mark.checklist(81)
OPERATOR = Context(actor="operator", scopes=(Scope.ADMIN, Scope.OPERATOR))


def acting(dispatcher: Dispatcher, *scopes: Scope, **fields: Any) -> Dispatcher:
    """The same dispatcher in the name of somebody with these scopes."""
    return dispatcher.acting(evolve(Context(actor="somebody", scopes=scopes), **fields))


def created(dispatcher: Dispatcher, *scopes: Scope, **fields: Any) -> tuple[Key, str]:
    """A new key and its text."""
    key, text = dispatcher.create_key("n", scopes or (Scope.SUBMITTER,), **fields)
    assert text is not None
    return key, text


# ----- a key's life


def test_a_key_opens_until_it_is_revoked(dispatcher: Dispatcher) -> None:
    """Its text, and nothing like it; every state is a fact of history with its actor."""
    key, text = created(dispatcher)
    assert re.fullmatch(rf"dsp_{key.id}_[0-9a-z]{{52}}", text)
    assert dispatcher.authenticate(text) == key
    other = text[:-1] + ("0" if text[-1] != "0" else "1")
    for wrong in (
        other,
        text + "0",
        text.upper(),
        text[4:],
        text[:-1],
        f"dsp_key-1_{text[-52:]}",
        "",
        "\ud800",
    ):
        assert dispatcher.authenticate(wrong) is None
    revoked = dispatcher.acting(Context(actor="boss")).revoke_key(key.id)
    assert (revoked.version, revoked.revoked_us) == (2, revoked.updated_us)
    assert dispatcher.authenticate(text) is None
    assert dispatcher.revoke_key(key.id) == revoked, "to revoke twice is to revoke"
    assert [(row.event, row.actor, row.version) for row in dispatcher.events()] == [
        ("key-created", "local", 1),
        ("key-revoked", "boss", 2),
    ]


@pytest.mark.checklist(54)
def test_a_secret_is_kept_nowhere(dispatcher: Dispatcher, storage: Storage) -> None:
    """The store has its SHA-256; not even that is in history or in any text of a key."""
    acting = dispatcher.acting(Context(receipt_key="r"))
    key, text = created(acting)
    key, later = acting.acting(Context()).rotate_key(key.id, overlap_s=9)
    assert later is not None
    secrets = [each.rpartition("_")[2] for each in (text, later)]
    digests = [hashlib.sha256(each.encode()).hexdigest() for each in secrets]
    assert [key.former_digest, key.digest] == digests
    told = f"{dispatcher.events()} {key} {key!r} {context_of(key)} {dispatcher.keys()}"
    told += repr(c.RotateKey(key_id=key.id, digest=digests[0]))
    assert not [each for each in (*secrets, *digests) if each in told]


def test_history_gives_a_key_back_but_for_its_digests(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """Who let whom in, to what and until when can be told from its events alone."""
    key, _ = created(dispatcher, Scope.ENGINE, engine_id="e", expires_us=clock.now_us() + 99 * SECOND_US)
    clock.advance(1)
    dispatcher.rotate_key(key.id, overlap_s=5)
    clock.advance(1)
    after = dispatcher.revoke_key(key.id)
    told: Key | None = None
    for row in dispatcher.events():
        event = event_from_plain(row.event, row.data)
        assert isinstance(event, get_args(KeyEvent))
        told = evolve_key(told, event, row.at_us, "secret")
    assert told == evolve(after, digest="secret")


def test_secrets_come_from_the_source_that_was_handed_in(storage: Storage) -> None:
    """Nothing else draws one, so a simulation can repeat itself."""

    class Counting:
        count = 0

        def new(self) -> str:
            self.count += 1
            return f"{self.count:052}"

    with Dispatcher(storage, secrets=Counting()) as dispatcher:
        key, text = created(dispatcher)
        assert text == f"dsp_{key.id}_{1:052}"
        assert dispatcher.rotate_key(key.id)[1] == f"dsp_{key.id}_{2:052}"


def test_a_key_expires(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """To the microsecond, also while it is remembered."""
    key, text = created(dispatcher, expires_us=clock.now_us() + SECOND_US // 2)
    assert dispatcher.authenticate(text) == key
    clock.advance_us(SECOND_US // 2 - 1)
    assert dispatcher.authenticate(text) == key
    clock.advance_us(1)
    assert dispatcher.authenticate(text) is None
    with pytest.raises(WrongStateError):
        dispatcher.rotate_key(key.id)


def test_a_rotation_overlaps(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """The new secret counts at once, the former one until the overlap ends; one before that no more."""
    key, first = created(dispatcher)
    rotated, second = dispatcher.rotate_key(key.id, overlap_s=10)
    assert second is not None
    assert (rotated.id, rotated.version) == (key.id, 2)
    assert dispatcher.authenticate(first) == dispatcher.authenticate(second) == rotated
    clock.advance(10)
    assert dispatcher.authenticate(first) is None
    _, third = dispatcher.rotate_key(key.id, overlap_s=10)
    _, fourth = dispatcher.rotate_key(key.id, overlap_s=10)
    assert [dispatcher.authenticate(str(each)) is not None for each in (first, second, third, fourth)] == [
        False, False, True, True]  # fmt: skip
    dispatcher.revoke_key(key.id)
    assert dispatcher.authenticate(str(fourth)) is None, "revoking ends every secret"
    assert dispatcher.authenticate(str(third)) is None


def test_without_overlap_the_former_secret_ends_at_once(dispatcher: Dispatcher) -> None:
    """A leaked secret is replaced by this."""
    key, first = created(dispatcher)
    dispatcher.rotate_key(key.id)
    assert dispatcher.authenticate(first) is None


def test_a_revocation_counts_on_every_server_within_a_second(clock: ManualClock) -> None:
    """Here at once; elsewhere a key is trusted for less than a second since it was last looked at."""
    storage = MemoryStorage(clock)
    with Dispatcher(storage) as here, Dispatcher(storage) as there:
        key, text = created(here)
        assert there.authenticate(text) == key
        clock.advance(0.5)
        assert there.authenticate(text) == key
        here.revoke_key(key.id)
        assert here.authenticate(text) is None
        clock.advance(0.499_999)
        assert there.authenticate(text) == key, "remembered: no request reads the store for it"
        clock.advance_us(1)
        assert there.authenticate(text) is None


def test_a_key_is_read_once_a_second(clock: ManualClock) -> None:
    """However many requests come with it."""
    storage = MemoryStorage(clock)
    with Dispatcher(storage) as dispatcher:
        _, text = created(dispatcher)
        dispatcher.authenticate(text)
        storage.close()
        assert dispatcher.authenticate(text) is not None


def test_a_key_once_made_locks_the_door_for_good(clock: ManualClock) -> None:
    """A frontend asks whether there are keys; revoking them all does not open it again."""
    storage = MemoryStorage(clock)
    with Dispatcher(storage) as here, Dispatcher(storage) as there:
        assert not here.has_keys()
        assert not there.has_keys()
        key, _ = created(here)
        assert here.has_keys()
        clock.advance(1)
        assert there.has_keys()
        here.revoke_key(key.id)
        assert here.has_keys()
    with Dispatcher(storage) as later:
        assert later.has_keys()


def test_a_repeated_creation_makes_no_second_key(dispatcher: Dispatcher) -> None:
    """The same receipt key gets the first key again, without a text: that was told once."""
    repeating = dispatcher.acting(Context(receipt_key="once"))
    key, _ = created(repeating)
    assert repeating.create_key("n", (Scope.SUBMITTER,)) == (key, None)
    assert dispatcher.keys() == [key]


def test_unfit_keys_are_refused(dispatcher: Dispatcher, clock: ManualClock) -> None:
    """All that is wrong at once; nothing is made."""
    unfit: dict[str, dict[str, Any]] = {
        "/scopes": {"scopes": ()},
        "/scopes/0": {"scopes": (Scope.OPERATOR,)},
        "/name": {"name": "a b"},
        "/tenant": {"tenant": "a b"},
        "/expires_us": {"expires_us": clock.now_us()},
        "/engine_id": {"engine_id": "e1"},
    }
    for path, fields in unfit.items():
        with pytest.raises(InvalidCommandError) as refusal:
            dispatcher.create_key(**{"name": "n", "scopes": (Scope.ADMIN,), **fields})
        assert [problem.path for problem in refusal.value.problems] == [path]
    assert not dispatcher.keys(revoked=True)


def test_a_tenant_has_so_many_keys_and_no_more(dispatcher: Dispatcher, storage: Storage) -> None:
    """A limit, so that a leaked admin key cannot fill the store; revoked ones are not counted."""
    save(storage, added(*(a_key(f"k{n}") for n in range(KEYS_MAX))))
    with pytest.raises(LimitExceededError):
        created(dispatcher)
    created(dispatcher, tenant="other")
    dispatcher.revoke_key("k0")
    created(dispatcher)


# ----- tenants


def test_another_tenants_key_is_an_unknown_key(dispatcher: Dispatcher) -> None:
    """Word for word; it is in no list; and no admin makes one there."""
    key, text = created(dispatcher)
    theirs = acting(dispatcher, Scope.ADMIN, tenant="other")
    own, _ = created(theirs)
    assert theirs.keys() == [own]
    for act in (theirs.revoke_key, theirs.rotate_key, dispatcher.acting(Context(tenant="other")).revoke_key):
        with pytest.raises(UnknownKeyError) as foreign:
            act(key.id)
        with pytest.raises(UnknownKeyError) as missing:
            act("key-none")
        assert str(foreign.value).replace(key.id, "key-none") == str(missing.value)
    for refused in (lambda: created(theirs, tenant="default"), lambda: theirs.keys(tenant="default")):
        with pytest.raises(ForbiddenError):
            refused()
    assert dispatcher.authenticate(text) == key


@pytest.mark.parametrize("context", [OPERATOR, Context()], ids=["operator", "owner"])
def test_an_operator_keeps_the_keys_of_all_tenants(
    dispatcher: Dispatcher, clock: ManualClock, context: Context
) -> None:
    """And sees no more of the tenants than that."""
    operator = dispatcher.acting(context)
    key, text = created(operator, Scope.ADMIN, tenant="other")
    clock.advance(1)
    mine, _ = created(operator)
    assert operator.keys() == [key, mine]
    assert operator.keys(tenant="other") == [key]
    job = dispatcher.acting(context_of(key)).submit(spec())
    assert job.tenant == "other"
    assert operator.jobs(Query(sort="created_us")).records == []
    assert operator.revoke_key(key.id).revoked_us is not None
    assert operator.keys() == [mine]
    assert len(operator.keys(revoked=True)) == 2
    assert dispatcher.authenticate(text) is None


# ----- scopes

VERBS: dict[str, Callable[[Dispatcher, Lease], Any]] = {
    "Submit": lambda d, _: d.submit(spec()),
    "SubmitEach": lambda d, _: d.execute(c.SubmitEach(specs=(spec(),))),
    "campaign": lambda d, _: d.campaigns.progress("none"),
    "Update": lambda d, lease: d.update(lease.job.id, Edit(priority=1)),
    "Cancel": lambda d, lease: d.cancel(lease.job.id),
    "Hold": lambda d, lease: d.hold(lease.job.id),
    "Release": lambda d, lease: d.release(lease.job.id),
    "Requeue": lambda d, lease: d.requeue(lease.job.id),
    "Assign": lambda d, lease: d.assign(lease.job.id, "e1"),
    "Delete": lambda d, lease: d.delete(lease.job.id),
    "Restore": lambda d, lease: d.restore(lease.job.id),
    "Register": lambda d, _: d.register("e1", Profile(), session="s1"),
    "Heartbeat": lambda d, _: d.heartbeat("e1", session="s1"),
    "SetWanted": lambda d, _: d.cordon("e1"),
    "Deregister": lambda d, _: d.deregister("e1"),
    "ReportBenchmark": lambda d, _: d.report_benchmark("e1", []),
    "Claim": lambda d, _: d.claim("e1", session="s1"),
    "Renew": lambda d, lease: d.renew(lease),
    "ReportProgress": lambda d, lease: d.progress(lease, Progress(fraction=0.5)),
    "Complete": lambda d, lease: d.complete(lease),
    "Fail": lambda d, lease: d.fail(lease, JobError(failure_class="engine", message="x")),
    "GiveBack": lambda d, lease: d.give_back(lease),
    "CreateKey": lambda d, _: d.create_key("n", (Scope.ENGINE,)),
    "RevokeKey": lambda d, _: d.revoke_key("key-1"),
    "RotateKey": lambda d, _: d.rotate_key("key-1"),
    "PlanWindow": lambda d, _: d.windows.plan(None, from_us=0, until_us=1),
    "EndWindow": lambda d, _: d.windows.end("w"),
    "performance": lambda d, _: d.performance("e1"),
    "estimates": lambda d, _: d.estimates(),
    "windows": lambda d, _: d.windows.list(),
    "CreatePool": lambda d, _: d.pools.create("p", PoolSpec(capacity_bytes=1)),
    "EditPool": lambda d, _: d.pools.edit("p", {"note": "x"}),
    "ReportPool": lambda d, _: d.pools.report("p", used_bytes=1),
    "DeletePool": lambda d, _: d.pools.delete("p"),
    "pool": lambda d, _: d.pools.get("p"),
    "pools": lambda d, _: d.pools.list(),
    "Rekey": lambda d, _: d.rekey(),
    "SetLimit": lambda d, _: d.limits.set("l", LimitSpec(capacity=1)),
    "DeleteLimit": lambda d, _: d.limits.remove("l"),
    "limit": lambda d, _: d.limits.get("l"),
    "limits": lambda d, _: d.limits.list(),
    "PurgeJob": lambda d, _: d.purge(dry_run=True),
    "job": lambda d, lease: d.job(lease.job.id),
    "jobs": lambda d, _: d.jobs(Query(sort="created_us")),
    "attempts": lambda d, lease: d.attempts(lease.job.id),
    "history": lambda d, lease: d.history(lease.job.id),
    "explain": lambda d, lease: d.explain(lease.job.id),
    "engine": lambda d, _: d.engine("e1"),
    "engines": lambda d, _: d.engines(),
    "events": lambda d, _: d.events(),
    "probe": lambda d, _: d.check_storage(),
    "preview": lambda d, _: d.preview("e1"),
    "stats": lambda d, _: d.stats(),
    "keys": lambda d, _: d.keys(),
    "resolve": lambda d, lease: d.resolve_job_id(lease.job.id[:12]),
    "look_at_many": lambda d, _: d.requeue_many(
        Query(sort="created_us", where={"state": ("completed",)}), dry_run=True
    ),
}
SUBMITTER = {
    "Submit", "SubmitEach", "Update", "Cancel", "Hold", "Release", "Requeue", "Delete", "Restore",
    "campaign", "job", "jobs", "attempts", "history", "explain", "engine", "engines", "stats", "probe", "resolve",
    "pool", "pools", "limit", "limits", "windows", "performance", "estimates",
}  # fmt: skip
ENGINE = {
    "Register", "Heartbeat", "Deregister", "ReportBenchmark", "Claim", "preview", "engine", "probe", "resolve",
    "Renew", "ReportProgress", "Complete", "Fail", "GiveBack", "ReportPool", "pool", "pools",
    "limit", "limits", "performance",
}  # fmt: skip
TIME = {
    "ExpireWindow",
    "WriteDenials",
    "PlanMany",
    "PurgeDenials",
    "Grant",
    "EndAttempt",
    "FireTimer",
    "CheckEngine",
    "ProbeEngine",
    "PruneReceipt",
}


def test_every_verb_has_a_line_in_the_table() -> None:
    """A command or question that is new must be thought about; the commands of time are the owner's alone."""
    commands = {kind.__name__ for kind in get_args(c.Command)}
    questions = {
        name
        for module in (queries, campaigns, explaining, bulk, limitview, poolview, windowview)
        for name, each in vars(module).items()
        if inspect.isfunction(each)
        and each.__module__ == module.__name__
        and "snapshot" in inspect.signature(each).parameters
        and not name.startswith("_")
        and "context" in inspect.signature(each).parameters
    }
    assert set(PERMITS) == (commands - TIME) | questions == set(VERBS)


def refused(dispatcher: Dispatcher, lease: Lease, verb: str) -> bool:
    """Whether a verb is forbidden; that it fails for another reason is not asked here."""
    try:
        VERBS[verb](dispatcher, lease)
    except ForbiddenError:
        return True
    except Exception:  # whatever comes after the permit
        return False
    return False


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [((), set()), ((Scope.SUBMITTER,), SUBMITTER), ((Scope.ENGINE,), ENGINE), ((Scope.ADMIN,), set(VERBS) - {"PurgeJob", "Rekey"}),
     ((Scope.OPERATOR,), set(VERBS)), ((Scope.SUBMITTER, Scope.ENGINE), SUBMITTER | ENGINE), (None, set(VERBS))],
    ids=["none", "submitter", "engine", "admin", "operator", "both", "owner"],
)  # fmt: skip
def test_scopes_allow_what_they_say_and_nothing_else(
    dispatcher: Dispatcher, scopes: tuple[Scope, ...] | None, allowed: set[str]
) -> None:
    """In the library itself, whatever frontend is in front of it."""
    start(dispatcher)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    somebody = dispatcher.acting(Context(scopes=scopes))
    assert {verb for verb in VERBS if not refused(somebody, lease, verb)} == allowed


def test_commands_of_time_are_for_no_key(dispatcher: Dispatcher) -> None:
    """Nobody outside may say that a lease has ended."""
    admin = acting(dispatcher, Scope.ADMIN)
    with pytest.raises(ForbiddenError):
        admin.execute(c.EndAttempt(job_id="job-1", number=1))


def test_a_key_bound_to_an_engine_speaks_for_no_other(dispatcher: Dispatcher) -> None:
    """It can neither claim, report nor ask as another engine of its tenant."""
    start(dispatcher)
    dispatcher.submit(spec())
    lease = claim(dispatcher)
    _, text = created(dispatcher, Scope.ENGINE, engine_id="e2")
    key = dispatcher.authenticate(text)
    assert key is not None
    bound = dispatcher.acting(context_of(key))
    assert {verb for verb in ENGINE if refused(bound, lease, verb)} == ENGINE - {
        "probe", "resolve", "pool", "pools", "limit", "limits", "ReportPool",
    }  # fmt: skip
    start(bound, "e2")
    dispatcher.submit(spec())
    bound.complete(claim(bound, "e2"))
    assert bound.engine("e2").engine.tenant == "default"


def test_a_denied_verb_changes_nothing(dispatcher: Dispatcher, storage: Storage) -> None:
    """Not even the receipt of its key."""
    save(storage, ChangeSet())
    engine = acting(dispatcher, Scope.ENGINE, receipt_key="r")
    with pytest.raises(ForbiddenError):
        engine.submit(spec())
    assert dispatcher.events() == []
    assert dispatcher.acting(Context(receipt_key="r")).submit(spec()).version == 1
