"""Seeded mistakes: each a small change of the code that some test must notice.

A mutant that survives stands for a promise without a test. Add one with every promise that could be broken in
one line; ``old`` must occur exactly once in its file.
"""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

KERNEL, SHELL, VOCABULARY = (f"dispatch_core/{room}" for room in ("kernel", "shell", "vocabulary"))
ROUTES = "tests/core/scheduling/test_routes.py"
OVERTAKING, RATES = "tests/core/scheduling/test_overtaking.py", "tests/core/scheduling/test_rates.py"
TABLE, CHOICE = "tests/core/kernel/test_table.py", "tests/core/scheduling/test_choice.py"
ENGINES, TIME, GROUP, WAITING, SUBMIT, RECEIPTS, TENANTS = (
    f"tests/core/shell/test_{name}.py"
    for name in ("engines", "time", "group", "waiting", "submit", "receipts", "tenants")
)
COST, SYSTEM, LOGS = "tests/core/shell/test_cost.py", "tests/http/test_system.py", "tests/http/test_logs.py"
VERDICTS, HELP = "tests/http/openapi/test_verdicts.py", "tests/cli/test_help.py"
BLAME, FAILURES = "tests/core/kernel/test_blame.py", "tests/core/shell/test_failures.py"
LEARNED = "tests/core/shell/test_learned_limits.py"
BREAKER, QUARANTINE = "tests/core/kernel/test_quarantine.py", "tests/core/shell/test_quarantine.py"
LADDER = "tests/core/kernel/test_ladder.py"
BATCHES = "tests/http/test_batches.py"
MODES, CAMPAIGNS = "tests/core/scheduling/test_own_modes.py", "tests/core/shell/test_campaigns.py"
COMMANDS_OVER_SEVERAL, ENGINE_OVER_SEVERAL = "tests/cli/test_failover.py", "tests/cli/agent/test_failover.py"
SERVERS = "tests/cli/test_servers.py"
LAWS = "tests/core/storage/test_laws.py"
SIMULATION = "dispatch_core/simulation"
SIMULATE, WHAT_IF = "tests/simulation/test_simulate.py", "tests/simulation/test_what_if.py"
HISTORIES = "dispatch_core/testing/histories"
JUDGES = ("tests/core/kit/test_histories.py", "tests/core/kit/test_history_search.py")
FLEET, POLICIES = "tests/core/fleet/test_fleet.py", "tests/core/scheduling/test_classes_and_policies.py"


