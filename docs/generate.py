"""Writes docs/reference/ from the code: run `make reference` after a change of what it describes.

What the code does not say of itself stands in words.toml.
"""

from __future__ import annotations

import inspect
import json
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import attrs
import click

sys.path.insert(0, str(Path(__file__).parents[1]))

import dispatch_core
from dispatch_cli.exits import exit_code_of
from dispatch_cli.main import main as program
from dispatch_cli.serve_settings import CONFIG_VARIABLE, KEYS, PREFIX, Ours
from dispatch_core import (
    ADMINS,
    OPERATORS,
    Deadline,
    Dispatcher,
    DispatchError,
    Edit,
    HeldLease,
    JobSize,
    JobSpec,
    LadderStep,
    LimitSpec,
    LimitUse,
    ManualClock,
    PoolSpec,
    Profile,
    Retry,
    Scopes,
    SeededIds,
    Settings,
    Timeouts,
    TranscodeParameters,
)
from dispatch_core.forms import Form, JobFilter, explanation_form, job_form, lease_form
from dispatch_core.kernel.lifecycle import CELLS
from dispatch_core.kernel.table import TABLE, Variant, Verb
from dispatch_core.storage import MemoryStorage
from dispatch_core.vocabulary import commands, events
from dispatch_core.vocabulary.attempts import Progress
from dispatch_core.vocabulary.denials import AccessDenied
from dispatch_core.vocabulary.engines import Benchmark
from dispatch_core.vocabulary.jobs import JobError
from dispatch_core.vocabulary.limits import LimitEvent
from dispatch_core.vocabulary.pools import PoolEvent, ReportPool
from dispatch_core.vocabulary.windows import PlanWindow, WindowEvent
from dispatch_http import forms
from dispatch_http.admission import Gate
from dispatch_http.desk import Desk
from dispatch_http.observing import Metrics
from dispatch_http.openapi.document import document, written
from dispatch_http.openapi.operations import OPERATIONS
from dispatch_http.openapi.operations.operation import Operation
from dispatch_http.problems import STATUS
from dispatch_http.route import Route, methods_of
from dispatch_http.routes import routes
from dispatch_http.settings import KEY_FILE_VARIABLE, KEY_VARIABLE, HttpSettings
from docs.annotations import default, hints, number, words
from docs.checklist import checklist_page
from docs.older import older_page

FOLDER = Path(__file__).parent / "reference"
OPENAPI = Path(__file__).parent / "openapi.json"
Words = Mapping[str, str]
SAID: Mapping[str, Words] = tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))

