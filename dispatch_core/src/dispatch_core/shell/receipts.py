"""Idempotency: the same key and command get the same answer, remembered in the same change set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from dispatch_core.shell.wire import dumps, from_plain, to_plain
from dispatch_core.shell.workspace import Workspace
from dispatch_core.vocabulary.attempts import Attempt, Lease, LeaseStatus
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.commands import Command, ManyPlan, Submitted
from dispatch_core.vocabulary.context import Context
from dispatch_core.vocabulary.engines import Engine, HeartbeatAnswer
from dispatch_core.vocabulary.errors import KeyReusedError
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.keys import Key
from dispatch_core.vocabulary.limits import Limit
from dispatch_core.vocabulary.pools import Pool
from dispatch_core.vocabulary.records import Receipt, receipt_id
from dispatch_core.vocabulary.windows import Window

_ANSWERS: Mapping[str, type] = {
    cls.__name__: cls
    for cls in (
        Job,
        Engine,
        Attempt,
        Lease,
        LeaseStatus,
        HeartbeatAnswer,
        Key,
        Pool,
        Window,
        Limit,
        ManyPlan,
        Submitted,
    )
}


def fingerprint(command: Command) -> str:
    """What makes two commands the same: the verb and its whole body, how long a claim may wait, fresh secrets and finds apart."""
    body = to_plain(command)
    for apart in ("wait_s", "waited", "digest", "found"):
        body.pop(apart, None)
    return hashlib.blake2b(
        f"{type(command).__name__} {dumps(body)}".encode("utf-8", "surrogatepass"), digest_size=16
    ).hexdigest()


def once(command: Command, context: Context, workspace: Workspace, run: Callable[[], Any]) -> Any:
    """Run a command once per receipt key. Raises KeyReusedError if the key belongs to another command."""
    if context.receipt_key is None:
        return run()
    key = receipt_id(context.tenant, context.receipt_key)
    known = workspace.receipt(key)
    if known is not None:
        if known.fingerprint != fingerprint(command):
            raise KeyReusedError(f"the key {context.receipt_key!r} was used before with another request")
        return _decode(known.answer)
    answer = run()
    if answer or not isinstance(answer, list):  # a claim that finds nothing stores nothing
        workspace.put(_receipt(key, command, context, answer, workspace))
    return answer


def _receipt(key: str, command: Command, context: Context, answer: Any, workspace: Workspace) -> Receipt:
    first = answer[0] if isinstance(answer, list) else answer
    job_id = first.id if isinstance(first, Job) else getattr(getattr(first, "job", first), "job_id", None)
    if isinstance(first, Submitted):
        job_id = next((each.job.id for each in answer if each.job is not None), None)
    job_id = first.job.id if isinstance(first, Lease) else job_id
    return Receipt(
        key=key,
        tenant=context.tenant,
        version=1,
        fingerprint=fingerprint(command),
        answer=_encode(answer),
        job_id=job_id,
        due_us=workspace.now + to_us(workspace.house.settings.receipt_ttl_s),
    )


def _encode(answer: Any) -> dict[str, object]:
    if isinstance(answer, list):
        return {"type": type(answer[0]).__name__, "list": [to_plain(each) for each in answer]}
    return {"type": type(answer).__name__, "one": to_plain(answer)}


def _decode(plain: Mapping[str, Any]) -> Any:
    try:
        cls = _ANSWERS[plain["type"]]
        if "one" in plain:
            return from_plain(cls, plain["one"])
        return [from_plain(cls, each) for each in plain["list"]]
    except (KeyError, TypeError, ValueError) as error:
        raise KeyReusedError(
            "the answer kept for this key is of another version and cannot be read"
        ) from error
