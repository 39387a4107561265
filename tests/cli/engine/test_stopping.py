"""Runs can be cancelled, limited and killed; nothing of them stays behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dispatch_cli.engine.failures import TranscodeError
from dispatch_cli.engine.limits import Limits
from dispatch_cli.engine.process import Child, Reading
from dispatch_cli.engine.recipe import Transcode
from dispatch_cli.engine.transcode import Progress, TranscodeRun
from tests.support.pacing import PACED, paced

PROMISED_S = 2.0
SLACK_S = 2.0

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and process groups are POSIX")


@pytest.fixture(scope="module")
def slow(ffmpeg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For it the two seconds of the clip are half a minute, if a run is to be ended."""
    return paced(ffmpeg, tmp_path_factory.mktemp("slow"), speed=0.05)


@pytest.fixture(autouse=True)
def slow_ffmpeg(slow: Path, own_settings_only: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """All runs here use it."""
    monkeypatch.setenv("DISPATCH_FFMPEG", str(slow))


class _Background:
    """A run that would take long, in a thread of its own; `begun` is set at its first progress."""

    def __init__(self, source: Path, target: Path, limits: Limits | None = None) -> None:
        wanted = Transcode(source=str(source), target=str(target), encoder="libx264", preset=PACED)
        self.begun = threading.Event()
        self.run = TranscodeRun(wanted, attempt_tag="1.1", limits=limits, on_progress=self._begin)
        self.error: TranscodeError | None = None
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def _begin(self, progress: Progress) -> None:
        self.begun.set()

    def _work(self) -> None:
        try:
            self.run.run()
        except TranscodeError as error:
            self.error = error

    @property
    def pid(self) -> int:
        assert self.begun.wait(30)
        assert self.run._child is not None
        return self.run._child.pid

    def ended(self) -> TranscodeError:
        self._thread.join(30)
        assert not self._thread.is_alive()
        assert self.error is not None
        return self.error


def _alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _eventually(condition: Callable[[], bool], within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_cancel_ends_a_run_within_two_seconds(clip: Path, tmp_path: Path, frozen: bool) -> None:
    """Even one that does not react: it is dead, the temporary file is gone, the target never appears."""
    work = _Background(clip, tmp_path / "out.mkv")
    pid = work.pid
    if frozen:
        os.kill(pid, signal.SIGSTOP)
    before = time.monotonic()
    assert work.run.cancel()
    assert time.monotonic() - before <= PROMISED_S + SLACK_S
    assert list(tmp_path.iterdir()) == []
    assert work.ended().failure_class == "cancelled"
    assert not _alive(pid)


def test_a_run_cancelled_before_it_begins_does_not_begin(clip: Path, tmp_path: Path) -> None:
    """The order of two threads does not matter."""
    run = TranscodeRun(Transcode(source=str(clip), target=str(tmp_path / "out.mp4")), attempt_tag="1.1")
    assert run.cancel()
    with pytest.raises(TranscodeError) as caught:
        run.run()
    assert caught.value.failure_class == "cancelled"
    assert list(tmp_path.iterdir()) == []


def test_a_cancel_that_comes_too_late_says_so(clip: Path, tmp_path: Path) -> None:
    """The target stays, and the canceller knows."""
    wanted = Transcode(source=str(clip), target=str(tmp_path / "out.mp4"), preset="ultrafast")
    run = TranscodeRun(wanted, attempt_tag="1.1")
    run.run()
    assert not run.cancel()
    assert (tmp_path / "out.mp4").exists()


def test_a_cancel_during_the_last_step_is_in_time(clip: Path, tmp_path: Path) -> None:
    """Until the moment of replacing, cancelled means that the target does not appear."""
    wanted = Transcode(source=str(clip), target=str(tmp_path / "out.mp4"), preset="ultrafast")
    run = TranscodeRun(wanted, attempt_tag="1.1")
    publish = run._publish

    def late() -> None:
        run._cancelled.set()
        publish()

    run._publish = late  # type: ignore[method-assign]  # only to be late
    with pytest.raises(TranscodeError) as caught:
        run.run()
    assert caught.value.failure_class == "cancelled"
    assert list(tmp_path.iterdir()) == []


def test_a_killed_ffmpeg_is_an_engine_failure(clip: Path, tmp_path: Path) -> None:
    """As the system does when memory runs out."""
    work = _Background(clip, tmp_path / "out.mkv")
    os.kill(work.pid, signal.SIGKILL)
    error = work.ended()
    assert error.failure_class == "engine"
    assert "SIGKILL" in error.message
    assert list(tmp_path.iterdir()) == []


def test_the_run_limit_is_a_timeout(clip: Path, tmp_path: Path) -> None:
    """A run that takes longer than it may is ended and cleaned up."""
    error = _Background(clip, tmp_path / "out.mkv", Limits(run_s=0.5)).ended()
    assert (error.failure_class, error.message) == ("timeout", "not done after 0.5 s")
    assert list(tmp_path.iterdir()) == []


def test_a_stuck_ffmpeg_is_a_timeout(clip: Path, tmp_path: Path) -> None:
    """One that runs but gets no further is found out by the no-progress limit."""
    work = _Background(clip, tmp_path / "out.mkv", Limits(no_progress_s=1.0))
    os.kill(work.pid, signal.SIGSTOP)
    error = work.ended()
    assert (error.failure_class, error.message) == ("timeout", "ffmpeg got no further for 1 s")


def test_a_callback_that_raises_ends_the_run(clip: Path, tmp_path: Path) -> None:
    """The caller's error comes out as it is, and no ffmpeg goes on."""

    def refuse(progress: Progress) -> None:
        raise ZeroDivisionError

    wanted = Transcode(source=str(clip), target=str(tmp_path / "out.mkv"), encoder="libx264", preset=PACED)
    run = TranscodeRun(wanted, attempt_tag="1.1", on_progress=refuse)
    with pytest.raises(ZeroDivisionError):
        run.run()
    assert run._child is not None
    assert not _alive(run._child.pid)
    assert list(tmp_path.iterdir()) == []


AGENT = """
import sys
from dispatch_cli.engine.recipe import Transcode
from dispatch_cli.engine.transcode import TranscodeRun

wanted = Transcode(source=sys.argv[1], target=sys.argv[2], encoder="libx264", preset=sys.argv[3])
run = TranscodeRun(wanted, attempt_tag="1.1", on_progress=lambda _: print(run._child.pid, flush=True))
run.run()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot tie a child to its parent")
def test_ffmpeg_dies_with_a_killed_agent(clip: Path, tmp_path: Path) -> None:
    """An agent that vanishes leaves no ffmpeg that nobody watches."""
    command = [sys.executable, "-c", AGENT, str(clip), str(tmp_path / "out.mkv"), PACED]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as agent:
        assert agent.stdout is not None
        pid = int(agent.stdout.readline())
        assert _alive(pid)
        agent.kill()
    assert _eventually(lambda: not _alive(pid))


def _shell(script: str) -> Child:
    return Child(["/bin/sh", "-c", script])


def test_the_newest_progress_is_handed_on() -> None:
    """A slow listener gets the latest block, and `N/A` is nothing."""
    script = "for i in 1 2 3; do printf 'frame=%d\\nfps=N/A\\nspeed= 1.5x\\nprogress=continue\\n' $i; sleep 0.2; done"
    seen: list[Reading] = []
    with _shell(script) as child:
        done = child.follow(seen.append, Limits())
    assert seen[-1] == done.last == Reading(frame=3, speed=1.5)
    assert (done.exit_code, done.stopped) == (0, None)


def test_the_end_of_stderr_is_kept() -> None:
    """However much is said, memory is bounded, and a full pipe stalls nobody."""
    script = "yes chatter | head -c 3000000 >&2; echo the end >&2; exit 3"
    with _shell(script) as child:
        done = child.follow(lambda _: None, Limits(run_s=30))
    assert done.exit_code == 3
    assert done.stderr.endswith("the end\n")
    assert len(done.stderr) <= 16_384


def test_a_child_that_ignores_sigterm_and_its_children_die() -> None:
    """After the grace the whole group is killed."""
    with _shell(
        "trap '' TERM; sleep 60 & echo frame=$!; echo progress=continue; while :; do sleep 1; done"
    ) as child:
        seen: list[Reading] = []

        def stop(reading: Reading) -> None:
            seen.append(reading)
            child.stop("cancelled", grace_s=0.1)

        done = child.follow(stop, Limits(run_s=30))
    grandchild = seen[0].frame
    assert grandchild is not None
    assert (done.exit_code, done.stopped) == (-signal.SIGKILL, "cancelled")
    assert _eventually(lambda: not _alive(grandchild))


def test_a_grandchild_that_keeps_the_pipe_does_not_keep_us() -> None:
    """The end of the process is the end, whoever holds its output open."""
    with _shell("sleep 3 & exit 0") as child:
        before = time.monotonic()
        done = child.follow(lambda _: None, Limits())
        assert time.monotonic() - before < 3
    assert done.exit_code == 0


def test_a_program_that_is_not_there_is_an_engine_failure(clip: Path, tmp_path: Path) -> None:
    """An ffmpeg that was removed under a running agent is told as such."""
    wanted = Transcode(source=str(clip), target=str(tmp_path / "out.mp4"))
    with pytest.raises(TranscodeError) as caught:
        TranscodeRun(wanted, attempt_tag="1.1", ffmpeg=tmp_path / "gone").run()
    assert caught.value.failure_class == "engine"