# The forms of the edge, and the commands whose bounds the core checks them by.
FORMS: Mapping[type, Sequence[type]] = {
    JobSpec: (),
    JobSize: (),
    Deadline: (),
    forms.Plan: (PlanWindow,),
    PoolSpec: (),
    LimitSpec: (),
    LimitUse: (),
    forms.MeasuredPool: (ReportPool,),
    LadderStep: (),
    Retry: (),
    Timeouts: (),
    TranscodeParameters: (),
    Edit: (),
    forms.Because: (commands.Cancel,),
    JobFilter: (),
    forms.ManyJobs: (),
    forms.ManyJobsBecause: (commands.Cancel,),
    forms.Assignment: (commands.Assign,),
    forms.PurgeOrder: (),
    forms.RekeyOrder: (),
    Profile: (),
    Benchmark: (),
    forms.Registration: (commands.Register,),
    forms.SignOfLife: (commands.Heartbeat,),
    HeldLease: (),
    forms.NewKey: (commands.CreateKey,),
    forms.Rotation: (commands.RotateKey,),
    forms.Measurements: (commands.ReportBenchmark,),
    forms.HeldToken: (commands.Renew,),
    Progress: (),
    forms.StatusReport: (commands.Complete, commands.GiveBack),
    forms.ShortForm: (commands.Complete,),
    forms.ReportedError: (JobError,),
}
LINKS = {kind.__name__: f"#{kind.__name__.lower()}" for kind in FORMS} | {"JobError": "#reportederror"}
BODY_LINKS = {name: f"job-fields.md{anchor}" for name, anchor in LINKS.items()}
INSTANT = "time with its zone, such as `2030-01-31T12:00:00Z`"
# Fields that the edge names or writes otherwise than the class: its name there, and its type in words.
EDGE = {
    "JobSpec.retry": ("retry", "object ([Retry](#retry)); or `max_retries`, attempts after the first"),
    "JobSpec.not_before_us": ("not_before", f"{INSTANT}; or null"),
    "JobSpec.deadline": ("deadline", "object ([Deadline](#deadline)); or null"),
    "Edit.deadline": ("deadline", "object ([Deadline](#deadline)); or null"),
    "Deadline.at_us": ("at", INSTANT),
    "Edit.not_before_us": ("not_before", f"{INSTANT}; or null"),
    "ManyJobs.filter": ("filter", "object ([JobFilter](#jobfilter)); `state` is required"),
    "ManyJobsBecause.filter": ("filter", "object ([JobFilter](#jobfilter)); `state` is required"),
    "ManyJobs.limit": ("limit", "whole number from 1 to 1,000"),
    "ManyJobsBecause.limit": ("limit", "whole number from 1 to 1,000"),
    **{
        f"JobFilter.{name}": (name, f"{INSTANT}; or null")
        for name in ("created_since", "created_until", "updated_since", "updated_until")
    },
    "NewKey.scopes": ("scopes", "list of 1 to 3: `admin`, `submitter`, `engine`"),
    "NewKey.expires_at": ("expires_at", f"{INSTANT}; or null"),
    "Assignment.until": ("until", f"{INSTANT}; or null"),
    "JobSize.size_bytes": ("size_bytes", "whole number; or `size_mb`, a number of megabytes"),
    "JobSize.duration_us": ("duration_s", "number of seconds; or `duration_us`, a whole number"),
}


def section(name: str, known: Sequence[str]) -> Words:
    """The words of a section. Fails if one is missing or is about something that no longer exists."""
    if set(SAID[name]) != set(known):
        raise SystemExit(f"words.toml, [{name}]: not as in the code: {sorted(set(SAID[name]) ^ set(known))}")
    return SAID[name]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    cells = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def doc(thing: object) -> str:
    """The first paragraph of a docstring, in the signs of Markdown."""
    return " ".join(inspect.cleandoc(thing.__doc__ or "").partition("\n\n")[0].split()).replace("``", "`")


# ----- pages


def lifecycle_table() -> str:
    """Every state and command, and what happens."""
    variants, verbs = section("variants", list(Variant)), section("verbs", list(Verb))
    cells = section("cells", list(CELLS))
    rows = [[f"**{verb}**", *(TABLE[variant, verb] for variant in Variant)] for verb in Verb]
    return f"""# The table of a job's life

Every state a job can be in, every command it can meet, and what happens then. The code decides by this very table
(`dispatch_core.kernel`). What it means is told in [the life of a job](../explanation/lifecycle.md).

{table(["", *Variant], rows)}

## The words in the cells

{table(["word", "what happens"], [[f"`{word}`", cells[word]] for word in sorted(cells)])}

## The states

A row of the stored state `pending`, `delayed` or `failed_retry` is split in two where an attempt may still report.

{table(["state", "the job"], [[f"`{each}`", variants[each]] for each in Variant])}

## The commands

{table(["command", "when"], [[f"`{each}`", verbs[each]] for each in Verb])}
"""


