"""What an engine says of itself."""

from __future__ import annotations

import json
from collections.abc import Collection
from io import StringIO
from pathlib import Path

import pytest

from dispatch_cli.agent import offering
from dispatch_cli.agent.logs import make_log
from dispatch_cli.agent.offering import Wishes, measured, parse_fact, profile_of
from dispatch_cli.engine.encoders import Coder
from dispatch_cli.engine.ffmpeg import list_encoders, locate, probe
from dispatch_core.forms import profile_from_form


@pytest.fixture(scope="module")
def probed() -> dict[str, object]:
    return probe(locate())


@pytest.fixture(scope="module")
def coders() -> Collection[Coder]:
    return list_encoders(locate())


def test_a_probed_profile_is_one_the_server_takes(
    probed: dict[str, object], coders: Collection[Coder]
) -> None:
    """Everything a real ffmpeg and machine say fits the form of a profile."""
    wishes = Wishes(name="Rack 7", slots=2, facts={"streaming": True, "tag": ["x"]}, size_bytes_max=10**9)
    cells: list[dict[str, object]] = [{"task_class": "h264/360p/encode", "units_per_s": 3.5, "tool": "x"}]
    profile = profile_from_form(json.loads(json.dumps(profile_of(probed, wishes, cells, coders))))
    assert (profile.slots, profile.size_bytes_max) == (2, 10**9)
    assert profile.facts["streaming"] is True
    assert "h264" in profile.facts["codec"]  # type: ignore[operator]  # a fact may be a number
    assert profile.benchmarks[0].units_per_s == 3.5


def test_an_engine_can_be_kept_to_some_codecs(probed: dict[str, object], coders: Collection[Coder]) -> None:
    """With --codec no encoder of another video codec is named, while sound stays possible."""
    facts = profile_of(probed, Wishes(facts={}, codecs=("h264", "vp9")), [], coders)["facts"]
    assert isinstance(facts, dict)
    assert {"h264", "vp9", "aac"} <= set(facts["codec"])
    assert not {"hevc", "av1"} & set(facts["codec"])
    assert not {"libx265", "libsvtav1"} & set(facts["encoder"])
    assert "libx264" in facts["encoder"]


@pytest.mark.parametrize(
    "text", ["streaming", "=x", "streaming=perhaps", "cpus=many", "cpus=nan", "a b=c", "tag="]
)
def test_a_fact_that_makes_no_sense_is_refused(text: str) -> None:
    """A fact has a name and a value of the type that requirements compare."""
    with pytest.raises(ValueError, match=r".+"):
        parse_fact(text)


def test_speeds_are_measured_once(
    probed: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first start measures, the second one remembers, and a damaged memory is measured anew."""
    monkeypatch.setattr(offering, "DEFAULT_CELLS", (("h264", "360p"),))
    monkeypatch.setattr(offering, "BUDGET_S", 1.0)
    log = make_log("text", StringIO())
    first = measured(locate(), probed, (), log, tmp_path)
    assert [cell["task_class"] for cell in first] == ["h264/360p/encode"]
    monkeypatch.setattr(offering, "run_benchmark", None)
    assert measured(locate(), probed, (), log, tmp_path) == first
    assert measured(locate(), probed, ("vp9",), log, tmp_path / "other") == [], (
        "nothing wanted, nothing measured"
    )
    monkeypatch.undo()
    monkeypatch.setattr(offering, "DEFAULT_CELLS", (("h264", "360p"),))
    (memory,) = tmp_path.glob("benchmark-*.json")
    memory.write_text("[1, 2")
    assert measured(locate(), probed, (), log, tmp_path)[0]["task_class"] == "h264/360p/encode"
