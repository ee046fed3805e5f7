# SPDX-License-Identifier: Apache-2.0
"""New last layers in an ONNX file: scores are those of NumPy, the rest of the network is as it was."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from auricle.enrolment.linear import Linear
from auricle.enrolment.onnx_head import LastInputs, last_inputs, with_heads, with_outputs
from auricle.errors import BundleError
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.onnx_safety import check_onnx


@pytest.fixture(scope="module")
def content() -> bytes:
    return load_bundle(resolve_model("general")).read("model.onnx")


@pytest.fixture(scope="module")
def waveform() -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal((2, 32_000))).astype(np.float32)


def run(content: bytes, waveform: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"waveform": waveform}), strict=True))


def layers(clip: int, frame: int) -> tuple[Linear, Linear]:
    rng = np.random.default_rng(1)
    return (
        Linear(rng.standard_normal((3, clip)), rng.standard_normal(3)),
        Linear(rng.standard_normal((3, frame)), rng.standard_normal(3)),
    )


@pytest.mark.parametrize("task", ["single", "multi"])
def test_scores_are_those_of_the_layers(content, waveform, task):
    inputs = last_inputs(content)
    vectors = run(with_outputs(content, [inputs.clip, inputs.frames]), waveform)
    clip, frames = layers(vectors[inputs.clip].shape[1], vectors[inputs.frames].shape[2])
    changed = with_heads(content, inputs, clip, frames, task)
    onnx.checker.check_model(onnx.load_from_string(changed), full_check=True)
    check_onnx(changed, "changed")
    found, before = run(changed, waveform), run(content, waveform)
    np.testing.assert_allclose(found["clip"], clip.scores(vectors[inputs.clip], task), atol=1e-5)
    np.testing.assert_allclose(found["frames"], frames.scores(vectors[inputs.frames], task), atol=1e-5)
    assert found.keys() == before.keys()
    for name in ("embedding", "frame_embedding"):
        assert np.array_equal(found[name], before[name])


def test_what_no_output_needs_is_left_out(content):
    inputs = last_inputs(content)
    small = with_heads(content, inputs, *layers(512, 64), "multi")
    assert len(content) - len(small) > 527 * 512, "the old layers are gone"


def test_layers_can_be_replaced_again(content, waveform):
    inputs = last_inputs(content)
    once = with_heads(content, inputs, *layers(512, 64), "single")
    assert last_inputs(once) == LastInputs(inputs.clip, inputs.frames)
    twice = with_heads(once, last_inputs(once), *layers(512, 64), "single")
    assert np.array_equal(run(once, waveform)["clip"], run(twice, waveform)["clip"])


def test_scores_that_come_from_no_linear_layer_are_refused():
    inputs = helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "sample"])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("clip", "frames")]
    nodes = [helper.make_node("Sigmoid", ["waveform"], [name]) for name in ("clip", "frames")]
    graph = helper.make_graph(nodes, "g", [inputs], outputs)
    with pytest.raises(BundleError, match="output 'clip' does not come from a linear layer"):
        last_inputs(helper.make_model(graph).SerializeToString())