def event_page() -> str:
    """Every event."""
    links = {name: f"job-fields.md{anchor}" for name, anchor in LINKS.items()}

    def told(kind: Any) -> str:
        types = hints(kind)
        rows = [[f"`{each.name}`", words(types[each.name], links)] for each in attrs.fields(kind)]
        fields = table(["field", "type"], rows) if rows else "No fields."
        return f"### {events.name_of(kind)}\n\n{doc(kind)}\n\n{fields}\n"

    of_jobs = "\n".join(told(kind) for kind in (*get_args(events.JobEvent), events.JobPurged))
    of_engines = "\n".join(told(kind) for kind in get_args(events.EngineEvent))
    of_windows = "\n".join(told(kind) for kind in get_args(WindowEvent))
    of_limits = "\n".join(told(kind) for kind in get_args(LimitEvent))
    of_pools = "\n".join(told(kind) for kind in get_args(PoolEvent))
    of_denials = told(AccessDenied)
    of_keys = "\n".join(told(kind) for kind in get_args(events.KeyEvent))
    return f"""# Events

Every fact that can become history, by its stored name. An event raises the version of its record by one. The history
of a job is read with `Dispatcher.history`, `GET /jobs/{{job_id}}/history` and `dispatch jobs history`. A row says who
(`actor`), when (`at`) and on which request (`request_id`); its `data` holds the fields below. Names that end in `_us` are
microseconds since 1970 in UTC. Inside values such as `spec`, what has its default is left out.

## Of jobs

{of_jobs}
## Of engines

{of_engines}
## Of keys

{of_keys}
## Of storage pools

{of_pools}
## Of limits by key

{of_limits}
## Of maintenance windows

{of_windows}
## Of denied attempts

Counted in memory and written by tick, at most every ten seconds, as far as a day has room; kept for 90 days. A missing scope
is in the trail of the key's tenant, for its admins. What an admin must not learn (that a foreign id exists) or what no
tenant owns (a wrong key) is told to operators only.

{of_denials}"""


def settings_page() -> str:
    """Every setting."""
    parts = (Ours, HttpSettings, Settings)
    names = [each.name for part in parts for each in attrs.fields(part) if each.name not in KEYS]
    said = section("settings", names)

    def rows(part: Any) -> Iterator[list[str]]:
        for each in attrs.fields(part):
            if each.name not in KEYS:
                usual = "a file in the user's data folder" if each.name == "database" else default(each)
                limits = _limits(part, each)
                variable = f"`{PREFIX}{each.name.upper()}`"
                yield [f"`{each.name}`", said[each.name], usual, limits, _unit(each.name), variable]

    head = ["name", "what it is", "default", "bounds", "unit", "variable"]
    return f"""# Settings

`dispatch serve` takes every setting from a TOML file by its name, from the environment by its variable, and the
commonest from a flag; a flag beats the environment, which beats the file. The file is the one that `--config` or
`{CONFIG_VARIABLE}` names, else `dispatch.toml` in the user's configuration folder. `dispatch serve --print-settings`
prints what is in force. A library takes the last table as `Settings(name=value)`.

`{KEY_VARIABLE}` holds one key that callers must have, `{KEY_FILE_VARIABLE}` names a file of keys; see
[run the server](../how-to/run-the-server.md). A key never stands in a settings file.

## Of the command

{table(head, list(rows(Ours)))}

## Of the server

{table(head, list(rows(HttpSettings)))}

## Of the scheduler

`cancel_grace_s` must be at least twice `heartbeat_s`, and `silent_after_s` longer than `heartbeat_s`.

{table(head, list(rows(Settings)))}
"""


def _limits(part: type, field: Any) -> str:
    checks = {each.compare_op: each.bound for each in getattr(field.validator, "_validators", ())}
    if checks:
        return f"{number(checks['>='])} to {number(checks['<='])}"
    told = words(hints(part)[field.name], {})
    return told.partition("from ")[2].removesuffix("; or null")


def _unit(name: str) -> str:
    return "seconds" if name.endswith("_s") else "bytes" if "bytes" in name else ""


