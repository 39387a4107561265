"""A client that believes the description of the API: what is answered must be what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from falcon.testing import Result, TestClient
from jsonschema_rs import Draft202012Validator

from docs.generate import OPENAPI

Json = dict[str, Any]


class DescribedClient(TestClient):
    """Fails on an answer whose status, media type, header or field the description does not name."""

    def simulate_request(self, *args: Any, **options: Any) -> Result:
        """Ask, and check the answer."""
        answer = super().simulate_request(*args, **options)
        method, path = (*args, *(options[name] for name in ("method", "path") if name in options))[:2]
        check(method, path, answer)
        return answer


def check(method: str, path: str, answer: Result) -> None:
    """Hold an answer against the operation it is from; what is no operation of ours is not described."""
    template = _template(path.partition("?")[0])
    said = None if template is None else described()["paths"][template].get(method.lower())
    if said is None or answer.status_code in (405, 500):
        return
    what = f"{method} {template} {answer.status_code}"
    assert str(answer.status_code) in said["responses"], f"{what} is not described: {answer.text}"
    response = resolved(said["responses"][str(answer.status_code)])
    for name, header in response.get("headers", {}).items():
        assert name in answer.headers, f"{what}: {name} is missing"
        _validator(json.dumps(resolved(header))).validate(answer.headers[name])
    if method == "HEAD":
        return
    lines = "application/x-ndjson" in response.get("content", {})
    assert lines or bool(answer.content) == ("content" in response), what
    contents = response.get("content", {})
    said_type = answer.headers.get("Content-Type", "")
    assert not contents or any(said_type.startswith(each) for each in contents), what
    for media_type, content in contents.items():
        if not said_type.startswith(media_type):
            continue
        for form in _forms(answer) if "json" in media_type else ():
            problems = [
                f"{what}: {each.message}" for each in _validator(json.dumps(content)).iter_errors(form)
            ]
            assert problems == []


def _forms(answer: Result) -> list[Any]:
    """The JSON of an answer, or that of its lines."""
    if answer.headers["Content-Type"] == "application/x-ndjson":
        return [json.loads(line) for line in answer.text.split("\n") if line]
    return [answer.json]


@cache
def described() -> Json:
    """The description that is committed, except that nothing may be answered that it does not name."""
    document: Json = json.loads(OPENAPI.read_bytes())
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


def resolved(thing: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference refers to, or the thing itself."""
    if "$ref" not in thing:
        return thing
    found: Any = described()
    for step in thing["$ref"].removeprefix("#/").split("/"):
        found = found[step]
    return dict(found)


@cache
def _validator(content: str) -> Draft202012Validator:
    return Draft202012Validator({**json.loads(content)["schema"], "components": described()["components"]})


@cache
def _template(path: str) -> str | None:
    templates = sorted(described()["paths"], key=lambda each: each.count("{"))
    return next((each for each in templates if re.fullmatch(re.sub(r"{\w+}", "[^/]*", each), path)), None)
