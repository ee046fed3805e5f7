# SPDX-License-Identifier: Apache-2.0
"""MobileNet: the teacher's weights in other places, a coarse picture, a running window, frames."""

from __future__ import annotations

import math

import onnx
import onnxruntime
import pytest
import torch

from auricle.errors import ConfigError, UsageError
from auricle.exporting.onnx import ScoringGraph, export_onnx
from auricle.nn.frontends.kaldi_mel import KaldiMel, KaldiMelSpec
from auricle.nn.frontends.sine_mel import SineMel, SineMelSpec
from auricle.nn.modules.channel_blocks import BLOCK, fill_blocks, fold_residual
from auricle.nn.modules.efficientat import EfficientAt
from auricle.nn.modules.excitation import RunningExcitation
from auricle.nn.modules.mobilenet import FrameBranch, MobileNet, TimeConv, _twice, check_residuals, take_weights
from auricle.recipe.schema import make_recipe

P12 = tuple(index for index in range(15) if index not in (8, 9, 11))


def noise(samples: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def network() -> MobileNet:
    torch.manual_seed(0)
    return MobileNet(SineMelSpec(), 7).eval()


@pytest.mark.parametrize(("samples", "frames"), [(1_280, 1), (1_600, 2), (16_000, 13), (16_319, 13), (81_920, 64)])
def test_frames_of_80_ms(network, samples, frames):
    with torch.inference_mode():
        output = network(noise(samples, 2))
    assert output.clip_logits.shape == (2, 7)
    assert output.embedding.shape == (2, 384)
    assert output.frame_logits.shape == (2, frames, 7)
    assert output.frame_embedding.shape == (2, frames, 64)
    assert network.grid.frames_before(samples // 320 * 320) == frames


def test_frames_lie_where_their_log_mel_frames_do(network):
    assert network.grid.hop_samples == 1_280
    assert network.grid.first_centre_samples == 159.5  # the middle of the first 320 samples


def test_both_front_ends_agree_about_noise():
    """Of white noise, a band of twice the width in twice the time: the scale between both is in the bank."""
    there = (5 * KaldiMel(KaldiMelSpec())(noise(320_000))[0, 4:100]).exp().mean(1).log()
    # The same noise at half the rate has half the variance of a band-limited copy: draw it with the same density.
    here = SineMel(SineMelSpec())(noise(160_000, seed=1) / 2**0.5)[0, 2:50].exp().mean(1).log()
    torch.testing.assert_close(here.mean(), there.mean(), atol=0.1, rtol=0)


def test_silence_is_the_published_silence():
    silence = SineMel(SineMelSpec())(torch.zeros(1, 3_200))
    assert float(silence.unique()) / 5 == pytest.approx((math.log(1e-5) + 4.5) / 5, abs=1e-6)


def test_weights_of_the_teacher_lie_in_their_places():
    torch.manual_seed(0)
    teacher = EfficientAt(KaldiMelSpec(), 7).eval()
    student = MobileNet(SineMelSpec(), 7, residuals=P12).eval()
    take_weights(student, teacher)
    assert torch.equal(student.deep[0].weight, teacher.feature_map[16][0].weight)
    assert torch.equal(student.head[3].weight, teacher.head[3].weight)
    assert torch.equal(student.blocks["14"].block[0][0].weight, teacher.feature_map[15].block[0][0].weight)
    torch.testing.assert_close(student.stem[0].weight, teacher.feature_map[0][0].weight / 5)
    assert sorted(map(int, student.blocks)) == list(P12)


def test_with_a_window_longer_than_the_clip_a_whole_student_is_its_teacher():
    """On the same picture; its own comes without the published scale of 1/5."""
    torch.manual_seed(0)
    teacher, student = EfficientAt(KaldiMelSpec(), 7).eval(), MobileNet(SineMelSpec(), 7).eval()
    take_weights(student, teacher)
    picture = torch.randn(1, 128, 640, generator=torch.Generator().manual_seed(0))
    for excitation in student.modules():
        if isinstance(excitation, RunningExcitation):
            excitation.steps = 2 * 640 + 1  # longer than the clip
    with torch.inference_mode():
        expected = teacher.classify(picture)
        embedding = student.maps(5 * picture)[0].mean(2)
        torch.testing.assert_close(embedding, expected.embedding, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(student.head(embedding), expected.clip_logits, atol=1e-4, rtol=1e-4)


def test_a_running_window_does_not_see_what_is_far_away():
    excitation = RunningExcitation(8, 5)
    x = torch.randn(1, 8, 3, 40, generator=torch.Generator().manual_seed(0))
    changed = x.clone()
    changed[..., 30:] = 5
    with torch.inference_mode():
        before, after = excitation(x), excitation(changed)
    assert torch.equal(before[..., :28], after[..., :28])
    assert not torch.equal(before[..., 28], after[..., 28])


def test_a_running_window_over_what_is_constant_is_the_clips_mean():
    from auricle.nn.modules.efficientat import SqueezeExcitation

    torch.manual_seed(0)
    running, whole = RunningExcitation(16, 7), SqueezeExcitation(16)
    whole.load_state_dict(running.state_dict())
    x = torch.randn(2, 16, 3, 1).expand(2, 16, 3, 12)
    with torch.inference_mode():
        torch.testing.assert_close(running(x), whole(x))


def test_steps_are_doubled_by_lines_between_them():
    assert _twice(torch.tensor([[[[0.0, 2.0, 6.0]]]]), 6).tolist() == [[[[0, 1, 2, 4, 6, 6]]]]
    assert _twice(torch.tensor([[[[0.0, 2.0, 6.0]]]]), 5).tolist() == [[[[0, 1, 2, 4, 6]]]]


def test_a_convolution_over_time_is_that_of_one_axis():
    torch.manual_seed(0)
    layer = TimeConv(4, 6, 3, padding=2, dilation=2, bias=False)
    x = torch.randn(2, 4, 1, 9)
    expected = torch.nn.functional.conv1d(x[:, :, 0], layer.weight, padding=2, dilation=2)
    torch.testing.assert_close(layer(x)[:, :, 0], expected)


def test_blocks_filled_with_zeros_change_no_score():
    torch.manual_seed(0)
    network = MobileNet(SineMelSpec(), 7, width=0.2, residuals=P12).eval()
    narrow = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d) and m.out_channels < BLOCK]
    with torch.inference_mode():
        expected = network(noise(16_000))
        fill_blocks(network)
        found = network(noise(16_000))
    assert narrow
    assert all(len(conv.weight) == BLOCK for conv in narrow)
    torch.testing.assert_close(found.clip_logits, expected.clip_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.frame_logits, expected.frame_logits, atol=1e-5, rtol=1e-5)


def with_statistics(network: MobileNet) -> MobileNet:
    """Give norms statistics and gains of their own, as training does."""
    generator = torch.Generator().manual_seed(1)
    for norm in network.modules():
        if isinstance(norm, torch.nn.BatchNorm2d):
            norm.running_mean.copy_(0.2 * torch.randn(norm.num_features, generator=generator))
            norm.running_var.copy_(0.5 + torch.rand(norm.num_features, generator=generator))
            norm.weight.data.copy_(0.5 + torch.rand(norm.num_features, generator=generator))
            norm.bias.data.copy_(0.2 * torch.randn(norm.num_features, generator=generator))
    return network


def test_the_first_residual_goes_on_to_the_second_at_once_and_no_score_changes():
    torch.manual_seed(0)
    network = with_statistics(MobileNet(SineMelSpec(), 7, residuals=P12).eval())
    with torch.inference_mode():
        expected = network(noise(16_000))
        fold_residual(network)
        found = network(noise(16_000))
    assert network.stem[0].out_channels == BLOCK
    assert network.blocks["1"].block[0][0].in_channels == BLOCK
    torch.testing.assert_close(found.clip_logits, expected.clip_logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.frame_logits, expected.frame_logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [{"width": 1.0}, {"residuals": P12[1:]}])
def test_residuals_that_do_not_fit_a_block_stay(options):
    network = MobileNet(SineMelSpec(), 7, **options).eval()
    before = [name for name, _ in network.named_modules()]
    fold_residual(network)
    assert [name for name, _ in network.named_modules()] == before


def test_excitations_multiply_in_the_engines_order(tmp_path):
    """Wherever the engine keeps channels in blocks, it leaves them at few places."""
    network = with_statistics(MobileNet(SineMelSpec(), 7, residuals=P12).eval())
    content = export_onnx(ScoringGraph(network.for_export(), "multi", negatives=False), 16_000)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    if not any(node.domain == "com.microsoft.nchwc" for node in nodes):
        pytest.skip("this processor's engine has no blocks of channels")
    left = {name: sum(node.op_type == name for node in nodes) for name in ("ReorderOutput", "ReorderInput")}
    assert left["ReorderOutput"] <= 8
    assert left["ReorderInput"] <= 3


def test_last_layers_of_another_size_are_not_the_teachers():
    torch.manual_seed(0)
    teacher = EfficientAt(KaldiMelSpec(), 7)
    student = MobileNet(SineMelSpec(), 7, hidden=32)
    before = student.head[0].weight.clone()
    take_weights(student, teacher)
    assert torch.equal(student.head[0].weight, before)
    assert student.head[3].weight.shape == (7, 32)
    assert torch.equal(student.deep[0].weight, teacher.feature_map[16][0].weight)


def test_the_branch_takes_the_time_of_its_finest_map():
    branch = FrameBranch([(4, 3), (6, 2), (8, 1)]).eval()
    maps = [torch.randn(2, 4, 3, 9), torch.randn(2, 6, 2, 5), torch.randn(2, 8, 1, 3)]
    assert branch(maps).shape == (2, 64, 9)


def test_residuals_that_change_the_shape_are_needed():
    assert check_residuals(P12) == P12
    with pytest.raises(UsageError, match=r"residual 6 changes channels or resolution and cannot be left out; needed"):
        check_residuals([1, 3, 10, 12])
    with pytest.raises(UsageError, match=r"there is no residual 15; EfficientAT has 0 to 14"):
        check_residuals([*range(16)])


def test_impossible_recipes_are_refused():
    with pytest.raises(ConfigError) as caught:
        make_recipe({"model": {"name": "mobilenet", "residuals": [0, 1, 3, 10, 12]}, "frontend": {"window_ms": 25}})
    text = "\n".join(caught.value.problems)
    assert "model.residuals lacks 6, which changes channels or resolution; needed are 1, 3, 6, 10, 12" in text
    assert "frontend.window_ms 25 is not frontend.hop_ms 20: frames of front end sinemel do not overlap" in text


def test_without_residuals_the_branch_sees_the_last_map_of_each_resolution():
    assert MobileNet(SineMelSpec(), 7).taps == {0.08: 2, 0.16: 5, 0.32: 11}
    assert MobileNet(SineMelSpec(), 7, residuals=P12).taps == {0.08: 2, 0.16: 5, 0.32: 10}
