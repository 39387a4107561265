"""The load: ``python -m benchmarks.http.loads NAME PORT JSON``, a process of its own; prints a JSON of what it measured."""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from benchmarks.http.cpu import cpu_s
from benchmarks.http.wire import Script, ask, form_of, insist, play, play_at, request, status, text_of, until

CODECS = ("h264", "hevc", "av1", "vp9", "mpeg4")
HEIGHTS = (480, 1_080)
SESSION = "bench"
BATCH = 100
Address = tuple[str, int]
Found = dict[str, float]


def spec(number: int) -> dict[str, object]:
    """The form of a job: ten scheduling classes, priorities and lengths mixed."""
    return {
        "parameters": {"source": "in.mp4", "target": f"out-{number}.mp4", "codec": CODECS[number % 5]},
        "size": {"height": HEIGHTS[number // 5 % 2], "duration_s": (1 + number % 97) * 10},
        "priority": number % 4,
    }


def profile() -> dict[str, object]:
    """Of an engine that encodes everything, one codec as fast as the other."""
    cells = [
        {"task_class": f"{codec}/{height}p/encode", "units_per_s": 1.0}
        for codec in CODECS
        for height in HEIGHTS
    ]
    return {"slots": 1_000, "facts": {"codec": list(CODECS), "ffmpeg": "7.0"}, "benchmarks": cells}


def register(address: Address, count: int) -> list[str]:
    """Engines that encode everything, one as fast as the other."""
    names = [f"engine-{number}" for number in range(count)]

    def presented(some: list[str]) -> Script:
        for name in some:
            body = {"session": SESSION, "profile": profile()}
            insist((yield request("PUT", f"/engines/{name}", body)), 201, 200)

    play(address, [presented(names[start::8]) for start in range(min(8, count))])
    return names


def _claim(name: str, more: str = "") -> bytes:
    return request("POST", f"/queue/next_job?engine_id={name}&session={SESSION}{more}")


def noop(address: Address, connections: int, seconds: float, pid: int) -> Found:
    """Requests that do nothing, with the body of a submit."""
    asked, goes, done = request("POST", "/noop", spec(1)), until(seconds), [0]

    def client() -> Script:
        while goes():
            insist((yield asked), 200)
            done[0] += 1

    return _per_s(address, [client() for _ in range(connections)], done, pid)


def _per_s(address: Address, scripts: list[Script], done: list[int], pid: int) -> Found:
    started, began_s = time.perf_counter(), cpu_s(pid)
    play(address, scripts)
    spent = time.perf_counter() - started
    return {"rate": done[0] / spent, "CPU ms": 1_000 * (cpu_s(pid) - began_s) / max(done[0], 1)}


def single(
    address: Address, connections: int, seconds: float, pid: int, engines: int = 4, wait: float = 0
) -> Found:
    """Submit, claim, complete: a request each; connections take turns to speak for a few engines."""
    names, goes, done = register(address, engines), until(seconds), [0]
    submits = itertools.cycle([request("POST", "/jobs", spec(number)) for number in range(970)])

    def client(name: str) -> Script:
        claim, engine = _claim(name, f"&wait={wait:g}"), name.encode()
        while goes():
            insist((yield next(submits)), 201)
            lease = insist((yield claim), 201, 204)
            if status(lease) == 204:  # the job is left to another engine, which will ask
                continue
            body = (
                b'{"token":"'
                + text_of(lease, b"token")
                + b'","engine_id":"'
                + engine
                + b'","status":"completed"}'
            )
            insist((yield _report(text_of(lease, b"job_id"), body)), 200)
            done[0] += 1

    return _per_s(address, [client(names[number % engines]) for number in range(connections)], done, pid)


def batch(
    address: Address, connections: int, seconds: float, pid: int, engines: int = 4, size: int = BATCH
) -> Found:
    """The same in three requests for ``size`` jobs: a list of them, a claim with a limit, a list of reports."""
    names, goes, done = register(address, engines), until(seconds), [0]
    numbers = itertools.count()
    lists = itertools.cycle(
        [request("POST", "/jobs?fields=id", [spec(next(numbers)) for _ in range(size)]) for _ in range(10)]
    )

    def client(name: str) -> Script:
        claim = _claim(name, f"&limit={size}")
        while goes():
            insist((yield next(lists)), 200)
            answer = insist((yield claim), 201, 204)
            if status(answer) == 204:
                continue
            leases = _listed(form_of(answer)["leases"])
            ends = [
                {"job_id": each["job_id"], "token": each["token"], "status": "completed"} for each in leases
            ]
            insist((yield request("POST", f"/engines/{name}/reports", {"reports": ends})), 200)
            done[0] += len(ends)

    clients = [client(names[number % engines]) for number in range(connections)]
    return _per_s(address, clients, done, pid)


def _listed(value: object) -> list[dict[str, str]]:
    assert isinstance(value, list)
    return value


def fleet(
    address: Address,
    engines: int,
    seconds: float,
    pid: int,
    beat_s: float = 10.0,
    claims_per_s: float = 200.0,
) -> Found:
    """Every engine says in each ``beat_s`` that it lives, by turns, and so many claims a second are granted.

    An engine that was granted a job names its lease from then on.
    """
    names = register(address, engines)
    jobs = int(claims_per_s * seconds)
    lists = [
        request("POST", "/jobs?fields=id", [spec(n) for n in range(500)]) for _ in range(jobs // 500 + 1)
    ]
    for each in lists:
        ask(address, each, 200)
    _all_beat(address, names)  # to register so many took longer than engines may be silent
    held: dict[str, list[dict[str, str]]] = {}
    due = len(names) / beat_s + claims_per_s
    done, started = [0], time.perf_counter()
    began_s = cpu_s(pid)
    order = _in_turn(names, due, claims_per_s)

    def client() -> Script:
        for number, name, claims in order:
            at = started + number / due
            if at - started > seconds:
                return
            ahead = at - time.perf_counter()
            if ahead > 0:
                time.sleep(ahead)
            if claims:
                answer = insist((yield _claim(name)), 201, 204)
                if status(answer) == 201:
                    one = {"job_id": text_of(answer, b"job_id"), "token": text_of(answer, b"token")}
                    held.setdefault(name, []).append({key: each.decode() for key, each in one.items()})
            else:
                beat = {"session": SESSION, "leases": held.get(name, [])}
                insist((yield request("POST", f"/engines/{name}/heartbeat", beat)), 200)
            done[0] += 1

    play(address, [client() for _ in range(16)])
    spent = time.perf_counter() - started
    return {
        "cores": (cpu_s(pid) - began_s) / spent,
        "requests/s": done[0] / spent,
        "share served in time": done[0] / spent / due,
        "claims granted": float(sum(map(len, held.values()))),
    }


def _all_beat(address: Address, names: list[str]) -> None:
    beat = {"session": SESSION}

    def client(some: list[str]) -> Script:
        for name in some:
            insist((yield request("POST", f"/engines/{name}/heartbeat", beat)), 200)

    play(address, [client(names[start::16]) for start in range(16)])


def _in_turn(names: list[str], due: float, claims_per_s: float) -> Iterator[tuple[int, str, bool]]:
    """What is due, by its number: heartbeats around the fleet, claims in between at their rate."""
    beats, claimers, claimed = itertools.cycle(names), itertools.cycle(names[::-1]), 0.0
    for number in itertools.count():
        claimed += claims_per_s / due
        if claimed >= 1:
            claimed -= 1
            yield number, next(claimers), True
        else:
            yield number, next(beats), False


def _report(job_id: bytes, body: bytes) -> bytes:
    head = (
        b"PUT /jobs/" + job_id + b"/status HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    )
    return head + b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body


def waking(address: Address, samples: int, submit_port: int | None = None) -> Found:
    """From before a submit is sent until the engine that waited has its lease, one job at a time.

    With ``submit_port`` jobs are submitted to another server of the same store.
    """
    door = (address[0], submit_port or address[1])
    (name,) = register(address, 1)
    claim = _claim(name, "&wait=30")
    asked = [request("POST", "/jobs", spec(number)) for number in range(samples + 20)]
    took = sorted([_wakes(address, door, claim, name, submit) for submit in asked][20:])
    return {"p50 ms": took[len(took) // 2] * 1_000, "p99 ms": took[int(len(took) * 0.99)] * 1_000}


def _wakes(address: Address, door: Address, claim: bytes, name: str, submit: bytes) -> float:
    sent = [0.0, 0.0]

    def engine() -> Script:
        lease = insist((yield claim), 201)
        sent[1] = time.perf_counter()
        body = {"token": text_of(lease, b"token").decode(), "engine_id": name, "status": "completed"}
        job_id = text_of(lease, b"job_id").decode()
        insist((yield request("PUT", f"/jobs/{job_id}/status", body)), 200)

    def submitter() -> Script:
        insist((yield request("GET", "/version")), 200)
        time.sleep(0.01)  # the claim is parked by now
        sent[0] = time.perf_counter()
        insist((yield submit), 201)

    play_at([(address, engine()), (door, submitter())])
    return sent[1] - sent[0]


LOADS: Mapping[str, Callable[..., Found]] = {
    "noop": noop,
    "single": single,
    "batch": batch,
    "waking": waking,
    "fleet": fleet,
}


def main(name: str, port: str, options: str) -> None:
    """Run a load against a server on this machine."""
    print(json.dumps(LOADS[name](("127.0.0.1", int(port)), **json.loads(options))))


if __name__ == "__main__":
    main(*sys.argv[1:])
