"""One small function per command, and the table of who handles what."""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_core.shell.handlers import (
    denials,
    engines,
    jobs,
    keys,
    limits,
    pools,
    time,
    trust,
    windows,
    work,
)
from dispatch_core.shell.handlers.handler import Handler
from dispatch_core.vocabulary import commands as c
from dispatch_core.vocabulary.denials import PurgeDenials, WriteDenials
from dispatch_core.vocabulary.limits import LimitCommand
from dispatch_core.vocabulary.pools import PoolCommand
from dispatch_core.vocabulary.windows import EndWindow, ExpireWindow, PlanWindow

HANDLERS: Mapping[type, Handler] = {
    c.Submit: jobs.SUBMIT,
    c.SubmitEach: jobs.SUBMIT_EACH,
    **dict.fromkeys(c.JobControl.__args__, jobs.CONTROL),
    **dict.fromkeys(c.JobReport.__args__, work.REPORT),
    c.Claim: work.CLAIM,
    c.Register: engines.REGISTER,
    c.Deregister: engines.DEREGISTER,
    c.Heartbeat: engines.HEARTBEAT,
    c.SetWanted: engines.CHANGE,
    c.ReportBenchmark: engines.CHANGE,
    c.CheckEngine: engines.CHECK,
    c.ProbeEngine: trust.PROBE,
    c.CreateKey: keys.CREATE,
    c.RevokeKey: keys.CHANGE,
    c.RotateKey: keys.CHANGE,
    **dict.fromkeys(PoolCommand.__args__, pools.CHANGE),
    **dict.fromkeys(LimitCommand.__args__, limits.CHANGE),
    PlanWindow: windows.PLAN,
    EndWindow: windows.END,
    ExpireWindow: windows.END,
    c.FireTimer: time.FIRE,
    c.EndAttempt: time.END,
    c.PruneReceipt: time.PRUNE,
    c.PurgeJob: time.PURGE,
    c.PlanMany: jobs.PLAN,
    c.Rekey: jobs.REKEY,
    WriteDenials: denials.WRITE,
    PurgeDenials: denials.PURGE,
}