@frozen
class Mutant:
    """One mistake: in ``file`` (under its member's ``src``), ``old`` becomes ``new``; ``tests`` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS: Sequence[Mutant] = (
    Mutant("fencing by name", f"{SHELL}/handlers/work.py",
           "attempt.token != token or attempt.engine_id != engine_id", "attempt.engine_id != engine_id", (ENGINES,)),
    Mutant("any engine may report", f"{SHELL}/handlers/work.py",
           "attempt.token != token or attempt.engine_id != engine_id", "attempt.token != token", (ENGINES,)),
    Mutant("stale reaper", f"{KERNEL}/lifecycle.py",
           "cause = command.cause or end_cause(attempt, case.now)\n    if cause is None:",
           "cause = command.cause or end_cause(attempt, case.now) or 'lease'\n    if cause is None:", (TABLE, TIME)),
    Mutant("attempts not counted at the grant", f"{KERNEL}/evolve.py",
           '"attempts_used": job.attempts_used + 1', '"attempts_used": job.attempts_used', (TIME,)),
    Mutant("late complete after a new grant", f"{KERNEL}/leases.py",
           "attempt is None or attempt.number != job.live_attempt", "attempt is None", (ENGINES,)),
    Mutant("receipts ignored", f"{SHELL}/receipts.py", "if known is not None:", "if known is None and known:", (RECEIPTS,)),
    Mutant("receipts without fingerprint", f"{SHELL}/receipts.py",
           "if known.fingerprint != fingerprint(command):", "if known.fingerprint == '':", (RECEIPTS,)),
    Mutant("receipts of all tenants in one drawer", f"{VOCABULARY}/records.py",
           'return f"{len(tenant)}:{tenant}:{key}"', 'return f"{tenant}:{key}"', (RECEIPTS,)),
    Mutant("lease ends a microsecond late", f"{KERNEL}/leases.py", "instant <= now", "instant < now", (TIME,)),
    Mutant("hold ignored", f"{VOCABULARY}/jobs.py", "self.held is None and ", "", (SUBMIT,)),
    Mutant("heads keep what was granted", f"{SHELL}/heads.py", "self._leave(before)", "self._windows", (CHOICE,)),
    Mutant("heads miss what was submitted", f"{SHELL}/heads.py", "self._enter(after)", "self._windows", (CHOICE,)),
    Mutant("batch forgets its own grants", f"{SHELL}/heads.py", "if job.id not in overlay)", "if job.id)", (CHOICE,)),
    Mutant("conflicts go unnoticed", "dispatch_core/storage/tables.py",
           "return current.version == before.version", "return current.version >= before.version", (FLEET, LAWS)),
    Mutant("cancel overrides complete", f"{KERNEL}/table.py",
           "cancelling   refuse beat   beat     finish ", "cancelling   refuse beat   beat     yield-run ", (TABLE,)),
    Mutant("give backs unlimited", f"{KERNEL}/lifecycle.py",
           "case.job.give_backs >= case.terms.give_backs_max", "case.job.give_backs < 0", (ENGINES,)),
    Mutant("back-off at lease end", f"{KERNEL}/lifecycle.py",
           "late_until = case.now + case.terms.late_report_us if case.at_cap else None",
           "into, late_until = JobState.FAILED_RETRY, case.now + case.terms.late_report_us", (TIME,)),
    Mutant("cancelled jobs not counted", f"{SHELL}/workspace.py",
           "self._counters[after.tenant, after.state.value] += 1",
           "self._counters[after.tenant, after.state.value] += after.state.value != 'cancelled'", (SUBMIT,)),
    Mutant("slots ignored", f"{SHELL}/handlers/work.py",
           "engine.slots - workspace.open_count(engine.id)", "engine.slots", (CHOICE,)),
    Mutant("priority inverted", f"{KERNEL}/scheduling/policy.py",
           "2.0 ** max(-4, min(8, priority))", "2.0 ** -max(-4, min(8, priority))", (POLICIES,)),
    Mutant("overtaking without a bound", f"{KERNEL}/scheduling/policy.py",
           "min(self.kappa * prospects.best_us / weight, self.cap_s * SECOND_US)",
           "self.kappa * prospects.best_us / weight", (POLICIES,)),
    Mutant("no bound on engines that are slow", f"{KERNEL}/scheduling/policy.py",
           "min(job.ready.order_key + round(max(regret, 0.0)), latest)", "job.ready.order_key + round(max(regret, 0.0))",
           (OVERTAKING,)),
    Mutant("makespan jobs overtake without a bound", f"{KERNEL}/scheduling/policy.py",
           "job.created_us + max(round(self.cap_s * SECOND_US) - prospects.best_us, 0)",
           "job.created_us - prospects.best_us", (MODES,)),
    Mutant("a job's own mode leaves its band", f"{KERNEL}/scheduling/modes.py",
           "return ready if ready.band == band else attrs.evolve(ready, band=band)", "return ready", (MODES,)),
    Mutant("modes place and forget", f"{KERNEL}/scheduling/modes.py",
           "return self._policies[job.spec.mode].lateness(job, estimate)", "return self._policies[None].lateness(job, estimate)",
           (MODES,)),
    Mutant("a campaign counts deleted jobs", "dispatch_core/storage/indexes.py",
           "if job.deleted_us is None:\n                cell", "if job:\n                cell", (CAMPAIGNS,)),
    Mutant("a campaign is every tenant's", "dispatch_core/storage/sql/statements.py",
           'mine = (jobs.tenant == bindparam("tenant"), jobs.campaign', "mine = (jobs.campaign == jobs.campaign, jobs.campaign", (CAMPAIGNS,)),
    Mutant("estimates forget the benchmark", f"{KERNEL}/scheduling/rates.py",
           "prior = log(base) + fleet.total", "prior = log(nominal_us) + fleet.total", (RATES,)),
    Mutant("a straggler condemns its engine", f"{KERNEL}/scheduling/rates.py",
           "min(log(took_us / units), now + SURPRISE_MAX)", "log(took_us / units)", (RATES,)),
    Mutant("preferences ignored", f"{KERNEL}/scheduling/matcher.py",
           "self._policy.lateness(job, estimate) + match.penalty_us", "self._policy.lateness(job, estimate)", (CHOICE,)),
    Mutant("verdicts outlive the profile", f"{KERNEL}/scheduling/matcher.py",
           "self._verdicts.get((engine.id, engine.version))", "next(iter(self._verdicts.values()), None)",
           ("tests/core/scheduling/test_rules.py",)),
    Mutant("pins have no lane", f"{KERNEL}/scheduling/policy.py",
           "lane = engine_lane(job.pin.engine_id) if job.pin else OPEN_LANE", "lane = OPEN_LANE", (SUBMIT,)),
    Mutant("a requeued job keeps its live attempt", f"{KERNEL}/evolve.py",
           'waits = {"live_attempt": None, ', 'waits = {"live_attempt": job.live_attempt, ', (TIME,)),
    Mutant("an expired attempt is forgotten", f"{KERNEL}/evolve.py",
           '"failed_on": failed_on, **IDLE}\n        case LeaseGivenBack',
           '"failed_on": failed_on, "live_attempt": None, **IDLE}\n        case LeaseGivenBack', (TABLE, TIME)),
    Mutant("tick ignores the pause", f"{SHELL}/maintenance.py",
           "return elapsed_us < self._paused_until_us", "return elapsed_us < 0", (TIME,)),
    Mutant("jumps go unnoticed", f"{SHELL}/maintenance.py", "if abs(drift) > JUMP_US:", "if abs(drift) > 10**18:", (TIME,)),
    Mutant("old sessions keep their leases", f"{SHELL}/handlers/engines.py",
           "_end_sessions(command.engine_id, command.session, workspace)\n", "workspace.open_attempts(command.engine_id)\n",
           (ENGINES,)),
    Mutant("sessions not checked", f"{KERNEL}/fleet.py", "if engine.session != session:", "if not session:", (ENGINES,)),
    Mutant("foreign jobs can be touched", f"{SHELL}/workspace.py",
           "if not isinstance(found, Job) or found.tenant != context.tenant:", "if not isinstance(found, Job):", (TENANTS,)),
    Mutant("an id taken in the batch is given again", f"{SHELL}/handlers/handler.py",
           "if not workspace.knows((record_type, new)):", "if new:", (SUBMIT,)),
    Mutant("a batch has one instant", f"{SHELL}/handlers/jobs.py",
           "created = workspace.now + index", "created = workspace.now", (SUBMIT,)),
    Mutant("claims come before submits", f"{SHELL}/handlers/handler.py", "SUBMIT = 2\n    CLAIM = 3", "SUBMIT = 3\n    CLAIM = 2",
           (GROUP,)),
    Mutant("a submit wakes nobody", f"{SHELL}/waiting.py", "if old is None or", "if old is not None and", (WAITING,)),
    Mutant("the queue has no end", f"{SHELL}/committer.py",
           "self._queue.qsize() >= ", "self._queue.qsize() < 0 >= ", (GROUP,)),
    Mutant("a fork is not noticed", f"{SHELL}/committer.py", "if os.getpid() != self._pid:", "if not self._pid:", (GROUP,)),
    Mutant("a granted job goes on falling", f"{KERNEL}/evolve.py",
           '"fall_at_us": None,\n        "fall_left_us": None,\n        "live_attempt"', '"live_attempt"', (LADDER,)),
    Mutant("a hold does not stop the ladder", f"{KERNEL}/pacing.py",
           "return min(max(before.fall_at_us - now, 0), whole)", "return whole", (LADDER,)),
    Mutant("memory survives a failed commit", f"{SHELL}/heads.py",
           '"""Read the store again at the next claim."""\n        self._windows = None',
           '"""Read the store again at the next claim."""', (GROUP, FLEET)),
    Mutant("all jobs are equally long", f"{KERNEL}/scheduling/policy.py",
           "self.kappa * prospects.best_us / weight, self", "self.kappa / weight, self", (POLICIES,)),
    Mutant("all engines are equally fast", f"{KERNEL}/scheduling/rates.py",
           "if cell.task_class == task_class:", "if cell.task_class == engine:", (ROUTES,)),
    Mutant("a grant keeps no runners-up", f"{KERNEL}/scheduling/matcher.py",
           "runners_up=tuple(chosen[1:])", "runners_up=()", (CHOICE,)),
    Mutant("every claim lists the engines", f"{SHELL}/fleetview.py",
           "if self._outlook is None:\n            self._outlook = self.fresh", "if self._outlook != self:\n            self._outlook = self.fresh", (COST,)),
    Mutant("a slow engine takes what a fast one would finish sooner", f"{KERNEL}/scheduling/policy.py",
           "return weight * here_us > there", "return False", (ROUTES,)),
    Mutant("a job goes straight back to where it failed", f"{KERNEL}/scheduling/rules/failed_here.py",
           "if not better:", "if better:", (FAILURES,)),
    Mutant("a job waits for ever for others to take it", f"{KERNEL}/scheduling/rules/failed_here.py",
           "view.now_us - job.updated_us >= PATIENCE_US", "view.now_us < 0", (FAILURES,)),
    Mutant("engines that vanish make poison", f"{KERNEL}/blame.py",
           "if each.failure_class in TELLING]", "if each.failure_class]", (BLAME,)),
    Mutant("one engine makes poison", f"{KERNEL}/blame.py",
           "others = tuple(each for each in known if each.engine_id != engine_id)", "others = known", (BLAME,)),
    Mutant("a learned limit overrules the job's own", f"{KERNEL}/leases.py",
           "command.run_limit_us if limits.run_s is None else to_us(limits.run_s)", "command.run_limit_us", (LEARNED,)),
    Mutant("the last engine is taken out", f"{SHELL}/handlers/trust.py",
           "isinstance(each := workspace.get(ref), Engine) and each.serves", "True", (QUARANTINE,)),
    Mutant("what only one engine can do does not protect it", f"{SHELL}/handlers/trust.py",
           " or _needed(engine, workspace):", ":", (QUARANTINE,)),
    Mutant("bad data is held against engines", f"{SHELL}/handlers/trust.py",
           "        and not fault_of_data(job, engine.id)\n", "", (QUARANTINE,)),
    Mutant("a trial lets everything through", f"{VOCABULARY}/engines.py",
           "return self.profile.slots if self.quarantine is None else 1", "return self.profile.slots", (QUARANTINE,)),
    Mutant("former failures outlive a quarantine", f"{KERNEL}/fleet.py",
           "quarantine=None, trusted_us=at_us)", "quarantine=None)", (QUARANTINE,)),
    Mutant("one silence counts for every lease", f"{KERNEL}/quarantine.py",
           "silent_us - at_us <= breaker.silence_us", "silent_us < at_us", (BREAKER,)),
    Mutant("a job stays with engines that cannot take it", f"{KERNEL}/scheduling/outlook.py",
           "or rate is None or job.id in self.passed_over", "or rate is None", (ROUTES,)),
    Mutant("a job stays with engines that do not ask", f"{KERNEL}/scheduling/outlook.py",
           "asked_us is not None and abs(now - asked_us) <= ASKS_WITHIN_US", "asked_us != self", (ROUTES,)),
    Mutant("nothing is learned from runs", f"{SHELL}/fleetview.py",
           "            outlook.rates.learn(", "            (lambda *_: None)(", (ROUTES,)),
    Mutant("floods are not put back", f"{KERNEL}/scheduling/policy.py",
           "job.created_us + prospects.push_us + round(grace - steps)", "job.created_us + round(grace - steps)", (ROUTES,)),
    Mutant("a benchmark replaces all others", f"{KERNEL}/fleet.py",
           "for cell in (*profile.benchmarks, *event.benchmarks)", "for cell in event.benchmarks", (ENGINES,)),
    Mutant("any content type is JSON", "dispatch_http/body.py",
           "    _check_type(req.content_type)\n    return checked", "    return checked", (VERDICTS,)),
    Mutant("ready without a store", "dispatch_http/resources/system.py",
           "        self.desk.dispatcher.check_storage()\n", "", (SYSTEM,)),
    Mutant("ready while time stands still", "dispatch_http/resources/system.py",
           "        self.desk.heart.check()\n", "", (SYSTEM,)),
    Mutant("requests are logged without their callers", "dispatch_http/observing.py",
           "client=req.context.client,", "", (LOGS,)),
    Mutant("the oldest lines of the log", "dispatch_http/logs.py", "return found[-limit:]", "return found[:limit]", (LOGS,)),
    Mutant("secrets stay in the ring", "dispatch_http/logs.py",
           "redact, *([] if ring is None else [ring]), render]", "*([] if ring is None else [ring]), redact, render]", (LOGS,)),
    Mutant("a limit may be any text", "dispatch_cli/commands/logs.py",
           "type=click.IntRange(1, 2_000), default=100", "default='100'", (HELP,)),
    Mutant("simulated luck is the same for all", f"{SIMULATION}/chance.py",
           'Random(f"{seed}/{job}/{attempt}")', "Random(seed)", (SIMULATE,)),
    Mutant("a simulated engine that left still waits", f"{SIMULATION}/playing.py",
           "            self._stage.committer.withdraw(engine.claim)\n", "", (SIMULATE,)),
    Mutant("simulated engines never say that they live", f"{SIMULATION}/playing.py",
           "self._beat([engine for engine in self._engines.values() if self._overdue(engine)])", "self._beat([])", (SIMULATE,)),
    Mutant("a simulated crash is noticed by nobody", f"{SIMULATION}/playing.py",
           "for span_s in (settings.lease_ttl_s, settings.silent_after_s, settings.lost_after_s):", "for span_s in ():", (SIMULATE,)),
    Mutant("a fork forgets how long runs are under way", f"{SIMULATION}/whatif.py",
           "ran_us = self._state.now_us - attempt.granted_us", "ran_us = 0", (WHAT_IF,)),
    Mutant("edits open classes without end", f"{SHELL}/handlers/jobs.py",
           "context, workspace, had=[asked_for(job)])", "context, workspace, had=[_edited(job, command.edit)])", (SUBMIT,)),
    Mutant("work of any length is reckoned with", f"{KERNEL}/scheduling/rates.py",
           "round(min(units * us_per_unit, LENGTH_MAX_US))", "round(units * us_per_unit)", (ROUTES,)),
    Mutant("what pools lack is beyond 64 bits", f"{SHELL}/room_forms.py",
           "within_64_bits(room.free_bytes)", "room.free_bytes", ("tests/http/test_pools.py",)),
    Mutant("another cap is for new jobs only", f"{SIMULATION}/whatif.py",
           "if self._changes.order:", "if self._changes.order is None:", (WHAT_IF,)),
    Mutant("a page believes the names of jobs", f"{SIMULATION}/plots.py",
           'f"<title>{escape(words)}</title></rect>"\n    )\n\n\ndef _priorities', 'f"<title>{words}</title></rect>"\n    )\n\n\ndef _priorities',
           ("tests/simulation/test_report.py",)),
    Mutant("lines of all chunks have one receipt", "dispatch_http/submitting.py",
           "_answers(req, desk, fields, str(n), chunk)", "_answers(req, desk, fields, '', chunk)", (BATCHES,)),
    Mutant("a bad line keeps others back", f"{SHELL}/handlers/jobs.py",
           "else Submitted(job=next(jobs))", "else Submitted()", (BATCHES,)),
    Mutant("all reports of a request have one receipt", f"{SHELL}/carrying.py",
           'f"{key}\\n{place}"', "key", (BATCHES,)),
    Mutant("a command's repeat is a new command", "dispatch_cli/transport.py",
           'if method != "GET":', 'if method == "GET":', (COMMANDS_OVER_SEVERAL,)),
    Mutant("too many requests here, so try there", "dispatch_cli/transport.py",
           "later_s=retry_after_s(response), away=False)", "later_s=retry_after_s(response))", (COMMANDS_OVER_SEVERAL,)),
    Mutant("a server that is frozen has all the time", "dispatch_cli/transport.py",
           "share_s = left_s if count == 1 else", "share_s = left_s if count else", (COMMANDS_OVER_SEVERAL,)),
    Mutant("who is late moves everybody on", "dispatch_cli/servers.py",
           "if url == self._urls[self._at]:", "if url:", (SERVERS,)),
    Mutant("nobody is left alone", "dispatch_cli/servers.py",
           "self._not_before[url] = now + self._bounded(later_s or 0.0)", "self._not_before[url] = now", (SERVERS,)),
    Mutant("a pause before another server", "dispatch_cli/servers.py",
           "return None if asked else 0.0", "return None", (SERVERS,)),
    Mutant("a claim that moves on is a new claim", "dispatch_cli/agent/claiming.py",
           "params=params, key=key, wait_s", "params=params, key=secrets.token_urlsafe(18), wait_s", (ENGINE_OVER_SEVERAL,)),
    Mutant("a departure is repeated under another key", "dispatch_cli/agent/session.py",
           "key=key, brief=True)", "brief=True)", (ENGINE_OVER_SEVERAL,)),
    Mutant("the last try leaves servers out", "dispatch_cli/agent/client.py",
           "if last and away.retry_after_s != 0:", "if last:", ("tests/cli/agent/test_client.py",)),
    Mutant("who waits is never asked again", f"{SHELL}/stepped.py",
           "left = self._turns.take(left[:size]) + left[size:]", "left = self._turns.take(left[:size]) and left[size:]",
           ("tests/core/shell/test_stepped.py",)),
    Mutant("a history in any order", f"{HISTORIES}/search.py",
           "if operation.begun_us > horizon:", "if operation.begun_us > horizon + 2**40:", JUDGES),
    Mutant("a history without waits", f"{HISTORIES}/search.py",
           "nodes = [(placed, each) for each in self._by_itself(life, horizon)]", "nodes: list[Node] = []", JUDGES),
    Mutant("in a history an expired attempt is dead", f"{HISTORIES}/life.py",
           "phase=Phase.LATE if at_cap else Phase.WAITING)", "phase=Phase.LATE if at_cap else Phase.WAITING, live=0)", JUDGES),
    Mutant("a history forgets what was acknowledged", f"{HISTORIES}/accounts.py",
           "tuple(sorted(acknowledged - set(stored)))", "tuple(sorted(acknowledged - seen.keys()))", JUDGES),
)  # fmt: skip
