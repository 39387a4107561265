"""The OpenAPI 3.1 document: routes, operations and schemas put together."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from attrs import frozen

from dispatch_core import JobSize, Retry, Scopes, Timeouts, TranscodeParameters
from dispatch_http import __version__, grammar
from dispatch_http.answers import LINES_TYPE
from dispatch_http.openapi import answers
from dispatch_http.openapi.edge import EDGE, WORDS
from dispatch_http.openapi.operations import OPERATIONS, SECTIONS
from dispatch_http.openapi.operations.operation import Answer, Operation, Parameter
from dispatch_http.openapi.schemas import Components, Schema, patch_of
from dispatch_http.problems import MEDIA_TYPE as PROBLEM_TYPE
from dispatch_http.problems import STATUS
from dispatch_http.route import OPEN, Route, methods_of
from dispatch_http.submitting import LIST_MAX

SLICED = (
    "Job",
    "Engine",
    "Key",
    "Pool",
    "Window",
    "Limit",
    "Attempt",
    "Event",
)  # callers may ask for some of their fields only
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PROBLEMS = (400, 401, 403, 404, 406, 409, 412, 413, 415, 422, 429, 503)

_INTRODUCTION = """\
JSON in UTF-8, in both directions. A refusal is a problem (RFC 9457) whose `code` never changes.

- Unknown fields and unknown query parameters are refused, with a hint. Texts hold neither NUL nor lone surrogates, whole
  numbers fit in 64 bits, no object names a field twice.
- `Idempotency-Key` on anything that changes something: a repeat with the same key and body gets the first answer.
- Times go out in UTC with microseconds; spans are seconds; sizes say their unit.
"""
_KEYS = "`Authorization: Bearer KEY`. `x-scopes` of an operation names the scopes any one of which a key must have."


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The description of these routes. Raises KeyError for a route of which operations.py says nothing."""
    found = _Schemas.fresh()
    paths = {route.path: _path(route, found) for route in routes}
    problems = {_problem_name(status): _problem(status, found) for status in _PROBLEMS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Dispatch",
            "version": __version__,
            "summary": "Gives every job to the engine that should run it, and explains every decision.",
            "description": _INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in SECTIONS],
        "paths": paths,
        "components": {
            "schemas": found.all(),
            "responses": problems,
            "headers": _headers(),
            "links": {
                f"{of}.{name}": _link(of, name)
                for said in OPERATIONS.values()
                for of, names in said.links.items()
                for name in names
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": _KEYS},
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-API-Key",
                    "description": "The older header.",
                },
            },
        },
    }


def written(described: Mapping[str, Any]) -> bytes:
    """A document as text, as it is committed and served."""
    return (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()


@frozen
class _Schemas:
    """Schemas of what is taken, which is closed, and of what is given, to which fields may be added."""

    taken: Components
    given: Components

    @classmethod
    def fresh(cls) -> _Schemas:
        taken = Components(closed=True, edge=EDGE, words=WORDS)
        taken.of(TranscodeParameters)
        return cls(taken, Components(closed=False, sliced=SLICED))

    def all(self) -> Schema:
        found = {**self.given.found, **self.taken.found}
        return dict(sorted(found.items()))

    def patch(self, kind: type) -> Schema:
        """The merge patch of a class."""
        name = self.taken.of(kind)["$ref"].rpartition("/")[2]
        self.taken.found[f"{name}Patch"] = patch_of(self.taken.found[name])
        return {"$ref": f"#/components/schemas/{name}Patch"}

    def body(self, kinds: tuple[type, ...]) -> Schema:
        reference = self.taken.of(kinds[0])
        if len(kinds) == 1:
            return reference
        parts = [self.taken.found[self.taken.of(kind)["$ref"].rpartition("/")[2]] for kind in kinds]
        return {
            "type": "object",
            "properties": {name: each for part in parts for name, each in part["properties"].items()},
            "required": [name for part in parts for name in part.get("required", ())],
            "additionalProperties": False,
        }


def _path(route: Route, found: _Schemas) -> Schema:
    parameters = [_in_path(name) for name in re.findall(r"{(\w+)}", route.path)]
    methods = {method.lower(): _operation(method, route, found) for method in methods_of(route.resource)}
    return {**({"parameters": parameters} if parameters else {}), **methods}


def _operation(method: str, route: Route, found: _Schemas) -> Schema:
    key = f"{'GET' if method == 'HEAD' else method} {route.path}"
    section, said = next((name, part[key]) for name, part in SECTIONS.items() if key in part)
    scopes = route.scope[method]
    parameters = list(_parameters(method, said, found))
    return {
        "operationId": said.name + ("Head" if method == "HEAD" else ""),
        "tags": [section],
        "summary": said.words,
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": _request(said, found)} if said.body else {}),
        "responses": _responses(method, route.path, said, scopes is OPEN, found),
        **_security(scopes),
    }


def _security(scopes: Scopes | None) -> Schema:
    """Any one of the scopes is enough, which OpenAPI cannot say of keys; so they stand beside."""
    if scopes is OPEN:
        return {"security": []}
    return {"security": [{"bearer": []}, {"apiKey": []}], "x-scopes": sorted(scopes)}


# ----- what goes in


_PATH_WORDS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "job_id": (grammar.JOB_ID, "The job."),
    "engine_id": (grammar.ENGINE_ID, "The engine."),
    "key_id": (grammar.KEY_ID, "The key."),
    "pool_id": (grammar.POOL_ID, "The pool."),
    "limit_key": (grammar.LIMIT_KEY, "The key that is limited."),
    "campaign": (grammar.CAMPAIGN, "The name of the campaign."),
    "window_id": (grammar.WINDOW_ID, "The window."),
    "number": (grammar.ATTEMPT, "The attempt; the first is 1."),
}


