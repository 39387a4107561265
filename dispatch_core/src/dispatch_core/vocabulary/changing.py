"""A value like another one but for some fields, made the short way: several times for every command."""

from __future__ import annotations

from collections import deque
from functools import cache
from itertools import repeat
from operator import attrgetter, call
from typing import Any, TypeVar

import attrs

T = TypeVar("T")
_nothing = deque[None](maxlen=0)


def changed(value: T, **fields: object) -> T:
    """As ``attrs.evolve``, in about half of its time: for slotted classes that keep fields as they are given.

    That is: no converter, no validator, no field that ``__init__`` does not take. Raises TypeError for a name that is
    no field.
    """
    kind: Any = type(value)
    contents, setters, places = _slots_of(kind)
    new: T = object.__new__(kind)
    now = list(contents(value))
    try:
        for name, each in fields.items():
            now[places[name]] = each
    except KeyError as error:
        raise TypeError(f"{kind.__name__} has no field {error}") from None
    _nothing.extend(map(call, setters, repeat(new), now))  # a loop over names takes twice as long
    return new


@cache
def _slots_of(kind: Any) -> tuple[Any, tuple[Any, ...], dict[str, int]]:
    """What gives all fields of a value, what sets each of a new one, and the place of each by name.

    Raises TypeError for a class that does more with its fields than to keep them.
    """
    fields = attrs.fields(kind)
    more = hasattr(kind, "__attrs_post_init__") or len(fields) < 2
    if more or any(each.converter or each.validator or not each.init for each in fields):
        raise TypeError(f"{kind.__name__} does more with its fields than to keep them: use attrs.evolve")
    names = [each.name for each in fields]
    setters = tuple(getattr(kind, name).__set__ for name in names)
    return attrgetter(*names), setters, {name: place for place, name in enumerate(names)}
