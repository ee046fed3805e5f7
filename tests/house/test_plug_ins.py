# SPDX-License-Identifier: Apache-2.0
"""What other packages add: the examples work as their authors would use them, and faults of theirs are told."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.tinybundle import RATE as BUNDLE_RATE
from helpers.tinybundle import make_bundle
from helpers.toydata import RATE, TINY, sound, usable, write_folders

from auricle import api
from auricle.cli.main import main
from auricle.errors import ConfigError, UsageError
from auricle.evaluation.clip_metrics import CLIP_METRICS
from auricle.evaluation.report import pooled_metrics
from auricle.nn.networks import build_network
from auricle.recipe.network import NETWORKS
from auricle.recipe.schema import load_recipe
from auricle.teachers.registry import TEACHERS, open_teacher

EXAMPLES = Path(__file__).parents[2] / "examples"
#: A network in one file: it stands at the place of ``nn/models/NAME.py``, and nothing else is touched.
ONE_FILE = '''
from typing import Literal
import torch
from torch import nn
from auricle.nn.network import Network, NetworkOutput
from auricle.recipe.network import NETWORKS, NetworkOptions
from auricle.timeline import FrameGrid


class Loudness(Network):
    """Scores by how loud a clip is."""

    def __init__(self, labels):
        super().__init__()
        self.frontend = nn.Identity()
        self.head = nn.Linear(1, labels)
        self.embedding_size = 1
        self.grid = FrameGrid(hop_samples=100, first_centre_samples=49.5, receptive_samples=100)

    def features(self, waveform):
        return waveform

    def classify(self, features):
        loudness = features.square().mean(1, keepdim=True).sqrt()
        return NetworkOutput(self.head(loudness), None, loudness)

    def for_export(self):
        return self.eval()


@NETWORKS.register("loudness")
class LoudnessOptions(NetworkOptions):
    """Loudness alone."""

    frontends = ("waveform",)
    defaults = {"frontend": {"name": "waveform"}, "data": {"clip_s": 0.5}}
    name: Literal["loudness"] = "loudness"

    def hop_samples(self, frontend):
        return 100

    def build(self, recipe, labels):
        return Loudness(labels)
'''

#: Two metrics in one file: a mean over clips, and a function of the clips that the bootstrap draws.
METRICS = """
from auricle.evaluation.clip_metrics import ClipMetric

brier = ClipMetric(lambda clips: ((clips.scores - clips.targets) ** 2).mean(axis=1), order=99)
highest = ClipMetric(lambda clips: lambda drawn: float(clips.scores[drawn].max()), tasks=("multi",))
"""


@pytest.fixture
def forget():
    """Leave the registries as they were."""
    before = {registry: dict(registry._items) for registry in (NETWORKS, TEACHERS, CLIP_METRICS)}
    modules = set(sys.modules)
    yield
    for registry, items in before.items():
        for name in ("tdnn", "flatness", "loudness", "mine", "brier", "highest"):
            registry._items.pop(name, None)
        registry._items.update(items)
    for name in set(sys.modules) - modules:
        if name.startswith(("auricle_", "auricle.nn.models.loudness")):
            del sys.modules[name]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder that pip has installed the examples in."""
    place = tmp_path_factory.mktemp("site")
    for example in sorted(EXAMPLES.glob("auricle-[nt]*")):
        source = shutil.copytree(example, tmp_path_factory.mktemp("source") / example.name)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
        subprocess.run([*command, "--target", str(place), str(source)], check=True, timeout=120)
    return place


