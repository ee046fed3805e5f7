# SPDX-License-Identifier: Apache-2.0
"""Audio-classification models of ``transformers`` as teachers: the Audio Spectrogram Transformer and its kin.

A local folder is read as it is. ``hf:org/name`` is looked for among the models that were downloaded before;
nothing is downloaded unless the caller says so.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auricle.errors import UsageError
from auricle.files import printable, sha256_file
from auricle.results import FloatArray
from auricle.teachers.teacher import Answer

PREFIX = "hf:"
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
#: Keys of the settings by which a folder brings code of its own.
_CODE_KEYS = frozenset(["auto_map", "custom_pipelines", "custom_generate", "trust_remote_code"])
#: What AudioSet's transformers were trained on; a model that says otherwise brings ``max_length``.
WINDOW_S = 10.0


class HubTeacher:
    """See ``teacher.Teacher``; made by ``open_hub``."""

    def __init__(self, model: Any, extractor: Any, name: str, identity: str, *, bf16: bool) -> None:
        config = model.config
        self.name, self.identity = name, f"{identity}{'-bf16' * bf16}"
        self.labels = tuple(str(config.id2label[i]) for i in range(config.num_labels))
        self.sample_rate = int(extractor.sampling_rate)
        self.window_s = WINDOW_S
        self.embedding_size = int(config.hidden_size)
        self.model, self.extractor, self._bf16 = model, extractor, bf16
        # AudioSet's models were trained on several classes at once; the config of a fine-tuned one says so.
        self.softmax = config.problem_type == "single_label_classification"

    def score(self, waveforms: FloatArray) -> Answer:
        """See ``teacher.Teacher.score``."""
        inputs = self.extractor(
            [np.asarray(w, np.float32) for w in waveforms], sampling_rate=self.sample_rate, return_tensors="pt"
        )
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            output = self.model(**inputs, output_hidden_states=True)
        logits = output.logits.float()
        scores = torch.softmax(logits, -1) if self.softmax else torch.sigmoid(logits)
        return Answer(scores.numpy(), output.hidden_states[-1].float().mean(1).numpy())


def open_hub(name: str, *, download: bool = False, bf16: bool = False) -> HubTeacher:
    """Open a model folder, or ``hf:org/name`` from the local store of downloads.

    Args:
        name: a folder that ``save_pretrained`` wrote, or ``hf:org/name``.
        download: fetch ``hf:org/name`` if it is not there.
        bf16: compute in bf16.

    Raises:
        UsageError: the model is not there, says the place tried, or is no audio classifier.
    """
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification  # noqa: PLC0415 (seconds)

    folder = _find(name, download=download)
    _refuse_code(name, folder)
    options = {"local_files_only": True, "trust_remote_code": False}  # False, not unset: unset asks on the terminal
    try:
        extractor = AutoFeatureExtractor.from_pretrained(folder, **options)  # type: ignore[no-untyped-call]
        model = AutoModelForAudioClassification.from_pretrained(folder, use_safetensors=True, **options)
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(
            f"teacher {name}: {folder} holds no audio classifier that transformers loads: {reason}"
        ) from error
    weights = "+".join(sha256_file(path) for path in sorted(folder.glob("*.safetensors")))
    identity = hashlib.sha256(f"{weights} {sha256_file(folder / CONFIG_FILE)}".encode()).hexdigest()
    return HubTeacher(model.eval(), extractor, name, identity, bf16=bf16)


def _refuse_code(name: str, folder: Path) -> None:
    """Refuse a folder whose settings name code that is to be loaded: its own files, or kernels from the hub."""
    for path in sorted(folder.glob("*.json")):
        try:
            values = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            continue  # transformers says what is wrong with a file that it needs
        found = _code_in(values)
        if found:
            raise UsageError(
                f"teacher {name}: {path.name} names code that is to be run ({found}); auricle runs no code of a model "
                "folder: take a model that transformers knows itself, or export it to ONNX"
            )


def _code_in(values: Any) -> str:
    """Return the key and value that ask for code from elsewhere, at any depth; empty if there are none."""
    if isinstance(values, list):
        return next(filter(None, map(_code_in, values)), "")
    if not isinstance(values, dict):
        return ""
    for key, value in values.items():
        kernel = key.strip("_").startswith("attn_implementation") and isinstance(value, str) and "/" in value
        if (key in _CODE_KEYS and value) or kernel:
            return printable(f"{key}: {json.dumps(value)[:80]}")
    return next(filter(None, map(_code_in, values.values())), "")


def _find(name: str, *, download: bool) -> Path:
    """Return the folder of a model; raises ``UsageError`` with the place tried."""
    if not name.startswith(PREFIX):
        if not (Path(name) / CONFIG_FILE).is_file():
            raise UsageError(f"teacher {name}: no {CONFIG_FILE} there; expected a folder that save_pretrained wrote")
        return Path(name)
    from huggingface_hub import snapshot_download  # noqa: PLC0415
    from huggingface_hub.constants import HF_HUB_CACHE  # noqa: PLC0415
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    wanted = ["*.json", "*.safetensors"]
    try:
        found = snapshot_download(name.removeprefix(PREFIX), local_files_only=not download, allow_patterns=wanted)
    except HFValidationError as error:
        raise UsageError(f"teacher {name}: expected hf:org/name ({error})") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        tried = "the hub could not be reached" if download else "nothing is downloaded unasked: add --download"
        raise UsageError(f"teacher {name} is not in {HF_HUB_CACHE}; {tried}, or name a local folder") from error
    return Path(found)
