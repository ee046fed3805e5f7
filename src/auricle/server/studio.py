# SPDX-License-Identifier: Apache-2.0
"""The routes of ``auricle studio``: a project over HTTP, behind the gate of ``auricle serve``.

Routes are plain functions, so each request runs in a thread; what takes long runs in the background, and a page asks
how far it is. docs/studio.md describes them.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import numpy as np
import soundfile
from fastapi import Depends, FastAPI, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from auricle import __version__
from auricle.errors import UsageError
from auricle.results import rounded
from auricle.server.app import FOOTER, add_handlers, add_page, describe_api, json_reply, known_query
from auricle.server.gate import Gate
from auricle.server.metrics import Meters
from auricle.server.schemas import refusals
from auricle.server.settings import Settings
from auricle.studio.exports import DOWNLOADS, FORMATS
from auricle.studio.labels import LabelRequest, Verdict
from auricle.studio.project import Studio
from auricle.webpage.assets import studio_assets, studio_html

#: Longest piece of sound in one reply.
MOST_AUDIO_S = 120.0
_MOST_ROWS = 10_000
_REFUSALS = refusals(400, 401, 403, 404, 409, 413, 415, 500, 503)

Number = Annotated[float, Field(allow_inf_nan=False)]
Offset = Annotated[int, Query(ge=0, description="Rows to pass over.")]
Limit = Annotated[int, Query(ge=1, le=_MOST_ROWS, description="Rows to return.")]
ClassName = Annotated[str | None, Query(description="A class; all if absent.")]
Key = Annotated[str, Field(max_length=64)]


class _Body(BaseModel):
    """A body whose fields are all known."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True)
class NewLabel(LabelRequest):
    """A verdict on a part of a recording, with a key of the request if it may come twice."""

    key: Key | None = None


class LabelChanges(_Body):
    """What changes of a label; what is absent stays."""

    label: str | None = None
    onset: Number | None = None
    offset: Number | None = None
    verdict: Verdict | None = None


class SearchFor(_Body):
    """What is looked for."""

    label: str
    count: int = Field(20, ge=1, le=500)


class DetectIn(_Body):
    """Recordings; all where none are named."""

    recordings: list[int] | None = None


class TuneTo(_Body):
    """A class and the precision that is wanted."""

    label: str
    precision: Number = 0.9


class ClassChanges(_Body):
    """What is said about a class; what is absent stays, and a threshold of null is the model's own."""

    name: str
    threshold: Number | None = None
    wanted_precision: Number | None = None


class CutoutsOf(_Body):
    """Which confirmed sounds are cut out, and how much around them."""

    label: str | None = None
    lead: Number = 1.0
    tail: Number = 1.0
    format: str = "flac"


class Nothing(_Body):
    """An empty object."""