def plug_in(folder: Path, monkeypatch, name: str, group: str, value: str, module: str = "") -> None:
    """Make a package as an installer would leave it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{group}]\n{value}\n", encoding="utf-8")
    if module:
        (folder / f"{name.replace('-', '_')}.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    importlib.invalidate_caches()


def run(capsys, *words: object) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    assert caught.value.code in (0, None), printed.err
    return printed.out


@pytest.mark.usefixtures("forget")
def test_a_network_of_another_package_trains_exports_and_tags(installed, tmp_path, monkeypatch, capsys):
    assert "tdnn" not in NETWORKS
    monkeypatch.syspath_prepend(installed)
    assert "tdnn" in NETWORKS
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    clips = write_folders(tmp_path / "clips", clips=4)
    settings = [*usable("tdnn", TINY), "model.channels=16", "optim.epochs=25", "optim.lr=0.02", "augment.mixup_alpha=0"]
    sets = [word for setting in settings for word in ("--set", setting)]
    run(capsys, "train", clips, "--model", "tdnn", "--out", tmp_path / "m", "--quiet", *sets)
    spec = json.loads((tmp_path / "m/auricle.json").read_text(encoding="utf-8"))
    assert (spec["model"]["name"], spec["provenance"]["recipe"]["model"]["channels"]) == ("tdnn", 16)
    out = run(capsys, "tag", clips / "low", "--model", tmp_path / "m", "--format", "json", "--quiet")
    tops = [json.loads(line)["scores"][0]["label"] for line in out.splitlines()]
    assert tops == ["low"] * 4
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(installed)])
    NETWORKS._items.pop("tdnn")
    assert api.load(tmp_path / "m").tag(next((clips / "high").iterdir())).scores[0].label == "high"  # without it


@pytest.mark.usefixtures("forget")
def test_options_of_another_package_are_read_strictly(installed, monkeypatch):
    monkeypatch.syspath_prepend(installed)
    assert load_recipe(None, ["model.name=tdnn"]).optim.lr == 0.003
    with pytest.raises(ConfigError) as caught:
        load_recipe(None, ["model.name=tdnn", "model.chanels=3", "model.dropout=2"])
    assert caught.value.problems == (
        "model.dropout = 2: input should be less than 1",
        "unknown key model.chanels of network tdnn (did you mean 'channels'?); known here: "
        "name, head, channels, dropout",
    )
    with pytest.raises(ConfigError, match=r"augment.copies = 2: network tdnn does not use this key; leave it out"):
        load_recipe(None, ["model.name=tdnn", "augment.copies=2"])


@pytest.mark.usefixtures("forget")
def test_a_teacher_of_another_package_labels(installed, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    clips = write_folders(tmp_path / "clips", clips=2, labels=("low", "other"))
    with pytest.raises(UsageError, match=r"^teacher flatness:8000: no such folder|unknown model"):
        open_teacher("flatness:8000")
    monkeypatch.syspath_prepend(installed)
    teacher = open_teacher(f"flatness:{RATE}")
    tone, noise = (teacher.score(sound(label, 0)[None]).scores[0] for label in ("low", "other"))
    assert tone[0] > 0.8
    assert noise[1] > 0.4
    run(capsys, "teach", clips, "--teacher", f"flatness:{RATE}", "--out", tmp_path / "soft", "--window", 0.5, "--quiet")
    assert json.loads((tmp_path / "soft/index.json").read_text(encoding="utf-8"))["teacher"] == "flatness at 8000 Hz"
    with pytest.raises(UsageError, match=r"teacher flatness:big: give a sample rate from 4000 to 96000"):
        open_teacher("flatness:big")
    with pytest.raises(UsageError, match=r"an .onnx tagger, a model of auricle, flatness:NAME$"):
        open_teacher("no/such")


@pytest.mark.usefixtures("forget")
def test_a_network_of_auricle_is_one_file(tmp_path, monkeypatch):
    """The file alone makes it a network: with options, defaults, training, and a model folder."""
    import auricle.nn.models

    (tmp_path / "models").mkdir()
    (tmp_path / "models/loudness.py").write_text(ONE_FILE, encoding="utf-8")
    monkeypatch.setattr(auricle.nn.models, "__path__", [*auricle.nn.models.__path__, str(tmp_path / "models")])
    monkeypatch.setenv("AURICLE_CACHE", str(tmp_path / "cache"))
    assert "loudness" in NETWORKS
    recipe = load_recipe(None, ["model.name=loudness"])
    assert (recipe.frontend.name, recipe.data.clip_s) == ("waveform", 0.5)
    network = build_network(recipe, 3)
    half = network(0.5 * np_ones(2, 400))
    assert half.clip_logits.shape == (2, 3)
    assert half.embedding.tolist() == [[0.5], [0.5]]
    clips = write_folders(tmp_path / "clips", clips=3, labels=("low", "other"))
    settings = usable("loudness", [*TINY, "augment.gain_db=0", "augment.mixup_alpha=0", "optim.lr=0.1"])
    api.train(clips, out=tmp_path / "m", model="loudness", overrides=settings)
    assert api.load(tmp_path / "m").spec.model.name == "loudness"


@pytest.mark.usefixtures("forget")
def test_a_metric_is_one_file(tmp_path, monkeypatch, capsys):
    """The file of another package alone brings its figures, with intervals, into evaluate's table and its JSON."""
    names = "brier = measures:brier\nhighest = measures:highest"
    plug_in(tmp_path / "site", monkeypatch, "measures", "auricle.metrics", names, METRICS)
    model = make_bundle(tmp_path / "model").path
    for label, level in (("loud", 0.8), ("quiet", 0.25), ("loud", 0.6), ("quiet", 0.1)):
        path = tmp_path / "clips" / label / f"{level}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, np.tile([level, -level], 400), BUNDLE_RATE, subtype="FLOAT")
    words = ("evaluate", tmp_path / "clips", "--model", model, "--data-format", "folders")
    metrics = json.loads(run(capsys, *words, "--format", "json"))["metrics"]
    detector = api.load(model)
    errors, tops = [], []
    for path in (tmp_path / "clips").rglob("*.wav"):
        scores = {s.label: s.score for s in detector.tag(path).scores}
        errors += [(score - (label == path.parent.name)) ** 2 for label, score in scores.items()]
        tops.append(max(scores.values()))
    assert list(metrics) == ["mAP", "macro_f1", "calibration_error", "highest", "brier"]
    assert metrics["brier"]["value"] == pytest.approx(np.mean(errors), abs=1e-6)
    assert metrics["highest"]["value"] == pytest.approx(max(tops), abs=1e-6)
    assert metrics["brier"]["low"] < metrics["brier"]["value"] < metrics["brier"]["high"]
    assert "brier" in run(capsys, *words)


