"""`dispatch simulate run|compare|example`: what would become of jobs on a fleet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import click

from dispatch_cli.caller import Caller, calling
from dispatch_cli.examples import examples
from dispatch_cli.exits import CommandFailure, ExitCode
from dispatch_cli.file_errors import about
from dispatch_cli.parameter_types import DURATION

if TYPE_CHECKING:
    from dispatch_core import Settings
    from dispatch_core.simulation import FleetPlan, Outcome, Workload

F = TypeVar("F", bound=Callable[..., object])
MODES: Final[Mapping[str, str]] = MappingProxyType(
    {"flow": "flow", "makespan": "makespan", "fifo": "fifo", "strict": "strict-bands"}
)
POLICIES: Final = tuple(MODES)
"""The names of modes here."""
FILE: Final = click.Path(dir_okay=False, path_type=Path)


def simulation_options(command: F) -> F:
    """What every simulation may be told."""
    for option in reversed(
        (
            click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
                         help="Decides what goes wrong; the same seed gives the same result."),
            click.option("--until", "until_s", type=DURATION, metavar="DURATION", help="Stop after this long."),
            click.option("--cap", "cap_s", type=DURATION, metavar="DURATION",
                         help="How far the flow policy lets a job be overtaken [6h]."),
            click.option("--results", type=FILE, metavar="FILE.csv", help="Write what became of every work, too."),
            click.option("--html", type=FILE, metavar="FILE", help="Write a page with plots, too."),
        )
    ):  # fmt: skip
        command = option(command)
    return command


@click.command("run")
@click.argument("fleet", metavar="FLEET.json", type=FILE)
@click.argument("workload", metavar="WORKLOAD.csv|jsonl", type=FILE)
@click.option("--policy", type=click.Choice(POLICIES), default="flow", show_default=True, help="Who decides.")
@simulation_options
@calling
@examples(
    "dispatch simulate run fleet.json workload.csv",
    "dispatch simulate run fleet.json workload.csv --policy fifo --seed 7 --html fifo.html",
    "dispatch simulate run fleet.json workload.jsonl --json",
)
def run_simulation(
    caller: Caller, /, fleet: Path, workload: Path, policy: str, html: Path | None, **options: Any
) -> None:
    """Try a workload on a fleet.

    The dispatcher that decides is the real one; time and engines are simulated. `dispatch simulate example` writes files to
    start from.
    """
    _simulate(caller, fleet, workload, (policy,), html, options)


@click.command("compare")
@click.argument("fleet", metavar="FLEET.json", type=FILE)
@click.argument("workload", metavar="WORKLOAD.csv|jsonl", type=FILE)
@click.option("--policy", "policies", type=click.Choice(POLICIES), multiple=True,
              help="A policy, once for each; without any all of them.")  # fmt: skip
@simulation_options
@calling
@examples(
    "dispatch simulate compare fleet.json workload.csv",
    "dispatch simulate compare fleet.json workload.csv --policy flow --policy fifo --html compared.html",
)
def compare_policies(
    caller: Caller,
    /,
    fleet: Path,
    workload: Path,
    policies: tuple[str, ...],
    html: Path | None,
    **options: Any,
) -> None:
    """Try a workload on a fleet under several policies, side by side.

    Everything but the decisions is the same for all: the same engines crash at the same time.
    """
    _simulate(caller, fleet, workload, tuple(dict.fromkeys(policies)) or POLICIES, html, options)


@click.command("example")
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--works", type=click.IntRange(1, 100_000), default=300, show_default=True, metavar="N",
              help="How many works.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace files that exist.")
@calling
@examples("dispatch simulate example .", "dispatch simulate example big --works 3000")
def write_example(caller: Caller, folder: Path, works: int, force: bool) -> None:
    """Write a fleet and a workload to start from."""
    from dispatch_core.simulation import example_fleet, example_workload

    write_both(caller, folder, example_fleet(), example_workload(works), force=force)


def write_both(caller: Caller, folder: Path, fleet: FleetPlan, workload: Workload, *, force: bool) -> None:
    """Write a fleet and a workload into a folder, and say so. Raises CommandFailure if they exist."""
    from dispatch_core.simulation import write_fleet, write_workload

    one, other = folder / "fleet.json", folder / "workload.csv"
    if not force and (found := next((path for path in (one, other) if path.exists()), None)):
        raise CommandFailure("exists", f"{found} exists; --force replaces it", exit_code=ExitCode.REFUSED)
    with about(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_fleet(one, fleet)
        write_workload(other, workload)
    told = {"fleet": str(one), "workload": str(other)}
    caller.tell_line(told, f"{one} and {other}; try: dispatch simulate compare {one} {other}")


def _simulate(
    caller: Caller,
    fleet: Path,
    workload: Path,
    policies: Sequence[str],
    html: Path | None,
    options: dict[str, Any],
) -> None:
    from dispatch_cli.render.simulate import watching
    from dispatch_core.simulation import html_report, read_fleet, read_workload, text_report, write_results

    with about(fleet):
        plan = read_fleet(fleet)
    with about(workload):
        load = read_workload(workload)
        with watching(policies, quiet=caller.json) as watch:
            outcomes = [_outcome(plan, load, name, options, watch(name)) for name in policies]
    if options["results"] is not None:
        with about(options["results"]):
            write_results(options["results"], outcomes)
    if html is not None:
        with about(html):
            html.write_text(html_report(outcomes, title=f"{workload.stem} on {fleet.stem}"), encoding="utf-8")
    caller.tell(_form(outcomes), lambda: click.echo(text_report(outcomes)))


def _outcome(
    fleet: FleetPlan,
    workload: Workload,
    name: str,
    options: dict[str, Any],
    progress: Callable[[int, int], None],
) -> Outcome:
    from dispatch_core.simulation import simulate

    outcome = simulate(
        fleet,
        workload,
        settings=decider(name, options["cap_s"]),
        seed=options["seed"],
        until_s=options["until_s"],
        progress=progress,
    )
    return attrs.evolve(outcome, policy=name)


def decider(name: str, cap_s: float | None) -> Settings:
    """The settings of a server in the mode of a name of ``POLICIES``; jobs of a mode of their own keep it."""
    from dispatch_core.simulation import SETTINGS

    settings = attrs.evolve(SETTINGS, mode=MODES[name])
    return settings if cap_s is None else attrs.evolve(settings, priority_cap_s=cap_s)


def _form(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    from dispatch_core.simulation import measures, waits

    return {
        "seed": outcomes[0].seed,
        "outcomes": [
            {
                "policy": each.policy,
                "digest": each.digest(),
                "until_s": each.until_s,
                **measures(each),
                "waits": waits(each),
                "engines": [
                    {**attrs.asdict(engine), "utilisation": engine.utilisation} for engine in each.engines
                ],
            }
            for each in outcomes
        ],
    }
