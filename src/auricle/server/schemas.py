# SPDX-License-Identifier: Apache-2.0
"""The shapes of replies, for ``GET /openapi.json``; tests hold what is sent, which ``results`` makes, to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from auricle.errors import FAILURE_CODES, REQUEST_CODES
from auricle.server.responses import INPUT_STATUS, STATUS

Score = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
_MEANING = {**FAILURE_CODES, **REQUEST_CODES}


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class FlagReply(BaseModel):
    """Something to know about a recording that was used all the same; measured values stand beside the code."""

    model_config = ConfigDict(extra="allow", strict=True)

    code: str


class LabelReply(_Reply):
    """A label and its score; of longer recordings the share of the time too in which it reaches its threshold."""

    label: str
    score: Score
    share: Score | None = None


class EventReply(_Reply):
    """A sound with a beginning and an end."""

    label: str
    onset: Seconds
    offset: Seconds
    score: Score


class FailureReply(_Reply):
    """Why something was not done."""

    code: str
    message: str


class _Recording(_Reply):
    path: str = Field(description="The last part of the file's name, escaped; empty where none was sent.")
    duration: Seconds
    flags: list[FlagReply]
    channel: int = Field(1, ge=1, description="The channel that was taken; absent for the mean of all.")
    error: None = Field(description="Always null: a recording that cannot be used gives an error status.")


class TagReply(_Recording):
    """What is in a recording."""

    scores: list[LabelReply] = Field(description="From high to low.")
    llr: float | None = Field(None, description="Of models of synthetic voices: log-likelihood ratio, bonafide high.")
    prior_spoof: Score | None = Field(None, description="Of the same: the share of spoofed recordings assumed.")


class ScoresReply(_Reply):
    """Scores over time: a row a frame, a column a label."""

    labels: list[str]
    step_s: Seconds
    times: list[Seconds]
    values: list[list[Score]]
    peaks: dict[str, Score] | None = Field(None, description="With `lanes=N`: the highest score of every label.")


class DetectReply(_Recording):
    """When sounds happen."""

    events: list[EventReply] = Field(description="In the order of their onsets.")
    tags: list[LabelReply] | None = Field(None, description="With `tags=N`: the N labels of the highest clip scores.")
    scores: ScoresReply | None = Field(None, description="With `scores=true`: what the events were made from.")


class PostprocessReply(_Reply):
    """From scores to events, as in `auricle.json`: what is given by label goes before what is given for all."""

    median_s: Seconds
    medians_s: dict[str, Seconds]
    off_ratio: Score
    off_ratios: dict[str, Score]
    min_event_s: Seconds
    max_gap_s: Seconds


class EventRuleReply(_Reply):
    """How events are made: where scores lie over samples of the model's rate, and what is done to them."""

    rate: int
    hop_samples: int
    first_centre_samples: float
    postprocess: PostprocessReply


class ModelReply(_Reply):
    """A model that is served."""

    name: str
    task: Literal["single", "multi"]
    labels: list[str]
    sample_rate: int
    window_s: float
    hop_s: float
    thresholds: dict[str, Score]
    events: EventRuleReply | None = Field(description="Null where events lie between change points of the scores.")


class ModelsReply(_Reply):
    """All models."""

    default: str
    models: list[ModelReply]


class HealthReply(_Reply):
    """Whether requests can be served."""

    status: Literal["ok", "starting", "stopping"]
    version: str


class ErrorReply(_Reply):
    """What is refused."""

    error: FailureReply


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of error statuses, each with the codes that it may carry."""
    codes: dict[int, list[str]] = {status: [] for status in statuses}
    for code in _MEANING:
        status = STATUS.get(code, INPUT_STATUS.get(code, 400))
        if status in codes and code not in codes[status]:
            codes[status].append(code)
    return {
        status: {"model": ErrorReply, "description": "; ".join(f"`{c}`: {_MEANING[c]}" for c in names)}
        for status, names in codes.items()
    }
