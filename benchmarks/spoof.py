# SPDX-License-Identifier: Apache-2.0
"""The table of synthetic voices: raw waveform, log-mel and the classical baseline on the same data, three seeds each.

    python -m benchmarks.spoof run SHARED OUT ROW [SETTING ...]     trains on train, seeds 0, 1, 2, and calibrates
    python -m benchmarks.spoof score SHARED OUT ROW                 scores dev; refuses to do so again
    python -m benchmarks.spoof table SHARED OUT                     writes docs/results/spoof.md from what is there

ROW is rawnet, crnn or lfcc_gmm; a SETTING such as optim.epochs=40 goes over the row's own and is kept with its results.
Everything is resumable: what is finished in OUT is kept. Only `score` touches dev. Training never sees system S04,
whose voices are licensed for non-commercial use only. The calibration of each row comes from folds of train, where
neither the system nor the speaker was heard, trained with seed 0 (`training.calibrating`), and serves all seeds.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from auricle import api
from auricle.data.formats.registry import read_manifest
from auricle.data.leave_out import leave_out, split_systems
from auricle.data.manifest import Manifest
from auricle.data.splits import Fold
from auricle.evaluation.evaluate import choose_clips
from auricle.evaluation.spoof.evaluate import score_trials
from auricle.evaluation.spoof.intervals import Trials, figures, paired_difference
from auricle.evaluation.spoof.report import trials_of
from auricle.evaluation.spoof.score_files import read_scores, write_scores
from auricle.files import atomic_write, read_json, write_json
from auricle.progress import Progress
from auricle.runtime.llr import calibrated_llr, fit_llr, raw_llr
from auricle.runtime.spec import LlrPart
from auricle.training.spoof_model import calibrate
from benchmarks import lfcc
from benchmarks.machine import describe

PAGE = Path(__file__).parents[1] / "docs/results/spoof.md"
#: The scores of dev beside the page, so that another row can be compared in pairs without scoring dev again.
KEPT_SCORES = PAGE.with_name("spoof-scores")
SEEDS = (0, 1, 2)
EXCLUDED = "S04"
FOLDS = 3


@dataclass(frozen=True)
class Row:
    what: str
    model: str | None = None
    settings: tuple[str, ...] = ()


#: The window rule of `rawnet`, for a network that has another.
WINDOWS = (
    *("data.clip_s=4.0375", "data.pad=repeat", "data.aggregate=mean_logit", "data.dev=none"),
    *("data.batch_size=32", f"data.calibration_folds={FOLDS}"),
)
ROWS = {
    "rawnet": Row("raw waveform: `rawnet`, default recipe", "rawnet"),
    "crnn": Row(
        "log-mel: `crnn`, same windows, recipe chosen as `rawnet`'s was",
        "crnn",
        WINDOWS,
    ),
    "lfcc_gmm": Row(f"LFCC and two Gaussian mixtures of {lfcc.COMPONENTS}"),
}


class Say(Progress):
    def notice(self, text):
        print(text, flush=True)

    def epoch_done(self, row):
        print({k: round(v, 4) for k, v in row.items()}, flush=True)


# --- data: views that hold only what may be heard


def lines_of(shared: Path, part: str) -> list[list[str]]:
    rows = [line.split() for line in (shared / f"data/spoof/protocols/{part}.txt").read_text().splitlines()]
    return [row for row in rows if row[3] != EXCLUDED or part != "train"]


def make_view(shared: Path, folder: Path, parts: dict[str, list[list[str]]]) -> Path:
    """Lay out a corpus of some protocol lines; nothing else can be found there."""
    if folder.is_dir():
        return folder
    part_folder = folder.with_name(folder.name + ".part")
    shutil.rmtree(part_folder, ignore_errors=True)
    for name in ("flac", "protocols"):
        (part_folder / name).mkdir(parents=True)
    for part, rows in parts.items():
        (part_folder / "protocols" / f"{part}.txt").write_text("\n".join(" ".join(row) for row in rows) + "\n")
        for row in rows:
            shutil.copyfile(shared / f"data/spoof/flac/{row[1]}.flac", part_folder / "flac" / f"{row[1]}.flac")
    part_folder.rename(folder)
    return folder


# --- training and scoring


def fit(row: Row, view: Path, out: Path, seed: int, settings: list[str]) -> None:
    """Train one model of a row, or resume it."""
    if row.model is None:
        learn_mixtures(read_manifest(view), out, seed)
        return
    overrides = [*row.settings, *settings]
    resume = (out / "model").is_dir()
    api.train(view, out=out / "model", model=row.model, overrides=overrides, seed=seed, resume=resume, progress=Say())


def learn_mixtures(manifest: Manifest, out: Path, seed: int) -> None:
    """Fit the two mixtures of the baseline, if that is not done yet."""
    if (out / "mixtures.npz").is_file():
        return
    kinds = [[c.path for c in manifest.clips if c.label == (k,)] for k in ("bonafide", "spoof")]
    out.mkdir(parents=True, exist_ok=True)
    lfcc.save(out / "mixtures.npz", lfcc.train(*map(lfcc.features_of, kinds), seed))


def raw_scores(row: Row, out: Path, manifest: Manifest) -> np.ndarray:
    """Return scores as the model gives them, before any calibration of this script."""
    if row.model is None:
        mixtures = lfcc.load(out / "mixtures.npz")
        return np.array([lfcc.score(mixtures, x) for x in lfcc.features_of([c.path for c in manifest.clips])])
    detector = api.load(out / "model")
    scores, _ = score_trials(detector, manifest)
    part = detector.spec.calibration
    return (scores - part.offset) / part.scale if isinstance(part, LlrPart) else scores


def kept_settings(folder: Path, settings: list[str]) -> None:
    """Keep the settings of a row with its results; others for the same folder are refused."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "settings.json"
    if path.is_file() and read_json(path) != settings:
        sys.exit(f"{folder} was begun with the settings {read_json(path)}; choose another OUT")
    write_json(path, settings)


