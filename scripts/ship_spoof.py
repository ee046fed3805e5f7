# SPDX-License-Identifier: Apache-2.0
"""Turn the first seed of the table of synthetic voices into the built-in bundle ``spoof``.

    python -m benchmarks.spoof run SHARED OUT rawnet
    python -m benchmarks.spoof score SHARED OUT rawnet
    python scripts/ship_spoof.py SHARED OUT

The card gets the figures of dev, which was scored once and chose nothing, the sources of the voices with their
licences, and what the model cannot do.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from auricle.data.formats.registry import read_manifest
from auricle.evaluation.evaluate import choose_clips
from auricle.evaluation.spoof.intervals import figures
from auricle.evaluation.spoof.report import trials_of
from auricle.evaluation.spoof.score_files import read_scores
from auricle.files import atomic_write
from auricle.results import Interval
from auricle.runtime.bundle import BundleSpec, load_bundle, write_bundle
from auricle.training.card import front_matter

TARGET = Path(__file__).parents[1] / "src/auricle/bundles/spoof"
LICENSE = "recordings under CC0 1.0, CC BY 3.0, CC BY-SA 3.0, CC BY-SA 4.0 and GPL-2+; sources in README.md"
ATTRIBUTION = (
    "Voices of Allison Smith, Carlo Flora, Armelle Desjardins, the Fish Fillets and Tux Paint projects, Nabu Casa, "
    "the Free Spoken Digit Dataset, and of eight synthesisers and vocoders; sources in README.md"
)
MAX_BYTES = 1_500_000
SOURCES = (
    ("Debian `asterisk-core-sounds-en`, `-es` (Allison Smith)", "CC BY-SA 3.0"),
    ("Debian `asterisk-core-sounds-it` (Carlo Flora)", "CC BY 3.0"),
    ("Debian `asterisk-prompt-fr-armelle` (Armelle Desjardins), `asterisk-prompt-es-co`", "GPL-2+"),
    ("Debian `fillets-ng-data-cs` (dialogue of the two fish)", "GPL-2"),
    ("Debian `tuxpaint-stamps-default` (spoken descriptions)", "GPL-2"),
    ("Nabu Casa voice-datasets", "CC0 1.0"),
    ("Free Spoken Digit Dataset", "CC BY-SA 4.0"),
    ("synthetic: espeak-ng 1.51", "GPL-3+ (the program)"),
    ("synthetic: Festival diphone voices, Flite voices rms and slt", "BSD-like, GPL-2+ or LGPL (the voices)"),
    ("synthetic: RHVoice 1.8", "voices of Debian non-free (the program: GPL, LGPL)"),
    ("synthetic: hibari-tts 0.2.1", "Apache-2.0 (the program)"),
    ("vocoded from the people above: Griffin-Lim, WORLD, a small neural vocoder", "as the recordings"),
)
LIMITS = (
    "It learnt from **less than one hour** of speech of 21 people and small synthesisers. Take its word for what the "
    "figures above say, and no more.",
    "**Strong modern synthesis and voice cloning are missing** in training and test. Light networks of the "
    "literature, trained on a hundred times the speech, reach 1 to 5 % within their data and **40 to 55 %, which is "
    "chance**, on recordings found in the wild. Expect no more of this one: it must not decide about anybody.",
    "Prompts, game dialogue, short phrases and digits, much of it joined from pieces; little English; the languages of "
    "people and machines differ, so part of what it knows may be languages and recording rooms.",
    "WORLD vocoding is hardest. A recording that is unlike the training speech carries the flag `out_of_distribution`, "
    "a short one `too_short`: heed them.",
    "Systems in training: see above. MBROLA voices (non-commercial) were left out.",
)


Figures = Mapping[str, Interval]


def dev_figures(shared: Path, out: Path, heard: tuple[str, ...]) -> dict[str, Figures]:
    """Return this seed's figures on dev by the name of a part: all systems, seen and unseen ones."""
    trials = trials_of(choose_clips(read_manifest(shared / "data/spoof"), split="dev", fold=None))
    values = read_scores(out / "rawnet/final/seed0/dev.txt", trials)
    seen = [s for s in trials.attacks if s in heard]
    unseen = [s for s in trials.attacks if s not in heard]
    parts = {"all": trials.attacks, f"seen: {', '.join(seen)}": seen, f"not in training: {', '.join(unseen)}": unseen}
    masks = {name: trials.against(systems) for name, systems in parts.items()}
    return {name: figures(trials.select(mask), values[mask]) for name, mask in masks.items()}


