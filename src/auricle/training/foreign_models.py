# SPDX-License-Identifier: Apache-2.0
"""Models of others as model folders, without training: EfficientAT checkpoints, transformers' AST, ONNX taggers.

The folder holds the graph with its front end, what the original says of its classes, and the hash of the original. The
scores are those of the original: the exported graph is compared with it before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from auricle.errors import TrainingError, UsageError
from auricle.exporting.onnx import TOLERANCE, trace
from auricle.files import sha256_file
from auricle.nn.frontends.ast_bank import FRAME, HOP, AstBank
from auricle.nn.models.efficientat import CHECKPOINT_SUFFIXES, KALDI_FRONTEND
from auricle.nn.modules.efficientat import TIME_STRIDE, EfficientAt, load_checkpoint
from auricle.output_folder import OutputFolder
from auricle.recipe.model_requests import ImportRequest
from auricle.results import FloatArray
from auricle.runtime.bundle import Bundle, write_bundle
from auricle.runtime.catalogue import source_of_name
from auricle.runtime.spec import ONNX_FILES, BundleSpec, FrontendPart, ModelPart, ProvenancePart
from auricle.teachers.efficientat import LABELS_FILE, WINDOW_S, read_class_ids, read_class_names
from auricle.teachers.hub import PREFIX, HubTeacher, open_hub
from auricle.teachers.onnx import GraphTeacher, open_graph
from auricle.timeline import samples_to_seconds, seconds_to_samples
from auricle.training.bundling import export_checked, golden, library_versions

#: A class that a model of others names: where nothing was fitted, an event begins at 0.5.
THRESHOLD = 0.5
#: In front of the names of a foreign graph, so that ours are free.
_INNER = "inner_"


@dataclass(frozen=True)
class Foreign:
    """A model of others, ready to be written.

    Attributes:
        spec: what the folder will say.
        graph: ``waveform`` in; ``clip`` and, where there is one, ``embedding`` out.
        weights: for further training, where the network is one of ours.
    """

    spec: BundleSpec
    graph: bytes
    weights: bytes | None = None


def import_model(request: ImportRequest) -> Bundle:
    """Write a model of others as a model folder.

    Raises:
        UsageError: it is of no known kind, or the folder is not empty.
        TrainingError: the exported graph scores otherwise than the original.
    """
    out = Path(request.out)
    OutputFolder(out, "a model").require_new()
    request = replace(request, source=source_of_name(str(request.source)))
    found = opener_of(str(request.source))(request)
    spec = found.spec.model_copy(update={"name": out.resolve().name})
    files: dict[str, bytes | Path | Callable[[], bytes]] = {
        ONNX_FILES["float32"]: found.graph,
        "golden.npz": golden(found.graph, spec),
        "README.md": card_of(spec, str(request.source)).encode(),
    }
    if found.weights is not None:
        files["model.safetensors"] = found.weights
    return write_bundle(out, spec, files)


def opener_of(source: str) -> Callable[[ImportRequest], Foreign]:
    """Return what reads a model, by its name; raises ``UsageError`` for a kind that is not known."""
    path = Path(source)
    if path.suffix in CHECKPOINT_SUFFIXES:
        return efficientat
    if path.suffix == ".onnx":
        return onnx_tagger
    if source.startswith(PREFIX) or (path / "config.json").is_file():
        return transformer
    raise UsageError(
        f"{source}: expected an EfficientAT checkpoint (.pt), an ONNX tagger (.onnx with a .json beside it), or an AST "
        "of transformers: a folder with config.json, or hf:org/name"
    )


# --- EfficientAT


def efficientat(request: ImportRequest) -> Foreign:
    """Read a published checkpoint of EfficientAT; AudioSet's table of classes lies beside it, or is named."""
    path = Path(request.source)
    network = load_checkpoint(path)
    table = path.with_name(LABELS_FILE) if request.labels is None else Path(request.labels)
    labels = read_class_names(table, network.classes)
    window_s = WINDOW_S if request.window_s is None else request.window_s
    spec = _spec(
        request, labels, window_s, network.spec.sample_rate,
        model=ModelPart(name="efficientat", head="mean_mlp", time_stride=TIME_STRIDE, width=network.width),
        frontend=FrontendPart.model_validate(KALDI_FRONTEND),
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        digest=sha256_file(path),
        min_samples=network.min_samples,
        label_ids=read_class_ids(table),
        pad="repeat",
    )  # fmt: skip
    return Foreign(spec, export_checked(network, spec), _weights(network))