def error_page() -> str:
    """Every error."""
    classes = [each for each in vars(dispatch_core).values() if isinstance(each, type)]
    core = sorted((each for each in classes if issubclass(each, DispatchError)), key=lambda each: each.code)

    def row(code: str, name: str, meaning: str) -> list[str]:
        status, title = STATUS[code]
        return [f"`{code}`", name, meaning or title, str(status), str(int(exit_code_of(code, status)))]

    ours = [row(each.code, f"`{each.__name__}`", doc(each)) for each in core]
    edge = [row(code, "", "") for code in sorted(STATUS) if code not in {each.code for each in core}]
    head = ["code", "class", "meaning", "HTTP", "exit"]
    return f"""# Errors

Codes never change; texts may. Over HTTP an error is a problem (RFC 9457) with `type`, `title`, `status`, `detail`,
`code`, `errors` (each with a JSON `pointer` or a `parameter`) and `request_id`. `503` and `429` carry `Retry-After`; to
repeat with the same `Idempotency-Key` is always safe. The last column is the exit code of `dispatch`.

## Of the core

{table(head, ours)}

`InvariantError` stands outside: a law of the system does not hold. It is a defect of Dispatch; report it.

## Of the HTTP server

{table([head[0], *head[2:]], [[each[0], *each[2:]] for each in edge])}
"""


def cli_page() -> str:
    """The help of every command."""
    pages = "\n".join(
        f"## {path}\n\n```text\n{text}\n```\n" for path, text in _helps(program, "dispatch", None)
    )
    return f"# The command line\n\nWhat `--help` says of every command.\n\n{pages}"


