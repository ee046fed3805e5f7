# SPDX-License-Identifier: Apache-2.0
"""What of a model is published: network, weights, specification, ``config.json`` and card. No code, no training run.

The files of the bundle are taken as its hashes say; ``config.json`` is what the hub and others look for
(``id2label``, ``problem_type``); the card is that of the model, with front matter that the hub reads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from auricle import __version__
from auricle.errors import UsageError
from auricle.files import sha256_bytes
from auricle.runtime.atomic_folder import find_file
from auricle.runtime.bundle import SPEC_FILE, Bundle
from auricle.runtime.spec import BundleSpec

CARD_FILE = "README.md"
CONFIG_FILE = "config.json"
#: What may stand in a published model; none of it can run.
ENDINGS = frozenset([".onnx", ".safetensors", ".json", ".npz", ".md"])
_FENCE = "---\n"


@dataclass(frozen=True)
class PublishedFile:
    """A file that goes out."""

    name: str
    content: bytes = field(repr=False)  # megabytes

    @property
    def sha256(self) -> str:
        """Return its hash in hexadecimal."""
        return sha256_bytes(self.content)

    def to_dict(self) -> dict[str, Any]:
        """Return ``{"name", "size", "sha256"}``."""
        return {"name": self.name, "size": len(self.content), "sha256": self.sha256}


def model_files(bundle: Bundle, license: str | None) -> list[PublishedFile]:
    """Return what is published of a model, each file checked against the hash in its specification.

    Raises:
        BundleError: a file was changed since the model was written.
        UsageError: the model lists something that is not published.
    """
    for name in bundle.spec.sha256:
        if Path(name).suffix not in ENDINGS:
            raise UsageError(f"{bundle.path} lists {name}, and only {', '.join(sorted(ENDINGS))} are published")
    files = {name: bundle.read(name) for name in bundle.spec.sha256}
    files[SPEC_FILE] = find_file(bundle.path, SPEC_FILE).read_bytes()
    files[CONFIG_FILE] = config_json(bundle.spec)
    files[CARD_FILE] = card(bundle, license).encode()
    return [PublishedFile(name, files[name]) for name in sorted(files)]


def config_json(spec: BundleSpec) -> bytes:
    """Return the file by which the hub and others know the classes of an audio classifier."""
    names = {str(i): label for i, label in enumerate(spec.labels)}
    kind = "single_label_classification" if spec.task == "single" else "multi_label_classification"
    values = {
        "model_type": "auricle",
        "library_name": "auricle",
        "auricle_version": __version__,
        "architecture": spec.model.name,
        "id2label": names,
        "label2id": {label: int(i) for i, label in names.items()},
        "num_labels": len(names),
        "problem_type": kind,
        "sampling_rate": spec.sample_rate,
        "window_s": spec.window_s,
        "hop_s": spec.hop_s,
    }
    return (json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode()


def card(bundle: Bundle, license: str | None) -> str:
    """Return the card of a model with front matter; one without a card gets the little that its specification says."""
    file = bundle.path / CARD_FILE
    text = file.read_text("utf-8") if file.is_file() and not file.is_symlink() else _plain_card(bundle.spec)
    head, body = _split(text)
    values: dict[str, Any] = {
        "library_name": "auricle",
        "pipeline_tag": "audio-classification",
        "tags": ["audio", "auricle", "onnx", bundle.spec.model.name],
        **head,
    }
    if license is not None:
        values["license"] = license
    front = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=1000)
    return f"{_FENCE}{front}{_FENCE}\n{body.lstrip()}"


def _split(text: str) -> tuple[dict[str, Any], str]:
    """Return the front matter of a card, if it has one that is well formed, and the rest."""
    if not text.startswith(_FENCE):
        return {}, text
    front, found, body = text.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    try:
        values = yaml.safe_load(front)
    except yaml.YAMLError as error:
        raise UsageError(f"the front matter of {CARD_FILE} is no YAML: {' '.join(str(error).split())}") from error
    return (values, body) if found and isinstance(values, dict) else ({}, text)


def _plain_card(spec: BundleSpec) -> str:
    labels = ", ".join(spec.labels[:50]) + (f" and {len(spec.labels) - 50} more" if len(spec.labels) > 50 else "")
    return f"# {spec.name}\n\nA sound detector made by auricle. Classes ({spec.task}): {labels}.\n"


def with_use(text: str, repository: str) -> str:
    """Return a card that says how the model is used from where it is published."""
    lines = (
        "## Use it from the hub",
        "",
        "```sh",
        'pip install "auricle[hub]"',
        f"auricle detect recording.wav --model hf:{repository}",
        "```",
        "",
    )
    return text if lines[0] in text else text.rstrip() + "\n\n" + "\n".join(lines)