class StudioService:
    """A project's server: the ASGI application, and the parts that ``server.run`` looks at.

    Args:
        studio: the project; it is closed by who opened it.
        settings: where to listen, and the token.

    Attributes:
        app: give this to uvicorn.
        state: the code of the refusal that all requests get now, or None.
        failure: always None: what could fail has been opened already.
    """

    def __init__(self, studio: Studio, settings: Settings) -> None:
        self.studio = studio
        self.settings = settings
        self.meters = Meters()
        self.state: str | None = None
        self.failure: Exception | None = None
        self.gate = Gate(_routes(self), settings, lambda: self.state, self.meters.reply)
        self.app: ASGIApp = self.gate

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Compute vectors in the background while the server answers."""
        self.studio.start_indexing()
        yield

    async def drain(self) -> None:
        """Take nothing new; requests at work have their time."""
        self.state = "stopping"
        await asyncio.gather(self.gate.drain(self.settings.drain_s))


def _routes(service: StudioService) -> FastAPI:
    app = FastAPI(
        title="auricle studio",
        version=__version__,
        description="A folder of recordings, its labels, and the model that is taught by them. See docs/studio.md.",
        servers=[{"url": ".", "description": "where this description was read, also behind a proxy"}],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=service.lifespan,
    )
    _recording_routes(app, service.studio)
    _label_routes(app, service.studio)
    _model_routes(app, service.studio)
    _use_routes(app, service.studio)

    @app.get("/health")
    async def health() -> Response:
        """Say whether requests can be served."""
        status = "ok" if service.state is None else service.state
        return json_reply({"status": status, "version": __version__})

    add_page(app, studio_html(title="Studio", footer=FOOTER), studio_assets())
    add_handlers(app)
    describe_api(app)
    return app


def _recording_routes(app: FastAPI, studio: Studio) -> None:
    options: dict[str, Any] = {"dependencies": [Depends(known_query)], "responses": _REFUSALS}

    @app.get("/v1/studio", **options)
    def state() -> Response:
        """Say how the project stands."""
        return json_reply(studio.state())

    @app.get("/v1/studio/recordings", **options)
    def recordings(offset: Offset = 0, limit: Limit = 200) -> Response:
        """List the recordings."""
        rows, counts = studio.recordings(), studio.label_counts()
        found = [
            {
                "id": row.id,
                "path": row.path,
                "duration": None if row.duration is None else rounded(row.duration),
                "start": row.start,
                "labels": counts.get(row.id, 0),
            }
            for row in rows[offset : offset + limit]
        ]
        return json_reply({"total": len(rows), "recordings": found, "problems": studio.problems()})

    @app.get("/v1/studio/recordings/{number}", **options)
    def recording(number: int) -> Response:
        """Return a recording with its labels and detections."""
        row = studio.recording(number)
        return json_reply(
            {
                "id": row.id,
                "path": row.path,
                "duration": None if row.duration is None else rounded(row.duration),
                "sample_rate": row.sample_rate,
                "start": row.start,
                "labels": [label.to_dict() for label in studio.labels_in(number)],
                "detections": studio.detections(recording=number),
            }
        )

    @app.get("/v1/studio/recordings/{number}/audio", response_class=Response, **options)
    def audio(
        number: int,
        start: Annotated[float, Query(alias="from", ge=0, allow_inf_nan=False)],
        end: Annotated[float, Query(alias="to", allow_inf_nan=False)],
    ) -> Response:
        """Return a piece of a recording as WAV, mono, 16 bit."""
        if not start < end <= start + MOST_AUDIO_S + 1e-6:
            raise UsageError(f"from {start:g}, to {end:g}: expected a piece of at most {MOST_AUDIO_S:g} s")
        found = studio.sound(number, start, end)
        whole = np.clip(np.rint(found.samples * 32768.0), -32768, 32767).astype(np.int16)
        buffer = io.BytesIO()
        soundfile.write(buffer, whole, found.sample_rate, format="WAV", subtype="PCM_16")
        return Response(buffer.getvalue(), media_type="audio/wav", headers={"cache-control": "no-store"})

    @app.get("/v1/studio/recordings/{number}/tile", **options)
    def tile(
        number: int,
        start: Annotated[float, Query(alias="from", allow_inf_nan=False)],
        end: Annotated[float, Query(alias="to", allow_inf_nan=False)],
        width: int = 256,
    ) -> Response:
        """Return peaks and spectrogram of a part of a recording."""
        return Response(studio.tile(number, start, end, width), media_type="application/json")


def _label_routes(app: FastAPI, studio: Studio) -> None:
    options: dict[str, Any] = {"dependencies": [Depends(known_query)], "responses": _REFUSALS}

    @app.get("/v1/studio/labels", **options)
    def labels(label: ClassName = None, verdict: Verdict | None = None) -> Response:
        """List labels."""
        return json_reply({"labels": [item.to_dict() for item in studio.labels(label, verdict)]})

    @app.post("/v1/studio/labels", **options)
    def add(body: NewLabel) -> Response:
        """Store a label; when this answers it is on the disk."""
        return json_reply(studio.label(**asdict(body)).to_dict())

    @app.patch("/v1/studio/labels/{number}", **options)
    def change(number: int, body: LabelChanges) -> Response:
        """Change a label."""
        changes = {key: value for key, value in body.model_dump(exclude_unset=True).items() if value is not None}
        return json_reply(studio.change(number, **changes).to_dict())

    @app.delete("/v1/studio/labels/{number}", **options)
    def delete(number: int) -> Response:
        """Take a label away."""
        return json_reply({"deleted": studio.delete(number).id})

    @app.post("/v1/studio/undo", **options)
    def undo(_body: Nothing | None = None) -> Response:
        """Take back the last change of anyone."""
        return json_reply({"undone": studio.undo()})

    @app.post("/v1/studio/classes", **options)
    def describe(body: ClassChanges) -> Response:
        """Name a class, or say its threshold and the precision that is wanted."""
        changes = body.model_dump(exclude_unset=True)
        return json_reply(studio.describe(changes.pop("name"), **changes))


def _model_routes(app: FastAPI, studio: Studio) -> None:
    options: dict[str, Any] = {"dependencies": [Depends(known_query)], "responses": _REFUSALS}

    @app.post("/v1/studio/search", **options)
    def search(body: SearchFor) -> Response:
        """Return the windows most like the examples of a class."""
        return json_reply({"windows": studio.search(body.label, body.count)})

    @app.post("/v1/studio/teach", **options)
    def teach(_body: Nothing | None = None) -> Response:
        """Make a model of all verdicts."""
        return json_reply(studio.teach())

    @app.get("/v1/studio/queue", **options)
    def queue(label: ClassName = None, count: Annotated[int, Query(ge=1, le=500)] = 20) -> Response:
        """Return what to judge next."""
        return json_reply({"items": studio.queue(label, count)})

    @app.post("/v1/studio/detect", **options)
    def detect(body: DetectIn | None = None) -> Response:
        """Detect in the background."""
        job = studio.start_detection(None if body is None else body.recordings)
        return json_reply({"job": job.to_dict()})

    @app.get("/v1/studio/detections", **options)
    def detections(label: ClassName = None, order: str = "score", offset: Offset = 0, limit: Limit = 200) -> Response:
        """List detections with the verdicts on them."""
        found = studio.detections(label, order)
        return json_reply({"total": len(found), "detections": found[offset : offset + limit]})

    @app.post("/v1/studio/tune", **options)
    def tune(body: TuneTo) -> Response:
        """Choose the threshold of a class for a precision."""
        return json_reply(studio.tune(body.label, body.precision))


def _use_routes(app: FastAPI, studio: Studio) -> None:
    options: dict[str, Any] = {"dependencies": [Depends(known_query)], "responses": _REFUSALS}

    @app.post("/v1/studio/cutouts", **options)
    def cutouts(body: CutoutsOf) -> Response:
        """Write confirmed sounds as files."""
        format: Any = body.format
        return json_reply(studio.cut_out(body.label, lead_s=body.lead, tail_s=body.tail, format=format))

    @app.get("/v1/studio/export", response_class=Response, **options)
    def export(format: Annotated[str, Query(description=f"One of {', '.join(FORMATS)}.")] = "csv") -> Response:
        """Return the labels as a file of another program."""
        content = studio.export(format)
        name, kind = DOWNLOADS[format]
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return Response(content, media_type=kind, headers=headers)
