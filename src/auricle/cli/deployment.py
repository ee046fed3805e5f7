# SPDX-License-Identifier: Apache-2.0
"""Deployments on the screen: a line for each recorder, one for each gap and overlap, one for what has no place."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from decimal import Decimal
from typing import TextIO

from auricle.audio.origin.deployment import Deployment, DeploymentReport, Joint, PlacedRecording, max_end
from auricle.cells import csv_line
from auricle.cli.progress import spell_seconds
from auricle.files import json_line, printable
from auricle.results import spell_moment

_COLUMNS = ("recorder", "path", "start", "start_utc", "end", "duration", "start_from", "latitude", "longitude")
_MORE_COLUMNS = ("battery_v", "temperature_c", "gap_before", "flags", "error", "message")


def print_deployments(report: DeploymentReport, format: str, stream: TextIO) -> None:
    """Write a report in a format: table, json or csv."""
    if format == "json":
        stream.write(json_line(report.to_dict()))
    elif format == "csv":
        stream.writelines(_rows(report))
    else:
        stream.writelines(printable(line) + "\n" for line in lines_of(report))


def lines_of(report: DeploymentReport) -> Iterator[str]:
    """Yield the report in lines for people."""
    for deployment in report.deployments:
        yield summary_of(deployment)
        for joint in deployment.joints:
            yield f"  {describe_joint(joint)}"
        for recording in deployment.recordings:
            if recording.flags:
                yield f"  {recording.path}: {', '.join(flag.code for flag in recording.flags)}"
    for recording in report.left_out:
        if recording.error is not None:
            yield f"{recording.path}: {recording.error.message} [{recording.error.code}]"


def summary_of(deployment: Deployment) -> str:
    """Return a deployment in one line."""
    recordings = deployment.recordings
    first, last = recordings[0].origin.start, max_end(recordings)
    span = "" if first is None or last is None else f" from {spell_moment(first)} to {spell_moment(last)}"
    pause = f", {spell_seconds(deployment.usual_pause_s)} between two" if deployment.usual_pause_s >= 1 else ""
    count = f"{len(recordings)} recording{'s' if len(recordings) > 1 else ''}"
    return f"{deployment.recorder}: {count}{span}, {spell_seconds(deployment.recorded_s)} in all{pause}"


def describe_joint(joint: Joint) -> str:
    """Return a gap or an overlap in one line."""
    kind = "gap" if joint.seconds > 0 else "overlap"
    text = f"{kind} of {abs(joint.seconds):.6g} s at {spell_moment(joint.at)}, before {joint.after}"
    hint = " (clocks change here: if the recorder's did not, give its offset with --clock-zone)"
    return text + (hint if joint.at_clock_change else "")


def _rows(report: DeploymentReport) -> Iterator[str]:
    yield csv_line((*_COLUMNS, *_MORE_COLUMNS))
    for deployment in report.deployments:
        gaps = {joint.after: round(joint.seconds, 3) for joint in deployment.joints}
        for recording in deployment.recordings:
            yield _row(recording, gaps.get(recording.path))
    for recording in report.left_out:
        yield _row(recording, None)


def _row(recording: PlacedRecording, gap: float | None) -> str:
    start, end, origin, error = recording.origin.start, recording.end, recording.origin, recording.error
    times = (
        None if start is None else spell_moment(start),
        None if start is None or start.tzinfo is None else spell_moment(start.astimezone(UTC)),
        None if end is None else spell_moment(end),
    )
    degrees = ("latitude", "longitude")
    place = (Decimal(str(origin.position[name])) if name in origin.position else None for name in degrees)
    state = (origin.recorder.get("battery_v"), origin.recorder.get("temperature_c"))
    flags = ";".join(flag.code for flag in recording.flags)
    failure = (None, None) if error is None else (error.code, error.message)
    head = (recording.recorder, recording.path, *times, recording.duration, origin.source or None, *place)
    return csv_line((*head, *state, gap, flags, *failure))
