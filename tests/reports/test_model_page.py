# SPDX-License-Identifier: Apache-2.0
"""The page about a model: what stands in it for a model whose scores are known by hand."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
from helpers.tinybundle import RATE, make_bundle

from auricle import api
from auricle.cli.main import main
from auricle.data.formats.registry import read_manifest
from auricle.data.manifest import Clip, Manifest
from auricle.errors import UsageError
from auricle.reports.figures import (
    Scored,
    calibration_chart,
    class_rows,
    confusion,
    detection_error_chart,
    learning_charts,
    precision_chart,
)
from auricle.reports.mistakes import worst_mistakes

#: Level of each clip; the tiny model calls a clip loud above one half, and its score is the level.
CLIPS = {"loud": (0.9, 0.8, 0.3), "quiet": (0.1, 0.2, 0.7)}


@pytest.fixture
def clips(tmp_path):
    """Class folders in which ``loud/2`` and ``quiet/2`` are what the model takes for the other class."""
    buzz = np.tile(np.array([1, -1], np.float32), RATE)
    for label, levels in CLIPS.items():
        (tmp_path / "clips" / label).mkdir(parents=True)
        for number, level in enumerate(levels):
            soundfile.write(tmp_path / "clips" / label / f"{number}.wav", level * buzz, RATE, subtype="FLOAT")
    return tmp_path / "clips"


@pytest.fixture
def model(tmp_path):
    return make_bundle(tmp_path / "model", task="single").path


@pytest.fixture
def scored(clips):
    manifest = read_manifest(clips, labels=("loud", "quiet"), task="single")
    level = np.array([CLIPS[Path(c.path).parent.name][int(Path(c.path).stem)] for c in manifest.clips], np.float32)
    return Scored(manifest, np.stack([level, 1 - level], axis=1), manifest.targets())


class Tags(HTMLParser):
    """Collects tags, and every address that a page asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_page_tells_figures_classes_mistakes_cost_and_provenance(model, clips):
    (model / "run").mkdir()
    (model / "run/log.csv").write_text("epoch,step,loss,dev_accuracy\n1,3,2.5,0.25\n2,6,1.5,0.75\n")
    path = api.report(model, data=clips)
    assert path == model / "report.html"
    page = path.read_text(encoding="utf-8")
    text = text_of(page)
    for words in ("0.667 accuracy [", "6 clips of clips", "2 of 2, the surest first", "70 % sure", "Loss", "On dev"):
        assert words in text, words
    found = (
        "Of 6 clips with a sound it knows, 4 are found (67 % [30, 90] ). "
        "In an hour of such clips there are 600 false alarms [73, 2167] : 2 in all."
    )
    assert found in text, text[text.index("Of 6 clips") :][:300]
    assert text.index(found) < text.index("0.667 accuracy ["), "what a user asks comes first"
    assert "loud 2 of 3: 67 % [21, 94] 600 [15, 3343] (1 in all) 0.50" in text
    assert "67 % 2" in text, "a cell of the matrix: share of its row, and count"
    assert "multiply-adds 0 million for a window of 1 s" in text
    assert "SHA-256 of model.onnx" in text
    tags = Tags()
    tags.feed(page)
    assert (tags.found.count("audio"), tags.found.count("img")) == (2, 2)
    assert [address for address in tags.addresses if not address.startswith("data:")] == []


def test_without_data_it_tells_what_the_folder_knows(model, capsys):
    (model / "run").mkdir()
    stored = '{"accuracy": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 40}}'
    (model / "run/result.json").write_text(f'{{"test": {{"metrics": {stored}}}}}')
    with pytest.raises(SystemExit) as caught:
        main(["report", str(model), "--out", str(model / "page.html")])
    assert caught.value.code in (0, None)
    assert capsys.readouterr().out == f"{model / 'page.html'}\n"
    text = text_of((model / "page.html").read_text(encoding="utf-8"))
    assert "0.9 accuracy [0.8, 0.95]" in text
    assert "On the part that training held out, scored once." in text
    assert "Worst mistakes" not in text


def test_names_become_no_markup(clips, tmp_path):
    labels = ["<b>loud", "quiet"]
    model = make_bundle(tmp_path / "m", task="single", labels=labels, thresholds=dict.fromkeys(labels, 0.5)).path
    (clips / "loud").rename(clips / "<b>loud")
    page = api.report(model, data=clips).read_text(encoding="utf-8")
    assert "<b>loud" not in page
    assert "&lt;b&gt;loud" in page


def test_a_built_in_model_needs_a_place_for_its_page():
    with pytest.raises(UsageError, match=r"^esc10 came with auricle and stays as it is; say where .*: --out FILE$"):
        api.report("esc10")