def figure_lines(found: Mapping[str, Figures]) -> list[str]:
    """Return the tables of the card: all systems as every card has them, then parts."""
    rows = ["| part | metric | value | 95 % interval | n |", "|---|---|---|---|---|"]
    rows += [
        f"| test, scored once | {name} | {m.value:.4g} | {m.low:.4g} – {m.high:.4g} | {m.n} |"
        for name, m in found["all"].items()
    ]
    rows += ["", "| systems | EER % [95 %] | minDCF | actDCF | Cllr |", "|---|---|---|---|---|"]
    for part, metrics in found.items():
        eer = metrics["eer"]
        rest = " | ".join(f"{metrics[key].value:.3f}" for key in ("min_dcf", "act_dcf", "cllr"))
        rows.append(f"| {part} | {100 * eer.value:.1f} [{100 * eer.low:.1f}, {100 * eer.high:.1f}] | {rest} |")
    return rows


def card(text: str, spec: BundleSpec, found: Mapping[str, Figures]) -> str:
    """Return the card that training wrote, with figures, licences and limits."""
    _, _, text = text.split("---\n", 2)
    text = text.replace("No part of the data was held out, so nothing is claimed.", "\n".join(figure_lines(found)))
    text = text.replace("Licence of the data: not stated.", f"Licence of the data: {LICENSE}. {ATTRIBUTION}.")
    text, _, _ = text.partition("## Limits\n")
    return "\n".join(
        [
            "---",
            front_matter(spec, spec.provenance.data_name, found["all"]).rstrip(),
            "---",
            text.rstrip().replace("# model\n", f"# {spec.name}\n"),
            "",
            "## Limits",
            "",
            *(f"- {line}" for line in LIMITS),
            "",
            "Use it: `auricle tag call.wav --model spoof`. `llr` above 0 speaks for a person, below 0 for a machine.",
            "",
            "## Sources and licences",
            "",
            "| source | licence |",
            "|---|---|",
            *(f"| {source} | {licence} |" for source, licence in SOURCES),
            "",
        ]
    )


def main() -> None:
    """Write the bundle into the package."""
    shared, out = (Path(word) for word in sys.argv[1:3])
    source = out / "rawnet/final/seed0/model"
    bundle = load_bundle(source)
    if bundle.spec.calibration is None or "S04" in bundle.spec.provenance.systems:
        sys.exit(f"{source} is not calibrated, or was trained on S04: it is not for redistribution")
    provenance = bundle.spec.provenance.model_copy(
        update={"license": LICENSE, "attribution": ATTRIBUTION, "data_name": "spoof"}
    )
    spec = bundle.spec.model_copy(update={"name": "spoof", "provenance": provenance})
    files = {name: bundle.read(name) for name in bundle.spec.sha256}
    text = card((source / "README.md").read_text(encoding="utf-8"), spec, dev_figures(shared, out, provenance.systems))
    size = sum(map(len, files.values())) + len(text.encode())
    if size > MAX_BYTES:
        sys.exit(f"{size} bytes; a built-in bundle has at most {MAX_BYTES}")
    write_bundle(TARGET, spec, files)
    atomic_write(TARGET / "README.md", text.encode())
    sys.stdout.write(f"wrote {TARGET}: {size} bytes\n")


if __name__ == "__main__":
    main()
