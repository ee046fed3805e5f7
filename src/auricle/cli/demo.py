# SPDX-License-Identifier: Apache-2.0
"""``auricle demo``: the whole way in a few minutes, from recordings to a detector and a page to look at."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Debug, Quiet
from auricle.runtime.model_names import DEFAULT_MODEL

if TYPE_CHECKING:
    from auricle.demo import Source
    from auricle.reports.pairing import Pair
    from auricle.results import Event, Report

STEPS = 8
#: Events of the built-in model that are printed.
_SHOWN = 10


@guarded
def demo(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for all that the demo makes.")] = Path(
        "demo-out"
    ),
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DATA",
            help="Labelled recordings with folds or a part 'test', such as ESC-10.",
            show_default="sounds made on the spot",
        ),
    ] = None,
    background: Annotated[
        Path | None,
        typer.Option(
            "--background",
            metavar="FILE",
            help="A recording of a place, of none of the classes: its first half tells the model what sounds there, "
            "the second lies behind the scene.",
            show_default="wind made on the spot",
        ),
    ] = None,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Train a detector in minutes, and see what it finds in a recording that it was not trained on.

    Leaves a model, a recording with its truth, and a page to open in a browser.

    Example:
      auricle demo
      auricle demo --data ESC-10/
    """
    from auricle import demo as steps
    from auricle.reports.pairing import pair_events

    begin = time.monotonic()
    steps.acquire_folder(out, data)

    timer = _Timer()
    place, behind = (None, None) if background is None else steps.read_place(background)
    source = steps.open_data(out, data, place)
    timer.announce("data", _describe(source))
    scene = steps.make_scene(source, behind)
    path = steps.write_scene(out, scene)
    timer.announce("scene", f"{steps.SCENE_S:g} s with {len(scene.truth)} events of held-out clips in {path}")
    named = steps.listen_with(DEFAULT_MODEL, path)
    timer.announce("name", f"{DEFAULT_MODEL}, which came with auricle, names {len(named)} events of 527 classes")
    _print_events(named[:_SHOWN], len(named))
    steps.enrol_few(out, source)
    found = pair_events(scene.truth, steps.listen_with(out / steps.ENROLLED, path))
    timer.announce("enrol", f"{steps.FEW} clips a class, no training: {_spell_verdicts(found)}")
    test = _train(steps.MODEL, out, source, quiet=quiet)
    timer.announce("train", f"a model folder in {out / steps.MODEL}")
    timer.announce("test", _spell_figures(test))
    spec, result, scores = steps.listen(out, path)
    pairs = pair_events(scene.truth, result.events)
    timer.announce("detect", _spell_verdicts(pairs))
    _print_pairs(pairs)
    facts = steps.model_facts(out, spec, test, source.origin)
    page = steps.write_report(out, scene, spec, result.events, scores, facts)
    timer.announce("page", f"{page}: open it in a browser")
    _print_next(out, time.monotonic() - begin)


class _Timer:
    """Announces each step, when it is done, with the time it took."""

    def __init__(self) -> None:
        self._done = 0
        self._last = time.monotonic()

    def announce(self, name: str, text: str) -> None:
        now = time.monotonic()
        self._done += 1
        print(f"[{self._done}/{STEPS}] {name:<7}{text} ({now - self._last:.1f} s)", flush=True)
        self._last = now


def _train(name: str, out: Path, source: Source, *, quiet: bool) -> Report:
    """Train on all that is not held out; returns the figures of what is, scored once."""
    from auricle import api
    from auricle.cli.train_progress import TrainingProgress
    from auricle.errors import Interrupted, TrainingError

    print(f"training, from general on, on {len(source.manifest) - len(source.held_out)} recordings ...", flush=True)
    try:
        with TrainingProgress(quiet=quiet) as progress:
            result = api.train(
                source.manifest.root,
                out=out / name,
                overrides=source.recipe,
                test_fold=source.test_fold,
                progress=progress,
            )
    except Interrupted as error:
        raise Interrupted("the demo was stopped; run it again, it begins anew", error.exit_code) from error
    if result.test is None:
        raise TrainingError("no held-out recording could be read, so there is nothing to measure on")
    return result.test


def _describe(source: Source) -> str:
    manifest = source.manifest
    negatives = f" and {manifest.negatives} of none of them" if manifest.negatives else ""
    held_out = f"fold {source.test_fold}" if source.test_fold is not None else "the part 'test'"
    return (
        f"{len(manifest) - manifest.negatives} recordings of {len(manifest.labels)} classes{negatives}, from "
        f"{source.origin}; {held_out} ({len(source.held_out)}) is held out"
    )


def _spell_figures(test: Report) -> str:
    name, figure = next(iter(test.metrics.items()))
    return (
        f"{name} {figure.value:.3f} on {figure.n} held-out recordings, scored once "
        f"(95 % interval {figure.low:.3f} to {figure.high:.3f})"
    )


def _spell_verdicts(pairs: Sequence[Pair]) -> str:
    from auricle.reports.pairing import count_verdicts

    counts = count_verdicts(pairs)
    total = counts["found"] + counts["missed"]
    return f"{counts['found']} of {total} true events found, {counts['missed']} missed, {counts['false']} false"


def _print_pairs(pairs: Sequence[Pair]) -> None:
    """Print true events beside found ones."""
    from auricle.cli.tables import print_table

    rows = []
    for pair in pairs:
        true = "" if pair.true is None else f"{pair.true.onset:6.2f} - {pair.true.offset:6.2f}"
        found = [f"{event.onset:6.2f} - {event.offset:6.2f}  ({event.score:.2f})" for event in pair.found]
        rows.append((pair.label, true, found[0] if found else "", pair.verdict))
        rows += [("", "", more, "") for more in found[1:]]
    print_table(("sound", "true, s", "found, s (score)", "verdict"), rows, sys.stdout)


def _print_events(events: Sequence[Event], count: int) -> None:
    """Print some events, and how many more there are."""
    from auricle.cli.tables import print_table

    rows = [(event.label, f"{event.onset:6.2f} - {event.offset:6.2f}", f"{event.score:.2f}") for event in events]
    print_table(("sound", "found, s", "score"), rows, sys.stdout)
    if count > len(events):
        print(f"... and {count - len(events)} more: auricle detect SCENE")


def _print_next(out: Path, seconds: float) -> None:
    model = f"./{out / 'model'}" if not out.is_absolute() else str(out / "model")
    print(
        f"\nDone in {seconds:.0f} s. What to do next:\n"
        f"  auricle models show {model}\n"
        f"  auricle detect {out / 'scene.wav'} --model {model} --format audacity\n"
        f"  auricle tag YOUR_RECORDINGS/ --model {model}\n"
        "  auricle train YOUR_CLIPS/ --out models/mine      # one folder a class; docs/tutorial.md"
    )
