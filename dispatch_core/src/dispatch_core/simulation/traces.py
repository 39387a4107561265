"""Fleets and workloads as files: JSON for fleets, CSV or JSON lines for workloads; and from a live store."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import StringIO
from itertools import islice
from pathlib import Path

import attrs

from dispatch_core.ports.storage import Query
from dispatch_core.shell.dispatcher import Dispatcher
from dispatch_core.shell.parse import parse
from dispatch_core.shell.wire import to_plain
from dispatch_core.simulation.fleet import EngineType, FleetPlan
from dispatch_core.simulation.kind import SIMULATED
from dispatch_core.simulation.outcome import Outcome
from dispatch_core.simulation.workload import WORKS_MAX, Work, Workload
from dispatch_core.storage.files import replacing
from dispatch_core.vocabulary.clock import SECOND_US
from dispatch_core.vocabulary.errors import FieldProblem, InvalidCommandError
from dispatch_core.vocabulary.facts import parse_term
from dispatch_core.vocabulary.jobs import Job
from dispatch_core.vocabulary.kinds import JobKind

COLUMNS = tuple(each.name for each in attrs.fields(Work))
"""The columns of a workload in CSV; only the first three must be there."""
_OF_WORK = ("task_class", "units", "priority", "account", "campaign", "mode", "deadline_s")
_OF_OUTCOME = ("name", "state", "submitted_s", "started_s", "finished_s", "engine", "attempts", "est_s", "ran_s", "in_time")  # fmt: skip
RESULTS = ("policy", *_OF_WORK, *_OF_OUTCOME)
"""The columns of results in CSV."""
_NUMBERS = frozenset({"at_s", "units", "work", "priority", "deadline_s"})
_PROBLEMS_MAX = 20
_PAGE = 1_000
_NAME_CHARS = 90
_TOO_MANY = ""


def read_fleet(path: Path) -> FleetPlan:
    """A fleet from a JSON file: ``{"types": [{"name": …, "speeds": {…}}, …]}``.

    Raises InvalidCommandError naming every field that is wrong, and OSError.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InvalidCommandError([FieldProblem("", f"{path.name} is not JSON: {error}")]) from None
    return parse(FleetPlan, data)


