# SPDX-License-Identifier: Apache-2.0
"""Early warnings: seen where they should be, and nowhere else."""

from __future__ import annotations

import numpy as np

from auricle.training.guards import constant_scores, spike_in


def test_r9_a_spike_is_seen():
    assert spike_in([0.5, 0.4, 0.6, 6.0, 0.5, 0.4, 0.5, 0.5]) == (
        "the loss rose to 6 in its step 4, 12 times the median; look at the data, or lower optim.lr"
    )


def test_r9_a_falling_or_noisy_loss_is_none():
    assert spike_in([8.0, 4.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0]) is None
    assert spike_in([1.0, 9.9] * 4) is None
    assert spike_in([0.0] * 8) is None
    assert spike_in([]) is None
    assert spike_in([1.0, 100.0]) is None, "two steps are no epoch to compare with"


def test_r9_a_network_that_does_not_listen_is_seen():
    constant = np.tile(np.array([[0.2, 0.8]], np.float32), (5, 1))
    assert constant_scores(constant) == ("all 5 dev outputs are identical (collapsed); lower optim.lr")
    constant[3, 1] += 1e-3
    assert constant_scores(constant) is None
    assert constant_scores(constant[:1]) is None, "one clip cannot differ from itself"
    assert constant_scores(constant[:0]) is None
