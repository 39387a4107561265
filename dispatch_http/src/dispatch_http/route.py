"""A route: a path, the resource behind it, and for each of its methods who may use it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import Attribute, field, frozen

from dispatch_core import ANYONE, Scopes

OPEN = None
"""The scope of a method that needs no key."""
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


def methods_of(resource: object) -> tuple[str, ...]:
    """The methods a resource answers."""
    return tuple(method for method in METHODS if hasattr(resource, f"on_{method.lower()}"))


@frozen
class Route:
    """One line of the table. ``scope`` must name every method of the resource, and no other.

    A value is a set of scopes, any one of which is enough; OPEN means that no key is needed.
    """

    path: str
    resource: object
    scope: Mapping[str, Scopes | None] = field(kw_only=True)

    @scope.validator
    def _covers_every_method(self, _name: Attribute[object], scope: Mapping[str, Scopes | None]) -> None:
        if set(scope) != set(methods_of(self.resource)):
            raise ValueError(f"{self.path}: the scopes of {sorted(scope)} are not those of its methods")

    def asks_for(self, method: str) -> Scopes | None:
        """The scopes that open a method; a method it does not have is refused to whoever has a key."""
        if method in self.scope:
            return self.scope[method]
        return OPEN if all(each is OPEN for each in self.scope.values()) else ANYONE
