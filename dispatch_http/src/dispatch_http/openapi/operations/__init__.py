"""What can be asked for, route by route: the words, parameters, bodies and answers that code cannot say itself.

A new route needs a line in one of these files, or there is no description of the API, and the tests fail.
"""

from __future__ import annotations

from collections.abc import Mapping

from dispatch_http.openapi.operations.admin import ADMINISTRATION
from dispatch_http.openapi.operations.campaigns import CAMPAIGNS
from dispatch_http.openapi.operations.engines import ENGINES
from dispatch_http.openapi.operations.jobs import JOBS
from dispatch_http.openapi.operations.keys import KEYS
from dispatch_http.openapi.operations.limits import LIMITS
from dispatch_http.openapi.operations.operation import Operation
from dispatch_http.openapi.operations.pools import POOLS
from dispatch_http.openapi.operations.system import SYSTEM
from dispatch_http.openapi.operations.windows import WINDOWS
from dispatch_http.openapi.operations.work import WORK

SECTIONS: Mapping[str, Mapping[str, Operation]] = {
    "Jobs": JOBS,
    "Work": WORK,
    "Engines": ENGINES,
    "Keys": KEYS,
    "Pools": POOLS,
    "Limits": LIMITS,
    "Campaigns": CAMPAIGNS,
    "Windows": WINDOWS,
    "Administration": ADMINISTRATION,
    "System": SYSTEM,
}
OPERATIONS: Mapping[str, Operation] = {key: each for part in SECTIONS.values() for key, each in part.items()}