def left_out(view: Path, seed: int) -> tuple[Manifest, tuple[Fold, ...]]:
    """Return what a row trains on, and the turns in which `auricle train` leaves systems and speakers out."""
    manifest = read_manifest(view)
    everything = np.arange(len(manifest), dtype=np.int64)
    return manifest, leave_out(manifest, everything, split_systems(manifest, everything, FOLDS, seed), seed)


def fold_scores(row: Row, view: Path, folder: Path) -> tuple[Trials, np.ndarray] | None:
    """Return what models of a row say of train where they heard neither system nor speaker, before calibration.

    Training wrote those of networks, unless its settings say `data.calibration_folds=0`; the mixtures of the baseline
    are fitted here.
    """
    written = folder / "model" / "run" / "calibration"
    if row.model is not None and not written.is_dir():
        return None
    manifest, turns = left_out(view, 0)
    scores = []
    for turn in turns:
        if row.model is None:
            place = folder / "folds" / turn.name
            path = place / "scores.npy"
            if not path.is_file():
                learn_mixtures(manifest.select(turn.train), place, 0)
                values = raw_scores(row, place, manifest.select(turn.test))
                atomic_write(path, lambda file, values=values: np.save(file, values))
            scores.append(np.load(path, allow_pickle=False))
        else:
            with np.load(written / turn.name / "scores.npz") as stored:
                scores.append(raw_llr(stored["scores"], manifest.labels))
    return trials_of(manifest.select(np.concatenate([turn.test for turn in turns]))), np.concatenate(scores)


def calibration_of(row: Row, view: Path, first: Path, folder: Path) -> dict[str, Any]:
    """Calibrate a model of a row by the folds of its first seed; returns the calibration and the figures there."""
    found = fold_scores(row, view, first)
    if found is None:
        return {"calibration": None}
    trials, scores = found
    part = fit_llr(scores, trials.bonafide)
    if part is not None and row.model is not None:
        calibrate(folder / "model", scores, trials.bonafide)
    left_out = {k: v.value for k, v in figures(trials, calibrated_llr(scores, part)).items()}
    return {"calibration": None if part is None else part.model_dump(), "left_out": left_out}