def _in_path(name: str) -> Schema:
    pattern, words = _PATH_WORDS.get(name, (re.compile(".+"), ""))
    schema = {"type": "string", "pattern": f"^{pattern.pattern}$"}
    return {"name": name, "in": "path", "required": True, "description": words, "schema": schema}


def _parameters(method: str, said: Operation, found: _Schemas) -> Iterator[Schema]:
    yield from (_in_query(each, found) for each in said.query)
    if method in UNSAFE:
        yield _in_header(
            "Idempotency-Key",
            f"^{grammar.RECEIPT_KEY.pattern}$",
            "A repeat with the same key gets the first answer.",
        )
    if said.condition == "If-Match":
        yield _in_header(
            "If-Match", '^("[1-9][0-9]{0,17}"|[*])$', "The version to edit, as in `ETag`; or any.", '"1"'
        )
    if said.condition == "If-None-Match":
        yield _in_header("If-None-Match", None, "The `ETag` that the caller has already.")


def _in_query(each: Parameter, found: _Schemas) -> Schema:
    schema = found.taken.of(each.kind) | ({} if each.default is None else {"default": each.default})
    return {
        "name": each.name,
        "in": "query",
        "description": each.words,
        **({"required": True} if each.required else {}),
        **({"style": "form", "explode": False} if each.commas else {}),
        "schema": schema,
    }


def _in_header(name: str, pattern: str | None, words: str, example: str | None = None) -> Schema:
    schema = {"type": "string", **({"pattern": pattern} if pattern else {})}
    shown = {"example": example} if example else {}
    return {"name": name, "in": "header", "description": words, "schema": schema, **shown}


def _request(said: Operation, found: _Schemas) -> Schema:
    schema = found.patch(said.body[0]) if said.patch else found.body(said.body)
    if said.name == "editJob":
        _patch(found)
    if said.name == "submitJob":
        _either_unit(found.taken.found["JobSize"])
    required = bool(found.taken.found.get(schema.get("$ref", "").rpartition("/")[2], schema).get("required"))
    shown = {"example": said.example} if said.example else {}
    if not said.many:
        return {"required": required, "content": {"application/json": {"schema": schema, **shown}}}
    listed = {"type": "array", "items": schema, "minItems": 1, "maxItems": LIST_MAX}
    content: Schema = {"application/json": {"schema": {"anyOf": [schema, listed]}, **shown}}
    return {"required": required, "content": content | {LINES_TYPE: {"schema": schema}}}


def _patch(found: _Schemas) -> None:
    """In a merge patch an object's fields may be null, which is their default."""
    for field, kind in (("retry", Retry), ("timeouts", Timeouts), ("size", JobSize)):
        found.taken.found["Edit"]["properties"][field] = found.patch(kind)


