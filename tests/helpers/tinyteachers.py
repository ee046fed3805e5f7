# SPDX-License-Identifier: Apache-2.0
"""The smallest teachers of every kind, made in a moment."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper

from auricle.nn.frontends.kaldi_mel import KaldiMelSpec
from auricle.nn.modules.efficientat import EfficientAt, to_checkpoint
from auricle.teachers.efficientat import LABELS_FILE

CLASSES = ("Speech", "Whistle", "Hum", "Music", "Bark, dog")


def write_efficientat(folder: Path) -> Path:
    """Write a checkpoint of the smallest width and the names of its classes.

    Its weights are random, but its norms have seen tones and noise, so that its embeddings tell sounds apart.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    network = EfficientAt(KaldiMelSpec(), len(CLASSES), width=0.125).train()
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0
    turns = torch.tensor([300.0, 600.0, 1_200.0, 2_400.0])[:, None] * torch.arange(16_000) / 32_000
    tones = torch.sin(2 * torch.pi * turns) + 0.05 * torch.randn(4, 16_000)
    with torch.no_grad():
        network(0.3 * torch.cat([tones, torch.randn(2, 16_000)]))
    network.eval()
    torch.save(to_checkpoint(network), folder / "mn01.pt")
    with (folder / LABELS_FILE).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("index", "mid", "display_name"))
        writer.writerows((i, f"/m/{i}", name) for i, name in enumerate(CLASSES))
    return folder / "mn01.pt"


def write_ast(folder: Path, labels: tuple[str, ...] = CLASSES, *, single: bool = False) -> Path:
    """Write an Audio Spectrogram Transformer of two layers with ``save_pretrained``, as published ones are."""
    from transformers import ASTConfig, ASTFeatureExtractor, ASTForAudioClassification

    torch.manual_seed(0)
    config = ASTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_mel_bins=16,
        max_length=104,
        id2label=dict(enumerate(labels)),
        label2id={name: i for i, name in enumerate(labels)},
        problem_type="single_label_classification" if single else "multi_label_classification",
    )
    ASTForAudioClassification(config).save_pretrained(folder)
    ASTFeatureExtractor(num_mel_bins=16, max_length=104).save_pretrained(folder)
    return folder


def write_graph(folder: Path, labels: tuple[str, ...] = CLASSES, **card: object) -> Path:
    """Write a foreign tagger whose logits are the mean of the waveform, times 1, 2, 3, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    weight = numpy_helper.from_array(np.arange(1, len(labels) + 1, dtype=np.float32)[None], "w")
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["m"], axes=[1], keepdims=1),
        helper.make_node("MatMul", ["m", "w"], ["logits"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "sample"])
    y = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(labels)])
    graph = helper.make_graph(nodes, "tagger", [x], [y], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (folder / "tagger.onnx").write_bytes(model.SerializeToString())
    values = {"sample_rate": 8_000, "window_s": 2.0, "labels": list(labels), "activation": "sigmoid", **card}
    (folder / "tagger.json").write_text(json.dumps(values))
    return folder / "tagger.onnx"