def run(shared: Path, out: Path, name: str, settings: list[str]) -> None:
    """Train the three seeds of a row on all of train, and calibrate them."""
    kept_settings(out / name, settings)
    row = ROWS[name]
    view = make_view(shared, out / "train", {"train": lines_of(shared, "train")})
    for seed in SEEDS:
        folder = out / name / "final" / f"seed{seed}"
        if (folder / "run.json").is_file():
            continue
        fit(row, view, folder, seed, settings if seed == 0 else [*settings, "data.calibration_folds=0"])
        facts: dict[str, Any] = {
            **calibration_of(row, view, out / name / "final" / "seed0", folder),
            "parameters": parameters(row, folder),
            "data_hash": read_manifest(view).data_hash,
            "machine": describe(),
        }
        write_json(folder / "run.json", facts)


def parameters(row: Row, folder: Path) -> int:
    if row.model is None:
        return sum(v.size for v in lfcc.load(folder / "mixtures.npz").values())
    return api.load(folder / "model").spec.provenance.parameters


def score(shared: Path, out: Path, name: str) -> None:
    """Score dev with the trained seeds of a row: once."""
    everything = read_manifest(shared / "data/spoof")
    manifest = choose_clips(everything, split="dev", fold=None)
    trials = trials_of(manifest)
    for seed in SEEDS:
        folder = out / name / "final" / f"seed{seed}"
        if (folder / "dev.txt").is_file():
            sys.exit(f"{folder}/dev.txt is there: dev is scored once; `table` shows it")
        facts = read_json(folder / "run.json")
        part = None if facts["calibration"] is None else LlrPart(**facts["calibration"])
        if ROWS[name].model is None:
            values = calibrated_llr(raw_scores(ROWS[name], folder, manifest), part)
        else:
            values, _ = score_trials(api.load(folder / "model"), manifest)
        write_scores(folder / "dev.txt", trials, values)


# --- the page


def scores_of(out: Path, name: str, trials: Trials) -> np.ndarray | None:
    """Return the dev scores of a row, shape ``(seed, trial)``; None if not all seeds were scored."""
    paths = [out / name / "final" / f"seed{seed}" / "dev.txt" for seed in SEEDS]
    return np.stack([read_scores(p, trials) for p in paths]) if all(p.is_file() for p in paths) else None


def keep_scores(out: Path) -> None:
    """Copy the dev scores of all rows to where the page is."""
    KEPT_SCORES.mkdir(exist_ok=True)
    for name, seed in product(ROWS, SEEDS):
        path = out / name / "final" / f"seed{seed}" / "dev.txt"
        if path.is_file():
            atomic_write(KEPT_SCORES / f"{name}-seed{seed}.txt", path.read_bytes())


def cell(interval: Any, percent: bool = False) -> str:
    if interval is None:
        return ""
    factor, digits = (100, 1) if percent else (1, 3)
    value, low, high = (f"{factor * v:.{digits}f}" for v in (interval.value, interval.low, interval.high))
    return f"{value} [{low}, {high}]"


def markdown(columns: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}", *(f"| {' | '.join(row)} |" for row in rows)]


