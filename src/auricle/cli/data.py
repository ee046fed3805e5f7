# SPDX-License-Identifier: Apache-2.0
"""``auricle data``: look at recordings or a data set, or bring one into a format that trains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.option_groups import grouped
from auricle.cli.options import Debug, Inputs, NewFolder, Quiet, ReportFormat, ReportOptions, hertz
from auricle.recipe.requests import DataOptions, FormatOptions
from auricle.recipe.scan_requests import DeploymentOptions

app = typer.Typer(
    help="Check a data set before training on it, import, fetch or synthesise one.",
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command(short_help="Say what a data set holds and what is wrong with it.")
@guarded
@grouped
def check(
    request: DataOptions,
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Decode every recording: finds damage, silence, clipping, equal audio.")
    ] = False,
    screen: ReportOptions,
) -> None:
    """Say how a data set is understood, what it holds, and everything that is wrong with it.

    Exits 0 if it can be trained on, else 2.

    Example:
      auricle data check clips/
    """
    from auricle.cli.progress import Meter
    from auricle.cli.report_output import print_object
    from auricle.data.check.dataset import check as check_data
    from auricle.files import printable

    with Meter("check", quiet=screen.quiet) as meter:
        source = request.source
        report = check_data(source.path, deep=deep, progress=meter.update, **source.reading())
    if screen.format == "json":
        print_object(report.to_dict(), sys.stdout)
    else:
        print("\n".join(printable(line) for line in report.lines()))
    if not report.ok:
        raise typer.Exit(2)


@app.command(short_help="Say when recordings were made, and what is missing between them.")
@guarded
@grouped
def deployment(
    inputs: Inputs,
    *,
    zones: DeploymentOptions,
    format: Annotated[
        Literal["table", "json", "csv"],
        typer.Option("--format", "-f", help="Gaps and overlaps (table), everything (json), or recordings (csv)."),
    ] = "table",
    debug: Debug = False,
) -> None:
    """Say when the recordings of a recorder were made, which gaps lie between them and where they overlap.

    Starts are read from names and headers (docs/clock.md); nothing is decoded. Exits 1 if a recording cannot be read
    or nothing says when it began.

    Example:
      auricle data deployment card1/ --time-zone Europe/Berlin
      auricle data deployment card1/ --time-zone Europe/Berlin --clock-zone UTC --format csv > times.csv
    """
    from auricle.api import deployment as find_deployments
    from auricle.cli.deployment import print_deployments
    from auricle.recipe.scan_requests import DeploymentRequest

    report = find_deployments(DeploymentRequest(inputs, **vars(zones)))
    print_deployments(report, format, sys.stdout)
    if report.left_out:
        raise typer.Exit(1)


@app.command("import", short_help="Write a data set as NumPy arrays with a table of labels.")
@guarded
@grouped
def import_(
    request: DataOptions,
    *,
    out: NewFolder,
    rate: Annotated[
        int, typer.Option("--rate", metavar="HZ", parser=hertz(1_000), help="Sample rate of the arrays.")
    ] = 16_000,
    screen: ReportOptions,
) -> None:
    """Write a data set as NumPy waveforms, with labels.csv and features.json, in a format that trains as it is.

    Example:
      auricle data import clips/ --out arrays/
    """
    from auricle.cli.progress import Meter
    from auricle.cli.report_output import print_object
    from auricle.data.formats.registry import read_source
    from auricle.data.numpy_import import import_dataset
    from auricle.files import printable

    manifest = read_source(request.source)
    with Meter("import", quiet=screen.quiet) as meter:
        report = import_dataset(manifest, out, sample_rate=rate, progress=meter.update)
    if screen.format == "json":
        print_object(report.to_dict(), sys.stdout)
    else:
        print(f"{report.clips} clips in {report.path}")
    for key, failure in report.failures.items():
        say(f"auricle: {printable(key)}: {failure.message} [{failure.code}]")
    if report.failures:
        raise typer.Exit(1)


@app.command(short_help="Write voices many times over: in rooms, through codecs, noise and vocoders.")
@guarded
@grouped
def variants(
    request: DataOptions,
    *,
    out: NewFolder,
    each: Annotated[int, typer.Option("--each", metavar="N", min=0, help="Variants of each recording.")] = 3,
    vocoded: Annotated[
        int,
        typer.Option("--vocoded", metavar="N", min=0, help="Vocoded variants of each bona fide recording."),
    ] = 1,
    vocoder: Annotated[
        list[str] | None,
        typer.Option(
            "--vocoder",
            metavar="NAME=SYSTEM",
            help="A vocoder, griffin_lim or world, and the spoofing system that its recordings are of; repeatable.",
            show_default="griffin_lim=griffin_lim",
        ),
    ] = None,
    exclude_system: Annotated[
        list[str] | None,
        typer.Option("--exclude-system", metavar="ID", help="Leave this spoofing system out; may be repeated."),
    ] = None,
    rate: Annotated[
        int, typer.Option("--rate", metavar="HZ", parser=hertz(8_000), help="Sample rate to write.")
    ] = 16_000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of everything random.")] = 0,
    screen: ReportOptions,
) -> None:
    """Write a data set of voices, bonafide and spoof, with each recording in changed variants (format asvspoof).

    Of data with parts, the train part alone is taken. Both classes pass the same changes. People's voices go through
    vocoders too, and count as spoofed speech of the same speaker then. The same command continues a run.

    Example:
      auricle data variants voices/ --out more/ --vocoder griffin_lim=S07 --vocoder world=S08
      auricle teach more/ --teacher models/mn04_as_mAP_432.pt --stages all --window 4.0375 --pad repeat --out soft/
      auricle train more/ --model rawnet --soft soft/ --set data.balance=none --out models/voice
    """
    from auricle.batches.augment.variants import VariantRules, write_variants
    from auricle.cli.report_output import print_object
    from auricle.cli.train_progress import TrainingProgress
    from auricle.data.formats.registry import read_source
    from auricle.data.splits import without_systems
    from auricle.files import printable

    pairs = {name: system or name for name, _, system in (v.partition("=") for v in vocoder or ("griffin_lim",))}
    rules = VariantRules(each, vocoded, pairs, seed)
    with TrainingProgress(quiet=screen.quiet, what="variants") as progress:
        manifest = without_systems(read_source(request.source), exclude_system or ())
        count = write_variants(manifest, out, rules, rate, progress)
    if screen.format == "json":
        print_object({"path": str(out), "recordings": count}, sys.stdout)
    else:
        print(f"{count} recordings in {printable(str(out))}")


@app.command(short_help="Synthesise labelled data: scenes out of clips, or a small set to try things on.")
@guarded
@grouped
def synth(
    clips_data: Annotated[
        Path | None,
        typer.Argument(metavar="CLIPS", help="Isolated clips to make scenes of; without them, sounds are computed."),
    ] = None,
    *,
    out: NewFolder,
    part: Annotated[
        list[str] | None,
        typer.Option("--part", metavar="NAME=FOLDS:N", help="N scenes of some folds (or parts); may be repeated."),
    ] = None,
    scenes: Annotated[
        int, typer.Option("--scenes", metavar="N", min=1, help="Scenes of all clips, where no --part is given.")
    ] = 100,
    events: Annotated[str, typer.Option("--events", metavar="MIN-MAX", help="Events in a scene.")] = "1-6",
    overlap: Annotated[int, typer.Option("--overlap", metavar="N", min=1, help="Most events at the same time.")] = 3,
    snr: Annotated[str, typer.Option("--snr", metavar="LOW,HIGH", help="Events over the background, in dB.")] = "0,20",
    background: Annotated[
        list[str] | None,
        typer.Option("--background", metavar="LABEL", help="A class that sounds behind whole scenes; repeatable."),
    ] = None,
    background_share: Annotated[
        float, typer.Option("--background-share", min=0, max=1, help="Share of scenes with one; others have noise.")
    ] = 0.5,
    room: Annotated[
        float, typer.Option("--room", metavar="SHARE", min=0, max=1, help="Share of scenes that stand in a room.")
    ] = 0.0,
    clips: Annotated[int, typer.Option("--clips", metavar="N", min=1, help="Computed clips of each class.")] = 24,
    seconds: Annotated[
        float | None,
        typer.Option("--seconds", metavar="S", min=0.1, help="Length of each.", show_default="10 a scene, 2 a clip"),
    ] = None,
    rate: Annotated[
        int, typer.Option("--rate", metavar="HZ", parser=hertz(8_000), help="Sample rate to write.")
    ] = 16_000,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of everything random.")] = 0,
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Processes that make scenes.")] = 1,
    read: FormatOptions,
    screen: ReportOptions,
) -> None:
    """Synthesise a data set whose truth is known.

    With CLIPS: scenes with exact onsets and offsets (format desed). Sounds are cut out of the clips by their energy and
    laid over backgrounds; what each scene is made of is written beside it. Clips, and groups of clips, of one part are
    in no other. Without CLIPS: class folders of sounds computed from physics.

    Example:
      auricle data synth esc10/ --out scenes/ --part train=1,2,3:1000 --part dev=4:200 --background rain
      auricle data synth --out toy/
    """
    from auricle.cli.data_synth import make_scenes

    if clips_data is None:
        from auricle.errors import UsageError
        from auricle.synth.toy import synthesise

        if part or background:
            option = "--part" if part else "--background"
            raise UsageError(f"{option} makes scenes of clips, and no clips are named: auricle data synth CLIPS ...")
        clip_s = 2.0 if seconds is None else seconds
        print(synthesise(out, clips_per_class=clips, clip_s=clip_s, sample_rate=rate, seed=seed))
        return
    from auricle.synth.scenes import SceneRules

    rules = SceneRules(
        scene_s=10.0 if seconds is None else seconds,
        overlap=overlap,
        backgrounds=tuple(background or ()),
        background_share=background_share,
        room_share=room,
        sample_rate=rate,
        seed=seed,
    )
    make_scenes(
        read.source_at(clips_data), out, rules, parts=part or (), scenes=scenes, events=events, snr=snr,
        jobs=jobs, format=screen.format, quiet=screen.quiet,
    )  # fmt: skip


@app.command(short_help="Fetch a public data set, or list those that are known.")
@guarded
def fetch(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="The data set; without one, all that are known are listed.")
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Folder to write.", show_default="its name"),
    ] = None,
    archive: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="The archive, fetched by other means: nothing is downloaded."),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="A mirror instead of the official address.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Accept the licence and download without asking.")] = False,
    format: ReportFormat = "table",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Fetch a public data set and make it ready for training. The licence is shown first.

    An interrupted download continues where it stopped. The archive is compared with its published checksum where one
    is known; else its checksum is recorded in fetched.json and said to be unverified.

    Example:
      auricle data fetch
      auricle data fetch esc10 --out esc10/ --yes
    """
    from auricle.cli.data_fetch import fetch_and_tell, list_sources

    if name is None:
        list_sources()
    else:
        folder = Path(name) if out is None else out
        fetch_and_tell(name, folder, archive=archive, url=url, yes=yes, format=format, quiet=quiet)
