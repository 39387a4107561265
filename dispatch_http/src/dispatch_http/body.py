"""Request bodies: strict JSON within limits, or a refusal that says where."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import falcon
from falcon.typing import ReadableIO

from dispatch_core.forms import step
from dispatch_http.headers import receipt_key
from dispatch_http.problems import Refusal
from dispatch_http.quick_json import quick
from dispatch_http.settings import HttpSettings

_INT_MAX = 2**63 - 1
_SHOWN_MAX = 64
_CHUNK_BYTES = 65_536


def read_json(req: falcon.Request, settings: HttpSettings, *, clean: bool = True) -> Any:
    """The body as plain data; an empty one counts as ``{}``. Raises Refusal (400, 413, 415).

    ``clean`` refuses texts that no store can hold. Reports of engines are read without it: the core
    mends their texts, for a report that cannot be delivered would leave a job that cannot end.
    """
    text = _read(req, settings.body_bytes_max)
    if not text:
        return {}
    _check_type(req.content_type)
    return checked(text, settings.json_depth_max, clean=clean)


def checked(text: bytes, depth_max: int, *, clean: bool = True) -> Any:
    """The data of a JSON text within limits. Raises Refusal (400)."""
    fast = quick(text, depth_max)
    if fast is not None:
        return fast.data
    data = loads(text)
    problem = next(_problems(data, depth_max, clean=clean), None)
    if problem:
        pointer, detail = problem
        raise Refusal("invalid-json", f"{_shown(pointer) or '/'}: {detail}", errors=[_at(pointer, detail)])
    return data


def media_type(req: falcon.Request) -> str:
    """What the body is said to be, its parameters left out."""
    return (req.content_type or "").partition(";")[0].strip().lower()


def lines(req: falcon.Request, settings: HttpSettings) -> Iterator[tuple[int, bytes | None]]:
    """The lines of the body that are not empty, with their numbers; None stands for one that is too long.

    However long the body is, one line and a little more of it is in memory. Raises Refusal (413) for a length
    beyond ``lines_bytes_max``, at once if it is announced; (400) with a key but no length; HTTPBadRequest in the
    middle if the caller left before the end: what belongs together must not be taken in part, for the repeat has all.
    """
    if (req.content_length or 0) > settings.lines_bytes_max:
        raise _too_large(settings.lines_bytes_max)
    if req.content_length is None and req.env.get("wsgi.input_terminated") and receipt_key(req) is not None:
        # granian hands on what comes, and its stream ends alike whether that was all or the caller has left.
        raise Refusal("invalid-header", "lines with an Idempotency-Key need a Content-Length")
    return _lines(req, settings)


def _lines(req: falcon.Request, settings: HttpSettings) -> Iterator[tuple[int, bytes | None]]:
    left = settings.lines_bytes_max
    stream, rest, number, skipping = _stream(req), b"", 0, False
    endless = req.content_length is None and not req.env.get("wsgi.input_terminated")
    while not endless and (chunk := stream.read(_CHUNK_BYTES)):
        left -= len(chunk)
        if left < 0:
            raise _too_large(settings.lines_bytes_max)
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if skipping or line.strip():
                yield number, None if skipping or len(line) > settings.body_bytes_max else line
            skipping = False
        if len(rest) > settings.body_bytes_max:
            rest, skipping = b"", True
    if settings.lines_bytes_max - left < (req.content_length or 0):
        raise falcon.HTTPBadRequest(description="the body ended before the length it was said to have")
    if skipping or rest.strip():
        yield number + 1, None if skipping else rest


def _at(pointer: str, detail: str) -> dict[str, object]:
    return {"pointer": pointer, "detail": detail}


def _read(req: falcon.Request, bytes_max: int) -> bytes:
    if (req.content_length or 0) > bytes_max:
        raise _too_large(bytes_max)
    # A server that hands on chunks as they come gives no length, but ends its stream.
    endless = req.content_length is None and not req.env.get("wsgi.input_terminated")
    text: bytes = b"" if endless else _stream(req).read(bytes_max + 1)
    if len(text) > bytes_max:
        raise _too_large(bytes_max)
    return text


def _stream(req: falcon.Request) -> ReadableIO:
    return req.stream if req.content_length is None else req.bounded_stream


def _too_large(bytes_max: int) -> Refusal:
    return Refusal("content-too-large", f"a body may have at most {bytes_max} bytes")


def _check_type(content_type: str | None) -> None:
    said = (content_type or "").partition(";")[0].strip().lower()
    subtype = said.removeprefix("application/")
    if subtype == said or not (subtype == "json" or subtype.endswith("+json")):
        given = f", not {_shown(said)!r}" if said else ""
        raise Refusal("unsupported-media-type", f"send Content-Type: application/json{given}")


def loads(text: bytes) -> Any:
    """The data of a JSON text: UTF-8, no NaN or Infinity, no key twice. Raises Refusal."""
    try:
        return json.loads(text.decode("utf-8"), parse_constant=_no_constant, object_pairs_hook=_object)
    except UnicodeDecodeError as error:
        raise Refusal("invalid-json", f"is not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        place: dict[str, object] = {"line": error.lineno, "column": error.colno, "detail": error.msg}
        detail = f"line {error.lineno}, column {error.colno}: {error.msg}"
        raise Refusal("invalid-json", detail, errors=[place]) from None
    except RecursionError:
        raise Refusal("invalid-json", "is nested too deep") from None
    except ValueError:  # a number with more digits than Python converts
        raise Refusal("invalid-json", "has a number with too many digits") from None


def _no_constant(name: str) -> Any:
    raise Refusal("invalid-json", f"{name} is not JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]  # add returns None
        raise Refusal("invalid-json", f"an object names {_shown(twice)!r} twice")
    return found


def _problems(data: object, depth_max: int, *, clean: bool) -> Iterator[tuple[str, str]]:
    """What is wrong inside, with JSON pointers. Walks without recursion: depth is the client's choice."""
    left: list[tuple[str, object, int]] = [("", data, 0)]
    while left:
        pointer, value, depth = left.pop()
        match value:
            case dict() | list() if depth >= depth_max:
                yield pointer, f"is nested deeper than {depth_max}"
            case dict():
                left += [(f"{pointer}/{step(name)}", inner, depth + 1) for name, inner in value.items()]
                if clean and any(_unfit(name) for name in value):
                    yield pointer, "has a key with NUL or a lone surrogate"
            case list():
                left += [(f"{pointer}/{index}", inner, depth + 1) for index, inner in enumerate(value)]
            case str() if clean and _unfit(value):
                yield pointer, "must not contain NUL or a lone surrogate"
            case float() if not math.isfinite(value):
                yield pointer, "must be finite"
            case int() if not -_INT_MAX - 1 <= value <= _INT_MAX:
                yield pointer, "must fit in 64 bits"


def _unfit(text: str) -> bool:
    return "\x00" in text or (not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text))


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
