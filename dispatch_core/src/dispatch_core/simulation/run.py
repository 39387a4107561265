"""``simulate``: a fleet and a workload through the real dispatcher, on a virtual clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from dispatch_core.kernel.scheduling.classes import parse_requirements
from dispatch_core.kernel.scheduling.policy import Policy
from dispatch_core.kernel.scheduling.rules import Rule
from dispatch_core.shell.settings import Settings
from dispatch_core.simulation.actors import SimEngine
from dispatch_core.simulation.chance import Crashes
from dispatch_core.simulation.fleet import FleetPlan
from dispatch_core.simulation.kind import SIMULATED, spec_of
from dispatch_core.simulation.outcome import Outcome
from dispatch_core.simulation.playing import Play
from dispatch_core.simulation.stage import OpenStorage, open_stage
from dispatch_core.simulation.story import Progress, Story
from dispatch_core.simulation.workload import Workload, refuse
from dispatch_core.vocabulary.attempts import Lease
from dispatch_core.vocabulary.clock import to_us
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError


def simulate(
    fleet: FleetPlan,
    workload: Workload,
    *,
    policy: Policy | None = None,
    settings: Settings | None = None,
    rules: Sequence[Rule] | None = None,
    seed: int = 0,
    storage: OpenStorage | None = None,
    until_s: float | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """What would become of these works on these engines.

    The dispatcher, the store and every decision are the real ones; only time and the engines are simulated.
    Equal arguments give an equal outcome, whatever PYTHONHASHSEED or the store. It ends when every work has
    ended, when nothing more can happen (some work may be for no engine), or after ``until_s`` seconds.
    ``storage`` opens another store than memory on the simulation's clock, for example
    ``lambda clock: create_storage("sqlite://", clock=clock)``; it stays the caller's to close. Raises InvalidCommandError for an unfit work.
    """
    refuse(_unfit(workload))
    stage = open_stage(
        kinds=[SIMULATED], policy=policy, settings=settings, rules=rules, seed=seed, storage=storage
    )
    try:
        engines = {
            name: SimEngine(name, each, Crashes(seed, name, each), each.profile())
            for name, each in fleet.engines()
        }
        specs = [spec_of(work, began_us=stage.began_us) for work in workload.works]

        def length_s(place: int, engine: SimEngine, _lease: Lease) -> float:
            work = workload.works[place]
            return work.true_units / engine.type.speeds[work.task_class]

        story = Story(workload.works, specs, engines, length_s, seed, progress)
        play = Play(stage, story)
        for engine in engines.values():
            play.at(to_us(engine.type.joins_at_s), partial(play.join, engine))
            if engine.type.leaves_at_s is not None:
                play.at(to_us(engine.type.leaves_at_s), partial(play.leave, engine))
        for at_us, places in workload.arrivals():
            play.at(at_us, partial(play.submit, places))
        play.run(None if until_s is None else to_us(until_s))
        return story.outcome(policy_name(policy), stage.now_us, stage.estimates.seconds)
    finally:
        stage.close()


def _unfit(workload: Workload) -> Iterator[FieldProblem]:
    """Requirements that no dispatcher would accept: better said now than when the work is submitted."""
    fine: set[tuple[str, ...]] = set()
    for place, work in enumerate(workload.works):
        if work.requirements not in fine:
            try:
                parse_requirements(work.requirements, SIMULATED.catalogue)
            except InvalidCommandError as error:
                yield from (
                    FieldProblem(f"/works/{place}{each.path}", each.message) for each in error.problems
                )
            else:
                fine.add(work.requirements)


def policy_name(policy: Policy | None) -> str:
    """What reports call a policy: ``flow`` for a ``FlowPolicy``.

    >>> policy_name(None)
    'default'
    """
    return "default" if policy is None else type(policy).__name__.removesuffix("Policy").lower()