def test_two_models_stand_side_by_side(model, clips, tmp_path):
    """The other one calls loud what this one calls quiet, so that each is right where the other is not."""
    swapped = ["quiet", "loud"]
    other = make_bundle(
        tmp_path / "other", task="single", labels=swapped, thresholds=dict.fromkeys(swapped, 0.5), name="other"
    ).path
    page = tmp_path / "page.html"
    main_ends(["report", str(model), "--data", str(clips), "--against", str(other), "--out", str(page)])
    text = text_of(page.read_text(encoding="utf-8"))
    assert "Of the same 6 clips both have 0 right; tiny alone 4 , other alone 2 , neither 0 ." in text
    assert re.search(r"accuracy 0\.667 \[\S+ \S+\] 0\.333 \[\S+ \S+\] \+0\.333 \[", text)
    assert "all together 6 4 2 600 [73, 2167] 1200 [327, 3072]" in text
    assert "loud 3 2 1" in text
    assert "The folder of other does not say what it was trained on" in text


def main_ends(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code in (0, None)


def test_models_are_compared_on_data_and_by_the_same_classes(model, clips, tmp_path):
    with pytest.raises(UsageError, match=r"^--against compares two models on labelled recordings: give --data too$"):
        api.report(model, against=model)
    labels = ["loud", "hum"]
    other = make_bundle(tmp_path / "m", task="single", labels=labels, thresholds=dict.fromkeys(labels, 0.5)).path
    with pytest.raises(UsageError, match=r"answer different questions: only one of them has hum, quiet$"):
        api.report(model, data=clips, against=other)
    multi = make_bundle(tmp_path / "multi", task="multi").path
    with pytest.raises(UsageError, match=r"answer different questions: one has one class a clip$"):
        api.report(model, data=clips, against=multi)


def test_confusions_and_rows_by_hand(scored):
    assert [[cell.n for cell in row] for row in confusion(scored)] == [[2, 1], [1, 2]]
    rows = class_rows(scored)
    assert [(row.label, row.n) for row in rows] == [("loud", 3), ("quiet", 3)]
    assert rows[0].f1.value == pytest.approx(2 / 3)
    assert rows[0].precision.value == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert rows[0].f1.low <= rows[0].f1.value <= rows[0].f1.high


def test_the_surest_mistake_comes_first(scored):
    mistakes, count = worst_mistakes(scored, most=1)
    assert count == 2
    assert [(m.true, m.found, round(m.wrongness, 3)) for m in mistakes] == [("loud", "taken for quiet", 0.7)]
    assert mistakes[0].sound.startswith("data:audio/ogg;base64,")
    assert mistakes[0].picture.startswith("data:image/png;base64,")


def multi(targets, scores) -> Scored:
    clips = tuple(Clip(f"{i}.wav", f"/none/{i}.wav") for i in range(len(scores)))
    manifest = Manifest(Path("/none"), "csv", "multi", ("cat", "dog"), clips)
    return Scored(manifest, np.array(scores, np.float32), np.array(targets, np.float32))


def test_several_labels_have_no_matrix_and_say_what_was_missed_or_heard(clips, monkeypatch):
    scored = multi([[1, 0], [0, 0], [1, 1]], [[0.2, 0.1], [0.1, 0.9], [0.9, 0.9]])
    monkeypatch.setattr("auricle.reports.mistakes._with_clip", lambda _, mistake: mistake)
    mistakes, count = worst_mistakes(scored)
    assert [(m.true, m.found) for m in mistakes] == [("none of them", "false alarm dog"), ("cat", "missed cat")]
    assert count == 2
    assert confusion(scored) is None
    assert precision_chart(scored).count("<polyline") == 2
    assert calibration_chart(scored).count("<circle") > 0
    assert precision_chart(multi([[1, 0]], [[0.5, 0.5]])) is None


def test_a_spoof_model_has_a_det_curve_and_others_have_none(scored):
    assert detection_error_chart(scored) is None
    manifest = Manifest(Path("/none"), "asvspoof", "single", ("bonafide", "spoof"), scored.manifest.clips)
    chart, rate = detection_error_chart(Scored(manifest, scored.scores, scored.targets))
    assert rate == pytest.approx(1 / 3)
    assert "spoof taken for real (%)" in chart


def test_learning_curves_need_two_epochs_and_skip_what_is_not_finite():
    assert learning_charts("epoch,step,loss\n") == []
    assert learning_charts("epoch,step,loss\n1,3,2.5\n") == []
    charts = learning_charts("epoch,step,loss,dev_mAP\n1,3,2.5,\n2,6,nan,0.5\n3,9,1.0,0.75\n")
    assert [title for title, _ in charts] == ["Loss", "On dev"]
    assert charts[0][1].count(",") >= 2