def table(shared: Path, out: Path) -> str:
    everything = read_manifest(shared / "data/spoof")
    trials = trials_of(choose_clips(everything, split="dev", fold=None))
    heard = sorted({row[3] for row in lines_of(shared, "train")} - {"-"})
    unseen = [s for s in trials.attacks if s not in heard]
    seen = [s for s in trials.attacks if s in heard]
    found = {name: s for name in ROWS if (s := scores_of(out, name, trials)) is not None}
    main, systems, hows = [], [], []
    for name, scores in found.items():
        parts = {p: trials.against(g) for p, g in (("all", trials.attacks), ("seen", seen), ("unseen", unseen))}
        cut = {p: figures(trials.select(m), scores[:, m]) for p, m in parts.items()}
        each = [figures(trials, row)["eer"].value for row in scores]
        facts = [read_json(out / name / "final" / f"seed{seed}" / "run.json") for seed in SEEDS]
        eers = [f"**{cell(cut[p]['eer'], percent=True)}**" for p in ("all", "seen", "unseen")]
        rest = [cell(cut["all"][k]) for k in ("min_dcf", "act_dcf", "cllr")]
        spread = ", ".join(f"{100 * v:.1f}" for v in each)
        main.append([ROWS[name].what, f"{facts[0]['parameters']:,}", *eers, *rest, spread])
        rates = [trials.against([s]) for s in trials.attacks]
        systems.append([name, *(cell(figures(trials.select(m), scores[:, m])["eer"], percent=True) for m in rates)])
        settings = read_json(out / name / "settings.json")
        hows.append(
            [
                name,
                " ".join([*ROWS[name].settings, *settings]) or "none",
                "out-of-fold scores of train" if facts[0]["calibration"] else "**none**",
                f"{100 * facts[0]['left_out']['eer']:.1f}" if "left_out" in facts[0] else "",
                f"`{facts[0]['data_hash'][:16]}`",
                f"`{facts[0]['machine']['commit']}`",
            ]
        )
    return "\n".join(
        [
            "# Synthetic voices",
            "",
            *head(len(trials), unseen),
            *markdown(
                [
                    "row",
                    "parameters",
                    "EER % all",
                    "EER % seen",
                    "EER % unseen",
                    "minDCF",
                    "actDCF",
                    "Cllr",
                    "EER % each seed",
                ],
                main,
            ),
            "",
            "EER % of each system against all bona fide clips (of a system with one voice: interval over people only):",
            "",
            *markdown(["row", *(f"{s} ({'unseen' if s in unseen else 'seen'})" for s in trials.attacks)], systems),
            "",
            "## Does the raw waveform win where the system was not in training?",
            "",
            *differences(trials, found, unseen),
            "",
            "## How",
            "",
            "How the recipes of `rawnet` and `crnn` were chosen, why dev was scored twice, and how little the row",
            "`crnn` proves: [spoof-recipe.md](spoof-recipe.md#the-recipe-of-crnn-by-the-same-folds).",
            "The scores of dev are in [spoof-scores](spoof-scores) as ASVspoof 2019 writes them.",
            "",
            *markdown(
                [
                    *("row", "settings over the defaults", "calibration", "EER % there"),
                    *("data", "commit"),
                ],
                hows,
            ),
            "",
            *(f"Row {name} ({ROWS[name].what}): **not measured yet.**" for name in ROWS if name not in found),
            "",
            "Machine: " + ", ".join(f"{k} {v}" for k, v in describe().items() if isinstance(v, str | int)),
            "",
        ]
    )


def head(clips: int, unseen: list[str]) -> list[str]:
    return [
        f"Trained on the train part without {EXCLUDED} (non-commercial voices); the dev part scored once, at the end,",
        "and used for nothing else. Equal error rate (EER), minDCF and actDCF (ASVspoof 5) and Cllr, mean over three",
        "seeds; 95 % bootstrap over speakers (people and synthetic voices drawn apart).",
        f"{clips} clips; the systems {', '.join(unseen)} are in no training, and no speaker of dev is in train.",
        "Written by `python -m benchmarks.spoof`. With a teacher: [spoof-taught.md](spoof-taught.md).",
        "",
    ]


def differences(trials: Trials, found: dict[str, np.ndarray], unseen: list[str]) -> list[str]:
    """Paired bootstrap over the unseen systems: `rawnet` minus each other row."""
    if "rawnet" not in found or len(found) < 2:
        return ["Not measured yet."]
    mask = trials.against(unseen)
    rows = []
    for name, scores in found.items():
        if name == "rawnet":
            continue
        apart = paired_difference(trials.select(mask), found["rawnet"][:, mask], scores[:, mask])
        eer = apart["eer"]
        verdict = "yes" if eer.high < 0 else "no: it loses" if eer.low > 0 else "no: not beyond chance"
        rows.append([name, cell(eer, percent=True), cell(apart["min_dcf"]), cell(apart["cllr"]), f"**{verdict}**"])
    return markdown(["rawnet minus", "EER, points", "minDCF", "Cllr", "does it win?"], rows)


def main() -> None:
    words = sys.argv[1:]
    paths = [Path(word).resolve() for word in words[1:3]]
    if len(words) >= 4 and words[0] == "run" and words[3] in ROWS:
        run(*paths, words[3], words[4:])
    elif len(words) == 4 and words[0] == "score" and words[3] in ROWS:
        score(*paths, words[3])
    elif len(words) == 3 and words[0] == "table":
        atomic_write(PAGE, table(*paths).encode())
        keep_scores(paths[1])
        print(f"wrote {PAGE} and {KEPT_SCORES}")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
