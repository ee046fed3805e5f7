# SPDX-License-Identifier: Apache-2.0
"""``auricle teach``: a large model labels audio for a small one to learn from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from auricle.cli.guard import guarded, say
from auricle.cli.options import DataFormat, Debug, Engine, NewFolder, Quiet, ReportFormat, SampleRate


@guarded
def teach(
    audio: Annotated[
        Path, typer.Argument(metavar="AUDIO", help="Labelled recordings of any form, or with --unlabelled any audio.")
    ],
    *,
    teacher: Annotated[
        str,
        typer.Option(
            "--teacher",
            "-T",
            metavar="T",
            help="hf:org/name or a folder of transformers, a .pt checkpoint of EfficientAT, an .onnx tagger with its "
            ".json, or a model of auricle; several joined with commas are averaged.",
        ),
    ],
    out: NewFolder,
    mixtures: Annotated[
        int,
        typer.Option(
            "--mixtures", metavar="N", min=0, help="Make N new sounds of the recordings and the pool; label them too."
        ),
    ] = 0,
    mixture_s: Annotated[
        float | None,
        typer.Option(
            "--mixture-length", metavar="S", min=0.1, help="Length of a mixture in seconds.", show_default="about 5"
        ),
    ] = None,
    pool: Annotated[
        Path | None, typer.Option("--pool", metavar="PATH", help="Unlabelled audio to go with it: a folder or a table.")
    ] = None,
    leave_out: Annotated[
        list[str] | None,
        typer.Option("--leave-out", metavar="COLUMN=VALUE", help="Rows of the pool's table that are not taken."),
    ] = None,
    unlabelled: Annotated[
        bool, typer.Option("--unlabelled", help="Look for no labels: AUDIO is itself a pool.")
    ] = False,
    label_map: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE", help="Table label,teacher: which of the teacher's classes mean yours."),
    ] = None,
    fit: Annotated[
        bool,
        typer.Option("--fit", help="Write labels of your classes, by a head fitted on the embeddings, for each fold."),
    ] = False,
    window_s: Annotated[
        float, typer.Option("--window", metavar="S", min=0.1, help="Length of a window; crops are whole numbers of it.")
    ] = 5.0,
    hop_s: Annotated[
        float | None,
        typer.Option("--hop", metavar="S", min=0.01, help="Step between windows.", show_default="--window"),
    ] = None,
    embeddings: Annotated[bool, typer.Option(help="Keep the teacher's embeddings, for --fit and for matching.")] = True,
    seed: Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Seed of the mixtures.")] = 0,
    bf16: Annotated[bool, typer.Option("--bf16", help="Compute in bf16: faster on some machines.")] = False,
    download: Annotated[bool, typer.Option("--download", help="Fetch hf:org/name if it is not here.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what --out holds.")] = False,
    engine: Engine = "local",
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Teachers at the same time, with --engine ray.")
    ] = 1,
    data_format: DataFormat = "auto",
    sample_rate: SampleRate = None,
    form: ReportFormat = "table",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Let a large model label recordings, and mixtures of them; train --soft learns from what it said.

    A run that was stopped goes on with --resume and leaves the same bytes.

    Example:
      auricle teach clips/ --teacher models/mn04_as_mAP_432.pt --pool sounds/ --mixtures 6000 --out soft/
      auricle train clips/ --soft soft/ --out models/yard
    """
    from auricle import api
    from auricle.cli.report_output import print_object
    from auricle.cli.train_progress import TrainingProgress
    from auricle.files import printable

    with TrainingProgress(quiet=quiet, what="teach") as progress:
        result = api.teach(
            audio,
            teacher=teacher,
            out=out,
            pool=pool,
            leave_out=leave_out if leave_out is not None else (),
            mixtures=mixtures,
            mixture_s=mixture_s,
            window_s=window_s,
            hop_s=hop_s,
            label_map=label_map,
            fit=fit,
            embeddings=embeddings,
            unlabelled=unlabelled,
            data_format=data_format,
            sample_rate=sample_rate,
            seed=seed,
            bf16=bf16,
            download=download,
            resume=resume,
            overwrite=overwrite,
            engine=engine,
            jobs=jobs,
            progress=progress,
        )
    if form == "json":
        print_object(result.to_dict(), sys.stdout)
    else:
        print(
            f"{result.recordings} recordings and {result.mixtures} mixtures, {result.labels} classes, in {result.path}"
        )
    for key, reason in result.failures.items():
        say(f"auricle: {printable(key)}: {reason}")
    if result.failures:
        raise typer.Exit(1)
