# SPDX-License-Identifier: Apache-2.0
"""Turn a trained model folder into the built-in bundle ``esc10``: name, licence and attribution of its data.

    python -m experiments.distillation teach SHARED RUNS mixtures
    python -m experiments.distillation bundle SHARED RUNS layers_mixtures 0
    python scripts/ship_esc10.py RUNS/bundles/layers_mixtures-0 esc10/ATTRIBUTION.md mn04_as_mAP_432.LICENSE.txt
    python scripts/ship_esc10.py --card         only mends the head of the card that is there

The graph is exported anew from the weights. The card keeps the figures that training wrote (fold 5, scored once),
names the author of every clip, and holds the licence of the teacher's weights, which the model began as.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from safetensors.torch import load as load_tensors

from auricle.files import atomic_write
from auricle.nn.networks import build_network
from auricle.recipe.schema import make_recipe
from auricle.results import Interval
from auricle.runtime.bundle import Bundle, load_bundle, write_bundle
from auricle.runtime.spec import BundleSpec
from auricle.training.bundling import export_checked, golden
from auricle.training.card import front_matter

TARGET = Path(__file__).parents[1] / "src/auricle/bundles/esc10"
LICENSE = "Creative Commons BY 3.0 (single clips BY 3.0 or CC0)"
ATTRIBUTION = (
    "ESC-10 by K. J. Piczak (ESC: Dataset for Environmental Sound Classification, ACM Multimedia 2015, "
    "doi 10.1145/2733373.2806390), clips from Freesound; the authors of all clips are named in README.md. "
    "Teacher: mn04_as of EfficientAT (F. Schmid, K. Koutini, G. Widmer), trained on AudioSet; this model began as a "
    "copy of its first layers, which are under the MIT licence in README.md; it learnt from mixtures with clips out of "
    "sound packages of Debian 12 main, too"
)
CLIP = re.compile(
    r"\*\*\[(?P<name>[\w-]+)\.ogg\].*?derived from \[(?P<title>.*?)\]\(.*?\) "
    r"by \*(?P<author>.*?)\* \(\[(?P<licence>[^\]]+)\]"
)
#: A row of the card's figures of the test part: name, value, interval, number of clips.
FIGURE = re.compile(r"^\| test, scored once \| (\w+) \| (\S+) \| (\S+) – (\S+) \| (\d+) \|$", re.MULTILINE)
FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
#: Largest file of a built-in bundle.
MAX_BYTES = 1_500_000


def clip_lines(text: str) -> list[str]:
    """Return one line a clip: name, title, author, licence."""
    return [f"- {m['name']}: {m['title']} by {m['author']} ({m['licence']})" for m in CLIP.finditer(text)]


def with_front_matter(card: str, spec: BundleSpec) -> str:
    """Return a card with the head that the hub reads, made of the figures in its own table."""
    metrics = {
        name: Interval(float(v), float(low), float(high), int(n)) for name, v, low, high, n in FIGURE.findall(card)
    }
    head = front_matter(spec, spec.provenance.data_name, metrics or None)
    return f"---\n{head.rstrip()}\n---\n\n{FRONT_MATTER.sub('', card)}"


def mend_card() -> None:
    """Give the card of the bundle in the package its head; the card is the one file that has no hash."""
    path = TARGET / "README.md"
    card = with_front_matter(path.read_text(encoding="utf-8"), load_bundle(TARGET).spec)
    atomic_write(path, card.encode())
    load_bundle(TARGET)
    sys.stdout.write(f"wrote the head of {path}\n")


def exported_anew(bundle: Bundle, spec: BundleSpec) -> dict[str, bytes]:
    """Return the files of a model with the graph that today's code makes of its weights."""
    network = build_network(make_recipe(spec.provenance.recipe), len(spec.labels))
    network.load_state_dict(load_tensors(bundle.read("model.safetensors")))
    content = export_checked(network.eval(), spec)
    files = {name: bundle.read(name) for name in spec.sha256}
    return {**files, "model.onnx": content, "golden.npz": golden(content, spec)}


def main() -> None:
    """Write the bundle into the package."""
    if sys.argv[1:] == ["--card"]:
        mend_card()
        return
    source, attribution, licence = map(Path, sys.argv[1:])
    bundle = load_bundle(source)
    provenance = bundle.spec.provenance.model_copy(update={"license": LICENSE, "attribution": ATTRIBUTION})
    spec = bundle.spec.model_copy(update={"name": "esc10", "provenance": provenance})
    files = exported_anew(bundle, spec)
    size, largest = sum(map(len, files.values())), max(files, key=lambda name: len(files[name]))
    if len(files[largest]) > MAX_BYTES:
        sys.exit(f"{largest}: {len(files[largest])} bytes; a file of a built-in bundle has at most {MAX_BYTES}")
    card = (source / "README.md").read_text(encoding="utf-8")
    card = card.replace("Licence of the data: not stated.", f"Licence of the data: {LICENSE}. {ATTRIBUTION}.")
    card = card.replace(f"# {bundle.spec.name}\n", "# esc10\n", 1).replace(
        f"--model ./{bundle.spec.name}", "--model esc10"
    )
    card = with_front_matter(card, spec)
    lines = clip_lines(attribution.read_text(encoding="utf-8"))
    write_bundle(TARGET, spec, files)
    terms = ["## Licence of the weights that it began as", "", licence.read_text(encoding="utf-8").strip(), ""]
    text = "\n".join([card, *terms, "## Authors of the clips", "", *lines, ""])
    atomic_write(TARGET / "README.md", text.encode())
    sys.stdout.write(f"wrote {TARGET}: {size} bytes, {len(lines)} clips named\n")


if __name__ == "__main__":
    main()
