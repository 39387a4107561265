"""The description of the API as one page: it needs no other file and no other server, and it can try things."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any

from attrs import frozen

Json = Mapping[str, Any]


@frozen
class Page:
    """HTML in UTF-8, and the policy under which a browser may show it."""

    html: bytes
    policy: str


def reference_page(document: Json) -> Page:
    """The page of an OpenAPI document. Its style and its script stand inside; the policy allows these two only."""
    style, script = _file("reference.css"), _file("reference.js")
    html = "".join(_lines(document, style, script)).encode()
    policy = (
        f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Page(html, policy)


def _file(name: str) -> str:
    return files("dispatch_http.ui").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _lines(document: Json, style: str, script: str) -> Iterator[str]:
    info = document["info"]
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{escape(info['title'])} API</title><style>{style}</style></head><body><main>"
    yield f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>"
    yield f"<p>{_marked(info['summary'])} As a document: <a href='openapi.json'>openapi.json</a>.</p>"
    yield "".join(f"<p>{_marked(part)}</p>" for part in re.split(r"\n(?:\n|- )", info["description"].strip()))
    yield "<label>Key, if the server has keys <input id='key' type='password' autocomplete='off'></label>"
    for tag in document["tags"]:
        yield f"<h2>{escape(tag['name'])}</h2>"
        for path, verb, said in _operations(document):
            if tag["name"] in said["tags"]:
                yield from _operation(document, path, verb, said)
    yield "<h2>Schemas</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f"<details id='{name}'><summary><code>{name}</code></summary>{_schema(schema)}</details>"
    yield f"</main><script>{script}</script></body></html>\n"


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, verbs in document["paths"].items():
        for verb, said in verbs.items():
            if verb not in ("parameters", "head"):
                yield path, verb, said


def _operation(document: Json, path: str, verb: str, said: Json) -> Iterator[str]:
    parameters = [*document["paths"][path].get("parameters", ()), *said.get("parameters", ())]
    title = f"<code>{verb.upper()} {escape(path)}</code> {_marked(said['summary'])}"
    yield f"<details id='{said['operationId']}'><summary>{title}</summary>"
    rows = [
        (each["name"], f"{each['in']}: {_typed(each['schema'])}", each["description"]) for each in parameters
    ]
    yield _table(("parameter", "takes", "what it is"), rows)
    if body := said.get("requestBody"):
        yield f"<p>Body: {_typed(body['content']['application/json']['schema'])}</p>"
    yield _table(("status", "body", "when"), list(_answers(document, said)))
    yield from _form(path, verb, said, parameters)
    yield "</details>"


def _answers(document: Json, said: Json) -> Iterator[tuple[str, str, str]]:
    for status, each in said["responses"].items():
        name = each.get("$ref", "").rpartition("/")[2]
        answer = document["components"]["responses"][name] if name else each
        bodies = [_typed(content["schema"]) for content in answer.get("content", {}).values()]
        yield status, " ".join(bodies), answer["description"]


def _form(path: str, verb: str, said: Json, parameters: list[Json]) -> Iterator[str]:
    yield f"<form data-method='{verb.upper()}' data-path='{escape(path)}'>"
    for each in parameters:
        many = " data-many='yes'" if each["schema"].get("type") == "array" else ""
        need = " required" if each.get("required") else ""
        yield f"<label>{escape(each['name'])} <input name='{each['name']}' data-in='{each['in']}'{many}{need}></label>"
    if body := said.get("requestBody"):
        example = json.dumps(
            body["content"]["application/json"].get("example", {}), indent=2, ensure_ascii=False
        )
        yield f"<label>Body <textarea name='body' data-in='body' spellcheck='false'>{escape(example)}</textarea></label>"
    yield "<button>Send</button> <output></output></form>"


def _schema(schema: Json) -> str:
    required = schema.get("required", ())
    rows = [
        (name + (" (required)" if name in required else ""), _typed(each), each.get("description", ""))
        for name, each in schema.get("properties", {}).items()
    ]
    return f"<p>{_marked(schema.get('description', ''))}</p>{_table(('field', 'type', 'what it is'), rows)}"


def _table(head: tuple[str, ...], rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code></td><td>{typed}</td><td>{_marked(words)}</td></tr>"
        for name, typed, words in rows
    )
    return f"<table><tr>{''.join(f'<th>{word}</th>' for word in head)}</tr>{cells}</table>"


_LIMITS = {"minimum": "≥", "maximum": "≤", "minLength": "characters ≥", "maxLength": "characters ≤",
           "minItems": "items ≥", "maxItems": "items ≤", "pattern": "like", "format": "", "default": "default"}  # fmt: skip


def _typed(schema: Json) -> str:
    """A schema in a few words of HTML."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"<a href='#{name}'>{name}</a>"
    if "anyOf" in schema:
        return " or ".join(_typed(each) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"<code>{escape(json.dumps(each))}</code>" for each in schema["enum"])
    types = schema.get("type", "anything")
    told = types if isinstance(types, str) else " or ".join(types)
    if told == "array":
        told = f"list of {_typed(schema['items'])}"
    limits = [f"{words} {schema[word]}".strip() for word, words in _LIMITS.items() if word in schema]
    return told + (f" <small>{escape(', '.join(limits))}</small>" if limits else "")


def _marked(words: str) -> str:
    """Text with its `code` set as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(words, quote=False))