def _helps(command: click.Command, name: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    context = click.Context(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
    context.help_option_names = ["-h", "--help"]
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            assert inner is not None
            yield from _helps(inner, each, context)


def http_page() -> str:
    """The table of routes."""
    known = [
        (f"{method} {route.path}", route.scope[method])
        for route in _routes()
        for method in methods_of(route.resource)
        if method != "HEAD"
    ]
    rows = [
        [*(f"`{word}`" for word in name.split(" ")), _who(scopes), _asked(OPERATIONS[name])]
        for name, scopes in known
    ]
    return f"""# HTTP

JSON in UTF-8, in both directions. Errors are [problems](errors.md); the forms are in [job fields](job-fields.md). The whole
API stands in [openapi.json](../openapi.json) (OpenAPI 3.1). A server serves it as `/openapi.json`, and as a page where
everything can be tried at `/docs`.

- `Authorization: Bearer KEY` is needed, if the server has keys, but for what is for anybody. The table names the scope
  that a key must have; one with the scope `admin` opens all but what is the operator's, and the operator's own key all.
- `Idempotency-Key` (1 to 255 visible ASCII characters) on anything that changes something: a repeat with the same key and
  body gets the first answer; with another body it is refused.
- `X-Request-Id` is taken over if it is well formed, else made; it is in the answer, the log and the history.
- Unknown query parameters and unknown fields are refused. Lists come in pages: pass `next_cursor` as `cursor`.

{table(["method", "path", "scope", "what it does"], rows)}
"""


def _routes() -> list[Route]:
    with Dispatcher(MemoryStorage()) as dispatcher:
        return routes(Desk(dispatcher=dispatcher, settings=HttpSettings(), gate=Gate(1)), Metrics(dispatcher))


def _asked(operation: Operation) -> str:
    bodies = [_linked(kind) for kind in operation.body if attrs.fields(kind)]
    parts = [
        operation.words,
        f"Body: {' and '.join(bodies)}." if bodies else "",
        f"Query: {', '.join(f'`{each.name}`' for each in operation.query)}." if operation.query else "",
    ]
    return " ".join(part for part in parts if part)


def _linked(kind: type) -> str:
    """A body by the link to its fields, or the fields of one too small for a section."""
    if kind.__name__ in BODY_LINKS:
        return f"[{kind.__name__}]({BODY_LINKS[kind.__name__]})"
    return ", ".join(f"`{each.name}`" for each in attrs.fields(kind))


def _who(scopes: Scopes | None) -> str:
    """Which keys open a route. An admin's opens all but the operator's, the operator's opens all."""
    if scopes is None:
        return "anybody"
    return (
        ", ".join(sorted(scopes - OPERATORS - ADMINS)) or ", ".join(sorted(scopes - OPERATORS)) or "operator"
    )


def field_page() -> str:
    """The forms of the edge."""
    said = section("edge", [kind.__name__ for kind in FORMS])
    parts = "\n".join(
        f"## {kind.__name__}\n\n{said[kind.__name__]}\n\n{_form_table(kind, checked)}\n"
        for kind, checked in FORMS.items()
    )
    examples = "\n".join(
        f"### {name}\n\n```json\n{json.dumps(form, indent=2, ensure_ascii=False)}\n```\n"
        for name, form in _examples()
    )
    return f"""# Job fields, and the other forms

What goes in and out over HTTP, `dispatch … --json` and `dispatch_core.forms`. A value outside its bounds, and a field that
is not known, is refused with a pointer to it; all problems are told at once. Times go out in UTC with microseconds.
Requirements are terms `fact op value`, `prefer` before one makes it a preference; see
[add a kind](../how-to/add-a-kind.md).

{parts}
## What comes out

{examples}"""


def _form_table(kind: Any, checked: Sequence[type]) -> str:
    bounded = {name: each for command in checked for name, each in hints(command).items()}
    types = {name: bounded.get(name, each) for name, each in hints(kind).items()}
    rows = []
    for each in attrs.fields(kind):
        if (kind, each.name) == (Edit, "merge"):
            continue
        told = (each.name, words(types[each.name], LINKS))
        name, told_type = EDGE.get(f"{kind.__name__}.{each.name}", told)
        rows.append([f"`{name}`", told_type, default(each)])
    return table(["field", "what it takes", "default"], rows)


def _examples() -> Iterator[tuple[str, Form]]:
    clock = ManualClock()
    storage = MemoryStorage(clock, incarnation="0123456789ab")
    with Dispatcher(storage, ids=SeededIds()) as dispatcher:
        parameters = {"source": "/media/talk.mov", "target": "/media/talk.mp4", "codec": "hevc"}
        job = dispatcher.submit(JobSpec(parameters=parameters, size=JobSize(size_bytes=1_800_000)))
        yield "A job", job_form(job)
        dispatcher.register("studio-1", Profile(facts={"codec": ("h264",)}), session="1")
        yield "An explanation", explanation_form(dispatcher.explain(job.id))
        dispatcher.register("studio-2", Profile(facts={"codec": ("hevc",)}), session="1")
        clock.advance(1)
        lease = lease_form(dispatcher.claim("studio-2", session="1")[0])
        yield "A lease", lease | {"job": {"id": lease["job"]["id"], "…": "the whole job"}}


PAGES: Mapping[str, Callable[[], str]] = {
    "lifecycle-table.md": lifecycle_table,
    "events.md": event_page,
    "settings.md": settings_page,
    "errors.md": error_page,
    "cli.md": cli_page,
    "http.md": http_page,
    "job-fields.md": field_page,
    "legacy-protocol.md": lambda: older_page(section, table),
    "checklist.md": checklist_page,
}


def generated() -> dict[str, str]:
    """Every page of the reference by its file name."""
    mark = "<!-- Generated by docs/generate.py. Change the code or docs/words.toml, then run `make reference`. -->"
    return {name: f"{mark}\n\n{page().rstrip()}\n" for name, page in PAGES.items()}


def openapi() -> bytes:
    """The description of the API."""
    return written(document(_routes()))


def write() -> None:
    """Write all of them."""
    OPENAPI.write_bytes(openapi())
    FOLDER.mkdir(exist_ok=True)
    for name, text in generated().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