def _weights(network: EfficientAt) -> bytes:
    from safetensors.torch import save  # noqa: PLC0415 (beside its only use)

    return bytes(save({name: value.contiguous() for name, value in network.state_dict().items()}))


# --- transformers


class AstGraph(nn.Module):
    """An Audio Spectrogram Transformer with its front end: waveform in, scores and the mean of the last layer out."""

    def __init__(self, teacher: HubTeacher) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank  # noqa: PLC0415 (seconds)

        extractor, self.model, self.softmax = teacher.extractor, teacher.model, teacher.softmax
        rate, mels = teacher.sample_rate, int(extractor.num_mel_bins)
        bank = mel_filter_bank(257, mels, 20, rate // 2, rate, mel_scale="kaldi", triangularize_in_mel_space=True)
        mean, std = (extractor.mean, extractor.std) if extractor.do_normalize else (0.0, 0.5)
        self.frontend = AstBank(torch.from_numpy(np.asarray(bank)), int(extractor.max_length), mean, std)

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        """Return scores ``(batch, label)`` and embedding ``(batch, hidden)``."""
        output = self.model(self.frontend(waveform), output_hidden_states=True)
        scores = torch.softmax(output.logits, -1) if self.softmax else torch.sigmoid(output.logits)
        return scores, output.hidden_states[-1].mean(1)


def transformer(request: ImportRequest) -> Foreign:
    """Read an Audio Spectrogram Transformer that ``save_pretrained`` wrote, or that was downloaded before."""
    teacher = open_hub(str(request.source))
    kind = teacher.model.config.model_type
    if kind != "audio-spectrogram-transformer":
        raise UsageError(
            f"{request.source}: a model of type {kind}; of transformers, AST is imported, others can teach"
        )
    teacher.model.set_attn_implementation("eager")  # the only one that the exporter knows
    rate = teacher.sample_rate
    longest_s = samples_to_seconds(FRAME + (int(teacher.extractor.max_length) - 1) * HOP, rate)
    window_s = min(WINDOW_S, longest_s) if request.window_s is None else request.window_s
    samples = seconds_to_samples(window_s, rate)
    graph = AstGraph(teacher).eval()
    axes = {"waveform": {0: "batch"}, "clip": {0: "batch"}, "embedding": {0: "batch"}}
    content = trace(graph, {"waveform": 0.1 * torch.randn(2, samples)}, axes)
    _compare(content, lambda waveforms: teacher.score(waveforms).scores, samples)
    spec = _spec(
        request, teacher.labels, window_s, rate,
        model=ModelPart(name="ast"),
        parameters=sum(parameter.numel() for parameter in teacher.model.parameters()),
        digest=teacher.identity,
        single=teacher.softmax,
        fixed_length=True,
    )  # fmt: skip
    return Foreign(spec, content)


def _compare(content: bytes, original: Callable[[FloatArray], FloatArray], samples: int) -> None:
    """Raise ``TrainingError`` where a graph scores noise and a tone otherwise than the original."""
    import onnxruntime  # noqa: PLC0415 (beside its only use)

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    tone = 0.3 * np.sin(2 * np.pi * 1_000 / 16_000 * np.arange(samples))
    waveforms = np.stack([0.1 * rng.standard_normal(samples), tone, 0.01 * rng.standard_normal(samples)])
    waveforms = waveforms.astype(np.float32)
    worst = float(np.abs(session.run(["clip"], {"waveform": waveforms})[0] - original(waveforms)).max())
    if worst > TOLERANCE:
        raise TrainingError(
            f"the exported graph's scores differ from the original's by {worst:.2g}: nothing was written"
        )


# --- ONNX


def onnx_tagger(request: ImportRequest) -> Foreign:
    """Read an ONNX tagger with the card beside it (``teachers.onnx``): its input and outputs get our names."""
    path = Path(request.source)
    teacher = open_graph(path)
    window_s = teacher.window_s if request.window_s is None else request.window_s
    content = renamed_graph(path.read_bytes(), teacher)
    _compare(content, lambda waveforms: teacher.score(waveforms).scores, round(window_s * teacher.sample_rate))
    spec = _spec(
        request, teacher.labels, window_s, teacher.sample_rate,
        model=ModelPart(name="onnx"),
        parameters=0,
        digest=teacher.identity,
        single=teacher.activation == "softmax",
        fixed_length=True,
    )  # fmt: skip
    return Foreign(spec, content)


def renamed_graph(content: bytes, teacher: GraphTeacher) -> bytes:
    """Return a graph with input ``waveform`` and outputs ``clip`` and ``embedding``, activation included."""
    import onnx  # noqa: PLC0415 (beside its only use)
    from onnx import compose, helper  # noqa: PLC0415

    model = compose.add_prefix(onnx.load_from_string(content), _INNER)
    graph, float32 = model.graph, onnx.TensorProto.FLOAT
    scores, *embedding = teacher.outputs
    operator = {"none": "Identity", "sigmoid": "Sigmoid", "softmax": "Softmax"}[teacher.activation]
    options: dict[str, Any] = {"axis": -1} if operator == "Softmax" else {}
    nodes = [helper.make_node("Identity", ["waveform"], [_INNER + teacher.input]), *graph.node]
    nodes.append(helper.make_node(operator, [_INNER + scores], ["clip"], **options))
    nodes += [helper.make_node("Identity", [_INNER + name], ["embedding"]) for name in embedding]
    outputs = {"clip": len(teacher.labels), **({"embedding": teacher.embedding_size} if embedding else {})}
    for values in (graph.node, graph.input, graph.output):
        del values[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info("waveform", float32, ["batch", "sample"]))
    graph.output.extend(helper.make_tensor_value_info(n, float32, ["batch", size]) for n, size in outputs.items())
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


# --- what the folder says


def _spec(
    request: ImportRequest,
    labels: tuple[str, ...],
    window_s: float,
    sample_rate: int,
    *,
    model: ModelPart,
    parameters: int,
    digest: str,
    frontend: FrontendPart | None = None,
    single: bool = False,
    fixed_length: bool = False,
    min_samples: int = 1,
    label_ids: dict[str, str] | None = None,
    pad: Literal["zero", "repeat"] = "zero",
) -> BundleSpec:
    """Return the specification of an imported model: windows side by side, events from 0.5 on, no licence claimed."""
    hop_s = window_s if request.hop_s is None else request.hop_s
    provenance = ProvenancePart(
        data_name=Path(request.source).name,
        data_form="imported",
        versions=library_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        parameters=parameters,
        license=request.license,
        initial_weights=digest,
    )
    try:
        return BundleSpec(
            name="imported", task="single" if single else "multi", labels=labels, label_ids=label_ids or {},
            model=model, frontend=frontend, sample_rate=sample_rate, window_s=window_s, hop_s=hop_s,
            pad=pad, aggregate="mean" if single else "max", min_samples=min_samples, fixed_length=fixed_length,
            thresholds=dict.fromkeys(labels, THRESHOLD), provenance=provenance,
        )  # fmt: skip
    except ValidationError as error:
        reasons = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{request.source}: no model folder can say this: {reasons}") from error


def card_of(spec: BundleSpec, source: str) -> str:
    """Return the model card."""
    shown = ", ".join(spec.labels[:20]) + (f" and {len(spec.labels) - 20} more" if len(spec.labels) > 20 else "")
    licence = spec.provenance.license or "not stated: ask whoever published it"
    return (
        f"# {spec.name}\n\nImported from `{Path(source).name}` by auricle {spec.provenance.versions['auricle']}, "
        f"without training: network `{spec.model.name}`, {spec.sample_rate} Hz, windows of {spec.window_s:g} s every "
        f"{spec.hop_s:g} s. SHA-256 of the original: `{spec.provenance.initial_weights}`.\n\n"
        f"Classes ({spec.task}): {shown}.\n\nLicence: {licence}.\n\nThresholds of `detect` are {THRESHOLD} for every "
        "class: nothing was fitted (`auricle evaluate DATA --model FOLDER --tune` does). Without scores of frames, "
        "`detect` says when to a window.\n"
    )
