"""Lists of jobs: the parameters they take, and a page as an answer."""

from __future__ import annotations

from typing import Final

import falcon

from dispatch_core import Job, JobState
from dispatch_core.forms import JOB_FIELDS, JOB_ORDERS, JobFilter
from dispatch_http.answers import send
from dispatch_http.desk import Desk
from dispatch_http.parameters import Asked, page_cursor

PAGE_DEFAULT: Final = 100
TIMES: Final = ("created_since", "created_until", "updated_since", "updated_until")
FILTERS: Final = ("state", "kind", "engine", "account", "campaign", "tenant", "deleted", *TIMES)


def asked_filter(asked: Asked, engine_id: str | None = None) -> JobFilter:
    """Which jobs the query of a request is about; ``engine_id`` comes from the path. Raises Refusal."""
    states = asked.choices("state", [state.value for state in JobState])
    return JobFilter(
        state=tuple(JobState(state) for state in states),
        kind=asked.texts("kind"),
        engine=asked.texts("engine", chars_max=100) if engine_id is None else (engine_id,),
        account=asked.texts("account", chars_max=100),
        campaign=asked.texts("campaign", chars_max=100),
        tenant=asked.texts("tenant"),
        deleted=asked.flag("deleted"),
        **{name: asked.instant(name) for name in TIMES},
    )


def page_limit(asked: Asked, desk: Desk) -> int:
    """How long a page may be."""
    page_max = desk.settings.page_max
    return asked.whole("limit", default=min(PAGE_DEFAULT, page_max), ge=1, le=page_max)


def send_page(req: falcon.Request, resp: falcon.Response, desk: Desk, engine_id: str | None = None) -> None:
    """Answer with a page of jobs, all of them or those of one engine."""
    filters = [name for name in FILTERS if engine_id is None or name != "engine"]
    asked = Asked(req, *filters, "sort", "limit", "cursor", "fields")
    order = asked.choice("sort", JOB_ORDERS, JOB_ORDERS[0])
    fields = asked.fields(JOB_FIELDS)
    wanted = asked_filter(asked, engine_id)
    query = wanted.query(order, after=asked.resume(order), limit=page_limit(asked, desk))
    page = desk.asking(req).jobs(query)
    jobs = [desk.job_form(job, fields) for job in page.records if isinstance(job, Job)]
    send(resp, {"jobs": jobs, "next_cursor": page.next and page_cursor(order, page.next)})
