# SPDX-License-Identifier: Apache-2.0
"""``auricle listen``: events while the sound is still coming, from the microphone or from a pipe."""

from __future__ import annotations

import sys
from typing import Annotated, Literal

import typer

from auricle.cli.guard import guarded
from auricle.cli.options import Classes, Debug, Model, Precision, Quiet, Threshold, hertz


@guarded
def listen(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[-]", help="- reads stdin: a WAV, or plain samples with --rate. Without it: the microphone."
        ),
    ] = None,
    *,
    model: Model = None,
    classes: Classes = None,
    threshold: Threshold = None,
    patience_s: Annotated[
        float | None,
        typer.Option(
            "--patience",
            metavar="S",
            min=0,
            max=3600,
            help="Report a sound once it has lasted this long.",
            show_default="the model's shortest event",
        ),
    ] = None,
    debounce_s: Annotated[
        float | None,
        typer.Option(
            "--debounce",
            metavar="S",
            min=0,
            max=3600,
            help="Pauses up to this long end no sound.",
            show_default="the model's longest gap",
        ),
    ] = None,
    latency_s: Annotated[
        float | None,
        typer.Option(
            "--latency",
            metavar="S",
            min=0,
            max=3600,
            help="Report sounds at most this late. The sooner, the more work, and the less like whole recordings.",
            show_default="4 for general and models of its kind, else the model's own",
        ),
    ] = None,
    format: Annotated[
        Literal["table", "json"],
        typer.Option("--format", "-f", help="A live table (lines, where stdout is no terminal), or JSON lines."),
    ] = "table",
    rate: Annotated[
        int | None,
        typer.Option(
            "--rate", metavar="HZ", parser=hertz(1), help="Sample rate of plain samples, or of the microphone."
        ),
    ] = None,
    sample_format: Annotated[
        Literal["s16le", "s32le", "f32le"] | None,
        typer.Option("--sample-format", help="Plain samples on stdin.", show_default="s16le"),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option("--channels", metavar="N", min=1, max=64, help="Of plain samples on stdin.", show_default="1"),
    ] = None,
    microphone: Annotated[
        str | None,
        typer.Option("--microphone", metavar="NAME", help="Number or part of the name of the microphone."),
    ] = None,
    microphones: Annotated[bool, typer.Option("--microphones", help="List the microphones and leave.")] = False,
    precision: Precision = "float32",
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """Say what sounds there are while they come: from the microphone, or from a pipe.

    The events are those that detect finds in the same recording; with general, but for a few (see --latency).
    Ctrl-C ends it with the events so far.

    Example:
      auricle listen --model models/yard
      arecord -q -f S16_LE -r 16000 -t raw | auricle listen - --rate 16000 --format json
      auricle listen --latency 2
      auricle listen --patience 0.5 --debounce 2 --threshold dog=0.7
    """
    from auricle.cli.listen_session import open_microphone, open_pipe, print_events, show_microphones, tuned_detector
    from auricle.runtime.class_groups import classes_of
    from auricle.runtime.thresholds import check_labels, parse_thresholds

    if microphones:
        show_microphones(sys.stdout)
        return
    detector = tuned_detector(
        model, precision, patience_s=patience_s, debounce_s=debounce_s, latency_s=latency_s, quiet=quiet
    )
    kept = classes_of(classes, detector.spec) if classes else None
    thresholds = parse_thresholds(threshold)
    check_labels(thresholds, detector.labels)
    opened = (
        open_microphone(microphone, rate, (sample_format, channels))
        if source is None
        else open_pipe(source, rate, sample_format, channels, microphone)
    )
    print_events(
        detector, opened, thresholds.as_argument(detector.labels), format=format, stream=sys.stdout, quiet=quiet,
        kept=kept,
    )  # fmt: skip
