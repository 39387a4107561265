"""Commands over several servers of one store: what one cannot do another does, and no command has its effect twice."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from dispatch_core import Dispatcher, Profile
from dispatch_core.storage import MemoryStorage
from dispatch_http.app import create_app
from dispatch_http.server import Server
from dispatch_http.settings import HttpSettings, api_key
from tests.cli.program import Program
from tests.support.relay import Relay, relayed

KEY = "0123456789abcdef-secret"
SUBMIT = "submit /in/a.mov /out/a.mp4 --account NAME"
POOL = "pools add NAME --capacity 80TB"
LIMIT = "limits set NAME --at-once 2"

COMMANDS: Final = {
    SUBMIT: [],
    "jobs edit JOB --priority 7": [],
    "jobs edit JOB --priority 7 --if-version 1": [],
    "jobs hold JOB": [],
    "jobs release JOB": ["jobs hold JOB"],
    "jobs assign JOB NAME": [],
    "jobs assign JOB --none": ["jobs assign JOB NAME"],
    "jobs cancel JOB": [],
    "jobs cancel --filter account=NAME --filter state=pending --expected 1": [],
    "jobs requeue JOB": ["jobs cancel JOB"],
    "jobs requeue --filter account=NAME --filter state=cancelled --expected 1": ["jobs cancel JOB"],
    "jobs delete JOB": ["jobs cancel JOB"],
    "jobs restore JOB": ["jobs cancel JOB", "jobs delete JOB"],
    "engines cordon NAME --reason dust": [],
    "engines drain NAME": [],
    "engines resume NAME": ["engines cordon NAME"],
    "engines delete NAME": [],
    "engines maintain NAME --from +1h --until +2h": [],
    POOL: [],
    "pools edit NAME --note full": [POOL],
    "pools remove NAME": [POOL],
    LIMIT: [],
    "limits remove NAME": [LIMIT],
    "rekey": [],
}
"""Commands of every kind that changes something, each with what must precede it."""


@pytest.fixture(scope="module")
def house() -> Iterator[tuple[Server, Dispatcher]]:
    """One server with a key of its own for all tests: as soon as there are keys, nobody is let in without."""
    settings = HttpSettings(port=0, threads=4, keys=(api_key(KEY),), drain_grace_s=1.0)
    dispatcher = Dispatcher(MemoryStorage(), group_commit=True)
    with Server(create_app(dispatcher, settings), dispatcher, settings) as server:
        yield server, dispatcher


@pytest.fixture
def ways(house: tuple[Server, Dispatcher], monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Relay]]:
    """Two ways to the same store, as two servers of it."""
    monkeypatch.setenv("DISPATCH_API_KEY", KEY)
    with relayed(house[0].port, house[0].port) as ways:
        yield ways


@pytest.fixture
def several(ways: list[Relay]) -> Program:
    """The program, told of both."""
    return Program(("--url", ways[0].url, "--url", ways[1].url))


def told(dispatcher: Dispatcher) -> list[str]:
    """Every event so far."""
    return [row.event for row in dispatcher.export_events()]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_whose_answer_is_lost_is_done_once(
    command: str, several: Program, ways: list[Relay], house: tuple[Server, Dispatcher]
) -> None:
    """The first server does it and dies before it can say so; the second gives the first answer, and does nothing."""
    server, dispatcher = house
    name = f"n{list(COMMANDS).index(command)}"
    direct = Program(("--url", server.url))
    dispatcher.register(name, Profile(), session=name)
    job_id = str(direct.json(*shlex.split(SUBMIT.replace("NAME", name)))["id"])
    for each in COMMANDS[command]:
        direct(*shlex.split(each.replace("JOB", job_id).replace("NAME", name)))
    before = len(told(dispatcher))
    ways[0].lose(1)
    several(*shlex.split(command.replace("JOB", job_id).replace("NAME", name)))
    assert (len(ways[0].lost), ways[1].asked) == (1, 1)
    assert len(told(dispatcher)) - before == (0 if command == "rekey" else 1)


def test_a_key_whose_text_is_lost_is_said_to_exist(
    several: Program, ways: list[Relay], house: tuple[Server, Dispatcher]
) -> None:
    """The store keeps no text to tell again: the key was made once, and the command says how to get another text."""
    before = len(told(house[1]))
    ways[0].lose(1)
    answer = several("keys", "create", "ci", "--scope", "submitter", exit_code=7)
    assert "dispatch keys rotate key-" in answer.stderr
    assert told(house[1])[before:] == ["key-created"]


def be_dead(way: Relay) -> None:
    """Nobody listens."""
    way.refuse()


def be_frozen(way: Relay) -> None:
    """It takes what comes and says nothing."""
    way.hang()


def shut_down(way: Relay) -> None:
    """It asks to come back much later than anybody would wait."""
    way.be_away(retry_after_s=600)


@pytest.mark.parametrize("trouble", [be_dead, be_frozen, shut_down])
def test_what_one_server_cannot_another_does(
    trouble: Callable[[Relay], None], several: Program, ways: list[Relay]
) -> None:
    """Dead, frozen or shutting down: the command succeeds by the other, whichever of the two has the trouble."""
    for way in ways:
        trouble(way)
        assert several.json("--timeout", "1s", *shlex.split(SUBMIT))["state"] == "pending"
        way.revive()


def test_a_refusal_is_no_reason_to_ask_another(several: Program, ways: list[Relay]) -> None:
    """What one server of a store decides all of them would decide."""
    for command, exit_code in (("jobs show job-none", 3), ("pools add a/b --capacity 1TB", 5)):
        several(*shlex.split(command), exit_code=exit_code)
    several("keys", "list", exit_code=0)
    assert ways[1].asked == 0


def test_too_many_requests_are_not_carried_to_another_server(
    several: Program, ways: list[Relay], house: tuple[Server, Dispatcher]
) -> None:
    """A limit that is reached is the store's: the command waits where it is, as long as it may, and ends with 7."""
    direct = Program(("--url", house[0].url))
    direct("limits", "set", "account:full", "--queued", "1")
    direct("submit", "/in/a.mov", "/out/a.mp4", "--account", "full")
    told = several(
        "submit", "/in/a.mov", "/out/a.mp4", "--account", "full", "--timeout", "1s", "--json", exit_code=7
    )
    assert json.loads(told.stderr)["code"] == "limit-exceeded"
    assert ways[1].asked == 0


def test_when_none_can_be_asked_each_is_named_with_its_reason(several: Program, ways: list[Relay]) -> None:
    """Exit code 7, no word twice, and what to do."""
    be_dead(ways[0])
    ways[1].be_away()
    told = several("status", "--timeout", "200ms", exit_code=7).stderr
    assert f"{ways[0].url}: [Errno" in told
    assert f"{ways[1].url}: 503 Service Unavailable" in told
    assert told.count(ways[0].url) == 1
    assert "--url or DISPATCH_URL" in told
    told = json.loads(several("status", "--timeout", "200ms", "--json", exit_code=7).stderr)
    assert told["code"] == "unreachable"
    assert ways[0].url in told["detail"]
    assert ways[1].url in told["detail"]


def test_the_environment_may_name_several(
    program: Program, ways: list[Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Apart by commas or blanks; what the command line names counts instead of it."""
    be_dead(ways[0])
    for between in (",", " ", " , "):
        monkeypatch.setenv("DISPATCH_URL", between.join(way.url for way in ways))
        program("status")
    program("--url", ways[0].url, "status", "--timeout", "100ms", exit_code=7)
    program("--url", ways[0].url, "status", "--url", ways[1].url)
