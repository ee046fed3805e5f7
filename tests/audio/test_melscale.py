# SPDX-License-Identifier: Apache-2.0
"""The mel scales at points that are known, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from auricle.audio.melscale import hz_to_mel_htk, hz_to_mel_slaney, mel_to_hz_htk, mel_to_hz_slaney

HZ = np.array([0, 55, 999, 1_000, 1_001, 20_000])


def test_slaneys_scale_is_linear_to_1_khz_and_logarithmic_above():
    np.testing.assert_allclose(hz_to_mel_slaney([0, 200, 1_000, 6_400]), [0, 3, 15, 42], atol=1e-12)
    np.testing.assert_allclose(mel_to_hz_slaney(hz_to_mel_slaney(HZ)), HZ, rtol=1e-12)


def test_the_htk_scale_puts_1_khz_near_1000_mel():
    np.testing.assert_allclose(hz_to_mel_htk([0, 700, 1_000]), [0, 1127 * np.log(2), 1127 * np.log(17 / 7)])
    assert hz_to_mel_htk(1_000) == pytest.approx(1_000, abs=0.1)
    np.testing.assert_allclose(mel_to_hz_htk(hz_to_mel_htk(HZ)), HZ, rtol=1e-12)
