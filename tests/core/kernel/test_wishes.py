"""What is wanted of an engine outlives the process that runs it, and can be changed while it is away."""

from __future__ import annotations

import pytest

from dispatch_core import Dispatcher, Profile, Seen, UnknownEngineError, WantedState
from dispatch_core.storage import MemoryStorage


def test_a_drained_engine_that_has_left_can_be_resumed_before_it_comes_back() -> None:
    with Dispatcher(MemoryStorage()) as dispatcher:
        dispatcher.register("rack-7", Profile(), session="1")
        dispatcher.drain("rack-7", reason="new disks")
        dispatcher.deregister("rack-7")
        assert dispatcher.register("rack-7", Profile(), session="2").wanted.state is WantedState.DRAINING
        dispatcher.deregister("rack-7")

        resumed = dispatcher.resume("rack-7")
        assert (resumed.seen, resumed.wanted.state) == (Seen.LEFT, WantedState.ACTIVE)
        assert dispatcher.register("rack-7", Profile(), session="3").wanted.state is WantedState.ACTIVE


def test_an_engine_that_was_never_there_cannot_be_steered() -> None:
    with Dispatcher(MemoryStorage()) as dispatcher, pytest.raises(UnknownEngineError):
        dispatcher.cordon("nobody")