def _either_unit(schema: Schema) -> None:
    """A size may be given in one unit or in the other."""
    twice = [{"required": ["size_bytes", "size_mb"]}, {"required": ["duration_us", "duration_s"]}]
    schema["not"] = {"anyOf": twice}


# ----- what comes out


def _responses(method: str, path: str, said: Operation, open_: bool, found: _Schemas) -> Schema:
    good = {status: _answer(method, status, each, said, found) for status, each in said.answers.items()}
    bad = {
        status: {"$ref": f"#/components/responses/{_problem_name(status)}"}
        for status in _refusals(method, path, said, open_)
    }
    both: Mapping[int, Schema] = {**good, **bad}
    return {str(status): both[status] for status in sorted(both)}


def _refusals(method: str, path: str, said: Operation, open_: bool) -> set[int]:
    found = {400, *said.refusals}
    found |= set() if open_ else {401, 403, 429, 503}
    found |= {404} if "{" in path else set()
    found |= {409} if "{job_id}" in path else set()
    found |= {413, 415} if said.body else set()
    found |= {422} if method in UNSAFE else set()
    return found


def _answer(method: str, status: int, each: Answer, said: Operation, found: _Schemas) -> Schema:
    headers: Schema = {"X-Request-Id": _REQUEST_ID}
    if each.etag:
        headers["ETag"] = {"$ref": "#/components/headers/ETag"}
    if each.location:
        headers["Location"] = _header(each.location)
    answer: Schema = {"description": HTTPStatus(status).phrase, "headers": headers}
    if each.kind is not None and method != "HEAD":
        answer["content"] = {each.media_type: {"schema": found.given.of(each.kind)}}
        if each.lines is not None:
            answer["content"][LINES_TYPE] = {"schema": found.given.of(each.lines)}
        if said.links:
            answer["links"] = {
                name: {"$ref": f"#/components/links/{of}.{name}"}
                for of, names in said.links.items()
                for name in names
            }
    return answer


_REQUEST_ID = {"$ref": "#/components/headers/X-Request-Id"}


def _header(words: str, pattern: str | None = None) -> Schema:
    return {"description": words, "schema": {"type": "string", **({"pattern": pattern} if pattern else {})}}


def _headers() -> Schema:
    return {
        "ETag": _header("The version of the record.", '^"[0-9]+"$'),
        "Retry-After": _header("Seconds after which to repeat.", "^[0-9]+$"),
        "WWW-Authenticate": _header("How to present a key."),
        "X-Request-Id": _header("The name of this request, also in the log and the history."),
    }


def _problem_name(status: int) -> str:
    return HTTPStatus(status).phrase.title().replace(" ", "")


def _problem(status: int, found: _Schemas) -> Schema:
    codes = sorted(code for code, (known, _) in STATUS.items() if known == status)
    also = {401: ["WWW-Authenticate"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    return {
        "description": f"{HTTPStatus(status).phrase}. Codes: {', '.join(f'`{code}`' for code in codes)}",
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *also)},
        "content": {PROBLEM_TYPE: {"schema": found.given.of(answers.Problem)}},
    }


# ----- links: what of an answer fills the parameters of an operation that may follow

# Where the first record stands in a list; elsewhere the answer is the record.
_FIRST: Mapping[str, str] = {
    "jobs": "/jobs/0",
    "engines": "/engines/0",
    "pools": "/pools/0",
    "windows": "/windows/0",
    "limits": "/limits/0",
}


def _link(of: str, name: str) -> Schema:
    def at(member: str) -> str:
        return f"$response.body#{_FIRST.get(of, '')}/{member}"

    known = {"job_id": at("job_id")} if of == "lease" else {f"{of.rstrip('s')}_id": at("id")}
    known = {"limit_key": at("key")} if of == "limits" else known
    held = {"token": at("token"), "engine_id": at("engine_id")}
    further: Mapping[str, Schema] = {
        "claim": {"parameters": known | {"session": at("session")}},
        "jobAttempt": {"parameters": known | {"number": at("attempt")}},
        "heartbeat": {"requestBody": {"session": at("session")}},
        **{
            report: {"requestBody": held}
            for report in (
                "renewLease",
                "reportProgress",
                "reportStatus",
                "patchStatus",
                "completeJob",
                "failJob",
            )
        },
    }
    return {"operationId": name, "parameters": known, **further.get(name, {})}
