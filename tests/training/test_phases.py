# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from auricle.training.phases import Phases


def test_time_goes_to_the_phase_that_ends():
    ticks = iter([0.0, 1.0, 3.0, 6.0])
    phases = Phases(lambda: next(ticks))
    phases.mark("data")
    phases.mark("forward")
    phases.mark("data")
    assert phases.seconds == {"data": 4.0, "forward": 2.0}
