"""Maintenance windows over HTTP."""

import pytest
from falcon.testing import TestClient

from tests.http.fleet import SESSION, Fleet, insist, pointers, problem

PLAN = {"engine_id": "engine-1", "ends_at": "2030-01-01T01:00:00Z", "reason": "new disks"}


@pytest.mark.checklist(40)
def test_a_window_is_planned_shown_and_ended(client: TestClient, fleet: Fleet) -> None:
    """The engine shows it and gets nothing until it is ended."""
    fleet.register()
    fleet.submit()
    made = insist(client.simulate_post("/windows", json=PLAN), 201)
    assert (made["begins_at"], made["reason"]) == ("2030-01-01T00:00:00.000000Z", "new disks")
    assert insist(client.simulate_get("/windows"), 200) == {"windows": [made]}
    assert insist(client.simulate_get("/engines/engine-1"), 200)["windows"] == [made]
    params = {"engine_id": "engine-1", "session": SESSION}
    assert client.simulate_post("/queue/next_job", params=params).status_code == 204
    insist(client.simulate_delete(f"/windows/{made['id']}"), 200)
    fleet.claim()
    problem(client.simulate_delete(f"/windows/{made['id']}"), 404, "unknown-window")


def test_an_unfit_window_is_pointed_at(client: TestClient) -> None:
    """Times that are none, and an engine that is not there."""
    answer = client.simulate_post("/windows", json={**PLAN, "ends_at": "soon"})
    assert pointers(problem(answer, 422, "invalid-command")) == ["/ends_at"]
    problem(client.simulate_post("/windows", json=PLAN), 404, "unknown-engine")


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [({"ends_at": "2029-01-01T00:00:00Z"}, "/ends_at"), ({"reason": "x" * 5_000}, "/reason")],
)
def test_a_window_that_the_core_refuses_is_pointed_at_where_it_was_written(
    client: TestClient, fleet: Fleet, fields: dict[str, str], pointer: str
) -> None:
    """The end is called ``ends_at`` here, whatever the core calls it."""
    fleet.register()
    answer = client.simulate_post("/windows", json={**PLAN, **fields})
    assert pointers(problem(answer, 422, "invalid-command")) == [pointer]