def write_fleet(path: Path, fleet: FleetPlan) -> None:
    """Write a fleet so that ``read_fleet`` gives it back."""
    with replacing(path) as new:
        new.write_text(json.dumps(to_plain(fleet), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_workload(path: Path) -> Workload:
    """A workload from CSV (a name that ends in ``.csv``) or from JSON lines.

    CSV has a line of column names, those of ``Work``; requirements are parted by semicolons. Raises
    InvalidCommandError naming the line and field of what is wrong, and OSError.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidCommandError([FieldProblem("", f"{path.name} is not UTF-8: {error}")]) from None
    rows = _csv_rows(text) if path.suffix.lower() == ".csv" else _json_rows(text)
    return Workload(tuple(_works(rows)), name=path.stem)


def write_workload(path: Path, workload: Workload) -> None:
    """Write a workload so that ``read_workload`` gives it back: CSV if the name ends so, else JSON lines."""
    rows = [attrs.asdict(work) for work in workload.works]
    with replacing(path) as new:
        new.write_text(_csv(rows) if path.suffix.lower() == ".csv" else _json_lines(rows), encoding="utf-8")


def workload_from(dispatcher: Dispatcher, *, name: str = "") -> Workload:
    """What was submitted to a live dispatcher, as a workload: its tenant's jobs, the first at second 0.

    Task class and units are those of each job's kind; requirements are kept where a simulated engine can have
    the fact. How long the works would truly take is not known, so it is as declared.
    """
    jobs = list(islice(dispatcher.export_jobs(Query(sort="created_us", limit=_PAGE)), WORKS_MAX))
    first_us = min((job.created_us for job in jobs), default=0)
    return Workload(tuple(_work_of(job, dispatcher.kinds, first_us) for job in jobs), name=name)


def write_results(path: Path, outcomes: Sequence[Outcome]) -> None:
    """What became of every work, a line of CSV each, outcome after outcome."""
    with replacing(path) as new, new.open("w", encoding="utf-8", newline="") as page:
        writer = csv.DictWriter(page, RESULTS, lineterminator="\n")
        writer.writeheader()
        for outcome in outcomes:
            for each in outcome.works:
                work = {name: getattr(each.work, name) for name in _OF_WORK}
                became = {name: getattr(each, name) for name in _OF_OUTCOME}
                writer.writerow({"policy": outcome.policy, **work, **became})


def fleet_from(dispatcher: Dispatcher, workload: Workload) -> FleetPlan:
    """The engines of a live dispatcher as a fleet for a workload: its tenant's, each a type of its own.

    An engine is as fast in truth as it was seen to complete jobs of a class (the median), else as its benchmark
    says, else as the kinds of jobs take it to be; what it reports are its benchmarks. Which classes it can run is
    left to its facts, so that works keep their requirements.
    """
    nominal = 1 / max((kind.nominal_s_per_unit for kind in dispatcher.kinds.values()), default=1.0)
    classes = dict.fromkeys(work.task_class for work in workload.works)
    found = []
    for number, status in enumerate(dispatcher.engines(), 1):
        engine = status.engine
        measured = {each.task_class: each.units_per_s for each in engine.profile.benchmarks}
        seen = {each.task_class: each.units_per_s_p50 for each in dispatcher.performance(engine.id)}
        speeds = {**dict.fromkeys(classes, nominal), **measured, **seen}
        facts = {name: value for name, value in engine.profile.facts.items() if name != "task_class"}
        name = engine.id if len(engine.id) <= _NAME_CHARS else f"{engine.id[: _NAME_CHARS - 6]}.{number}"
        found.append(
            EngineType(name=name, slots=engine.profile.slots, speeds=speeds, reported=measured, facts=facts)
        )
    return FleetPlan(tuple(found))


def _work_of(job: Job, kinds: Mapping[str, JobKind], first_us: int) -> Work:
    spec = job.spec
    kind = kinds.get(spec.kind) or JobKind(name=spec.kind)
    task_class, units = kind.measure(spec)
    needs = (
        spec.requirements
        if kind.name == SIMULATED.name
        else (*spec.requirements, *kind.needs(spec.parameters))
    )
    return Work(
        (job.created_us - first_us) / SECOND_US,
        task_class,
        units,
        priority=spec.priority,
        account=spec.account or "",
        deadline_s=None
        if spec.deadline is None
        else max(spec.deadline.at_us - job.created_us, 0) / SECOND_US,
        hard=spec.deadline is not None and spec.deadline.hard,
        requirements=tuple(each for each in needs if _means_something(each)),
        name=spec.note[:255] or job.id,
        campaign=spec.campaign or "",
        mode=spec.mode or "",
    )


def _means_something(requirement: str) -> bool:
    try:
        parse_term(requirement, SIMULATED.catalogue)
    except ValueError:
        return False
    return True


def _works(rows: Iterable[tuple[int, object]]) -> Iterator[Work]:
    problems: list[FieldProblem] = []
    for number, row in rows:
        try:
            yield parse(Work, row, f"/line/{number}")
        except InvalidCommandError as error:
            problems += error.problems
            if len(problems) >= _PROBLEMS_MAX:
                break
    if problems:
        raise InvalidCommandError(problems[:_PROBLEMS_MAX])


def _json_rows(text: str) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (json.JSONDecodeError, RecursionError) as error:
                raise InvalidCommandError(
                    [FieldProblem(f"/line/{number}", f"is not JSON: {error}")]
                ) from None


def _csv_rows(text: str) -> Iterator[tuple[int, object]]:
    reader = csv.DictReader(StringIO(text, newline=""), restkey=_TOO_MANY, strict=True)
    try:
        if unknown := sorted(set(reader.fieldnames or ()) - set(COLUMNS)):
            known = ", ".join(COLUMNS)
            raise InvalidCommandError(
                [FieldProblem("/line/1", f"{unknown[0]!r} is no column; there are {known}")]
            )
        for row in reader:
            if _TOO_MANY in row:
                raise InvalidCommandError(
                    [FieldProblem(f"/line/{reader.line_num}", "has more cells than there are columns")]
                )
            yield reader.line_num, {name: _value(name, text) for name, text in row.items() if text}
    except csv.Error as error:
        raise InvalidCommandError(
            [FieldProblem(f"/line/{reader.reader.line_num}", f"is not CSV: {error}")]
        ) from None


def _value(name: str, text: str) -> object:
    if name == "requirements":
        return [each.strip() for each in text.split(";") if each.strip()]
    if name == "hard":
        return {"true": True, "false": False}.get(text.lower(), text)
    if name in _NUMBERS:
        try:
            return float(text)
        except ValueError:
            return text  # parsing says what is wrong with it
    return text


def _csv(rows: Iterable[Mapping[str, object]]) -> str:
    page = StringIO(newline="")
    writer = csv.DictWriter(page, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        requirements = row["requirements"]
        assert isinstance(requirements, tuple)
        writer.writerow(
            {**row, "hard": "true" if row["hard"] else "", "requirements": "; ".join(requirements)}
        )
    return page.getvalue()


def _json_lines(rows: Iterable[Mapping[str, object]]) -> str:
    usual = {each.name: each.default for each in attrs.fields(Work)}
    kept = ({name: value for name, value in row.items() if value != usual[name]} for row in rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept)
