# SPDX-License-Identifier: Apache-2.0
"""The matrix: every registered network with every head, forwards, backwards, saved, loaded, exported."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from helpers.toydata import name_of, variants
from safetensors.torch import load, save

from auricle.errors import ConfigError, TrainingError, UsageError
from auricle.exporting.onnx import ScoringGraph, check_parity, export_onnx
from auricle.nn.losses import clip_losses, clip_scores, total_loss
from auricle.nn.networks import NETWORKS, build_network

LABELS, SAMPLES = 3, 4_000
#: Random networks of thirteen or fifteen residuals multiply what rounding does; an embedding goes up to 7.
DEEP = ("mobilecrnn", "efficientat", "mobilenet")
CASES = [
    pytest.param({"name": name, **options}, id=name_of(name, options))
    for name in NETWORKS
    for options in variants(name)
] + [
    pytest.param({"name": "rawnet", "head": head, "raw": raw}, id=f"rawnet-{raw['first']}")
    for head, raw in (
        ("final_state", {"first": "conv", "rectify": "none"}),
        ("state_attention", {"first": "sinc", "rectify": "abs", "kernel": 63, "stride": 16, "pools": [3, 2, 2]}),
        ("final_state", {"first": "fourier", "rectify": "log", "level": True, "filter_mask": 1}),
    )
]


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("model", CASES)
def test_shapes(small_network, model):
    network = small_network(LABELS, **model)
    output = network(noise(2, SAMPLES))
    assert output.clip_logits.shape == (2, LABELS)
    assert output.embedding.shape == (2, network.embedding_size)
    branch = model["name"] == "mobilenet"  # its frames come from a branch beside the head
    assert network.has_frames == (branch or model["head"] in ("attention", "linear_softmax", "statistics"))
    assert network.fixed_length == (SAMPLES if model["head"] == "concat_mlp" else None)
    if network.has_frames:
        assert output.frame_logits.shape == (2, network.frames(SAMPLES), LABELS)
    else:
        assert output.frame_logits is None
    assert torch.isfinite(output.clip_logits).all()


@pytest.mark.parametrize("task", ["single", "multi"])
@pytest.mark.parametrize("model", CASES)
def test_the_gradient_reaches_every_parameter(small_recipe, model, task):
    torch.manual_seed(0)
    network = build_network(small_recipe(**model, dropout=0.0), LABELS).train()
    targets = torch.eye(6, LABELS)  # three of a class, three negatives
    parts = clip_losses(network(noise(6, SAMPLES)), targets, torch.ones(6), task=task, negatives=True)
    total_loss(parts).backward()
    without = [
        n for n, p in network.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.abs().sum() > 0)
    ]
    assert without == []


@pytest.mark.parametrize("model", CASES)
def test_a_few_steps_lower_the_loss(small_recipe, model):
    torch.manual_seed(0)
    network = build_network(small_recipe(**model, dropout=0.0), LABELS).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.01)
    waveform, targets = noise(6, SAMPLES), torch.eye(LABELS).repeat(2, 1)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = total_loss(clip_losses(network(waveform), targets, torch.ones(6), task="single", negatives=False))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("model", CASES)
def test_saved_and_loaded_it_gives_the_same_scores(small_network, small_recipe, model):
    network = small_network(LABELS, **model)
    torch.manual_seed(99)
    other = build_network(small_recipe(**model), LABELS).eval()
    waveform = noise(2, SAMPLES)
    with torch.inference_mode():
        assert not torch.equal(other(waveform).clip_logits, network(waveform).clip_logits)
        other.load_state_dict(load(save({k: v.contiguous() for k, v in network.state_dict().items()})))
        for before, after in zip(network(waveform), other(waveform), strict=True):
            assert (before is None and after is None) or torch.equal(before, after)


@pytest.mark.parametrize("model", CASES)
def test_an_item_alone_is_the_item_in_a_batch(small_network, model):
    network = small_network(LABELS, **model)
    waveform = noise(5, SAMPLES)
    with torch.inference_mode():
        together = network(waveform)
        alone = [network(item[None]) for item in waveform]
    for i, one in enumerate(alone):
        logits, embedding = (5e-5, (1e-4, 5e-4)) if model["name"] in DEEP else (1e-5, (1e-5, 0))
        torch.testing.assert_close(one.clip_logits[0], together.clip_logits[i], atol=logits, rtol=0)
        torch.testing.assert_close(one.embedding[0], together.embedding[i], atol=embedding[0], rtol=embedding[1])


@pytest.mark.parametrize(
    ("task", "negatives"), [("single", True), pytest.param("multi", False, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("model", CASES)
def test_the_exported_graph_gives_torchs_scores(small_network, model, task, negatives):
    network = small_network(LABELS, **model)
    waveform = noise(3, SAMPLES)
    with torch.inference_mode():
        output = network(waveform)
        expected = clip_scores(output.clip_logits, task, negatives=negatives).numpy()
    graph = ScoringGraph(network, task, negatives=negatives).eval()
    content = export_onnx(ScoringGraph(network.for_export(), task, negatives=negatives), SAMPLES)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [o.name for o in session.get_outputs()]
    frames, of_frames = network.has_frames, network.has_frame_embedding
    assert names == ["clip", *["frames"] * frames, "embedding", *["frame_embedding"] * of_frames]
    found = dict(zip(names, session.run(None, {"waveform": waveform.numpy()}), strict=True))
    np.testing.assert_allclose(found["clip"], expected, atol=1e-4)
    rtol = 5e-4 if model["name"] in DEEP else 1e-7
    np.testing.assert_allclose(found["embedding"], output.embedding.numpy(), rtol=rtol, atol=1e-4)
    if network.has_frames:
        np.testing.assert_allclose(found["frames"], torch.sigmoid(output.frame_logits).numpy(), atol=1e-4)
    lengths = [SAMPLES] if network.fixed_length else [SAMPLES, network.min_samples, 2 * SAMPLES + 123]
    assert check_parity(graph, content, lengths, (1, 3)) <= 1e-4


@pytest.mark.parametrize("model", [case for case in CASES if case.values[0].get("head") == "concat_mlp"])
def test_a_network_of_one_length_refuses_others_in_both_forms(small_network, model):
    network = small_network(LABELS, **model)
    with pytest.raises(UsageError, match=r"was built for 12 frames and got 25: it takes one clip length"):
        network(noise(1, 2 * SAMPLES))
    content = export_onnx(ScoringGraph(network.for_export(), "single", negatives=False), SAMPLES)
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match=r"Got invalid dimensions for input: waveform"):
        session.run(None, {"waveform": noise(1, 2 * SAMPLES).numpy()})


def test_a_graph_that_differs_is_not_kept(small_network):
    network = small_network(LABELS)
    content = export_onnx(ScoringGraph(network.for_export(), "multi", negatives=False), SAMPLES)
    other = ScoringGraph(small_network(LABELS, head="linear_softmax"), "multi", negatives=False).eval()
    with pytest.raises(TrainingError) as caught:
        check_parity(other, content, [SAMPLES], (1,))
    assert str(caught.value).startswith("the exported graph's scores differ from torch's by ")
    assert str(caught.value).endswith("the weights are kept in the checkpoint, no model was written")


def test_the_exported_file_holds_no_fourier_matrix(small_network):
    """201 rows of cosines and sines over 400 samples are 643,200 bytes in float32."""
    network = small_network(LABELS, sample_rate=16_000)
    weights = sum(v.numel() * 4 for v in network.state_dict().values())
    content = export_onnx(ScoringGraph(network.for_export(), "multi", negatives=False), 8_000)
    assert len(content) < weights + 120_000


def test_a_network_is_made_from_the_seed_alone(small_recipe):
    torch.manual_seed(3)
    first = build_network(small_recipe(), LABELS).state_dict()
    torch.manual_seed(3)
    second = build_network(small_recipe(), LABELS).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_unknown_network_names_the_nearest(small_recipe):
    with pytest.raises(UsageError, match=r"unknown network 'crn' \(did you mean 'crnn'\?\)"):
        build_network(small_recipe(name="crn"), LABELS)


def test_a_network_refuses_what_it_cannot_be_built_with(small_recipe):
    with pytest.raises(ConfigError) as caught:
        small_recipe(name="efficientat", head="attention", causal=True)
    assert str(caught.value).splitlines() == [
        "the recipe has settings that cannot be used",
        "  - model.head = 'attention': input should be 'mean_mlp'",
        "  - unknown key model.causal of network efficientat; known here: name, head, time_stride, width, dropout",
    ]
