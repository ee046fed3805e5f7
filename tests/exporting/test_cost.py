# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
from helpers.smallgraphs import SAMPLES, conv_graph, graph, gru_graph
from onnx import helper

from auricle.exporting.cost import count_multiply_adds


def test_convolution_gru_and_products_by_hand():
    assert count_multiply_adds(conv_graph(channels=16, kernel=20), SAMPLES) == (SAMPLES - 19) * 16 * 20
    steps, step, hidden = 6, 4, 6
    assert count_multiply_adds(gru_graph(hidden, step), SAMPLES) == steps * 2 * 3 * hidden * (step + hidden)
    weight = np.ones((SAMPLES, 5), np.float32)
    product = graph([helper.make_node("MatMul", ["waveform", "w"], ["clip"])], {"w": weight})
    assert count_multiply_adds(product, SAMPLES) == SAMPLES * 5
    turned = graph([helper.make_node("Gemm", ["waveform", "w"], ["clip"], transB=1)], {"w": weight.T.copy()})
    assert count_multiply_adds(turned, SAMPLES) == SAMPLES * 5
