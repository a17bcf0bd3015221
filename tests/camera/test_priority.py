"""Sinks whose work may wait give way to the inspection; those that carry verdicts do not."""

import os
import sys
import threading
from typing import Literal

import pytest

from pcedge.camera.lane import Lane


@pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a thread has a priority of its own")
@pytest.mark.parametrize(("retries", "gives_way"), [(False, True), (True, False)])
def test_only_what_may_be_lost_may_also_wait(retries: bool, gives_way: bool) -> None:
    own = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    found: list[int] = []

    def write(_: Literal["item"]) -> None:
        found.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    lane = Lane("sink", write, lambda *_: None, capacity=1, retries=retries)
    lane.put("item")
    assert lane.wait_empty(5.0)

    assert (found[0] > own) is gives_way
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == own