@pytest.mark.usefixtures("forget")
def test_a_package_that_gives_no_metric_is_named(tmp_path, monkeypatch):
    plug_in(tmp_path, monkeypatch, "measures", "auricle.metrics", "brier = math:floor")
    scores = np.array([[0.75, 0.25]], np.float32)
    with pytest.raises(
        UsageError,
        match=r"^clip metric 'brier' of measures 1.0 cannot be used: math:floor: expected auricle's ClipMetric, got "
        "builtin_function_or_method; mend that package, or uninstall it$",
    ):
        pooled_metrics([scores], scores.round(), [0], "multi")


def np_ones(*shape: int):
    import torch

    return torch.from_numpy(np.ones(shape, np.float32))


@pytest.mark.usefixtures("forget")
@pytest.mark.parametrize(
    ("value", "module", "reason"),
    [
        ("mine = mine:Options", "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("mine = mine:Options", "x = 1", "AttributeError: module 'mine' has no attribute 'Options'"),
        ("mine = mine:Options", "Options = 3", "it is not a subclass of auricle.recipe.network.NetworkOptions"),
        (
            "mine = auricle.nn.models.crnn:CrnnOptions",
            "",
            "its name is 'crnn', and that of its entry point 'mine'",
        ),
    ],
)
def test_a_broken_package_is_told_when_its_network_is_asked_for(tmp_path, monkeypatch, value, module, reason):
    plug_in(tmp_path, monkeypatch, "mine", "auricle.networks", value, module)
    sys.modules.pop("mine", None)
    assert load_recipe(None, []).model.name == "crnn"  # it disturbs nobody else
    with pytest.raises(
        UsageError,
        match=rf"^network 'mine' of mine 1.0 cannot be used: .*{reason}; mend that package, or uninstall it$",
    ):
        load_recipe(None, ["model.name=mine"])


@pytest.mark.usefixtures("forget")
def test_a_name_that_two_give_is_refused(tmp_path, monkeypatch):
    plug_in(tmp_path, monkeypatch, "mine", "auricle.networks", "crnn = mine:Options")
    NETWORKS._items.pop("crnn", None)
    with pytest.raises(
        UsageError, match=r"network 'crnn' is given by auricle and by mine 1.0: uninstall one of these packages"
    ):
        load_recipe(None, [])
