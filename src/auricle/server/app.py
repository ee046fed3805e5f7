# SPDX-License-Identifier: Apache-2.0
"""The routes. Everything that protects them is in ``gate`` and ``protocol``, everything that computes in ``engine``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response, WebSocket
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp

from auricle import __version__
from auricle.errors import AuricleError
from auricle.files import printable
from auricle.registry import nearest
from auricle.results import DetectResult, Scores, rounded
from auricle.runtime.abstention import threshold_of
from auricle.runtime.thresholds import Thresholds, check_labels, parse_thresholds
from auricle.server.engine import Engine
from auricle.server.gate import STREAM_PATH, Gate
from auricle.server.metrics import CONTENT_TYPE, Meters
from auricle.server.responses import CODE_OF_STATUS, Refusal, dump, refusal_of, rounded_rows
from auricle.server.schemas import DetectReply, HealthReply, ModelsReply, TagReply, refusals
from auricle.server.settings import Settings
from auricle.server.streams import Streams
from auricle.server.uploads import receive_upload
from auricle.server.workers import Job
from auricle.webpage.assets import modules_of, page_html, read_asset
from auricle.webpage.lanes import pick_lanes

ModelName = Annotated[str | None, Query(description="A name from /v1/models; the first one by default.")]
Top = Annotated[int, Query(ge=1, description="Labels to return.")]
ChannelNumber = Annotated[
    int | None, Query(ge=1, description="Take this channel of the recording, from 1 on; the mean of all by default.")
]
Abstain = Annotated[
    float | None,
    Query(
        gt=0,
        lt=1,
        description="Name nothing where more than this share of what is named would be wrong; see tag --abstain.",
    ),
]
ThresholdTexts = Annotated[list[str] | None, Query(description="X for all labels or LABEL=X for one; may be repeated.")]
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob:; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEAD = (
    '<link rel="icon" href="static/icon.svg">\n<link rel="stylesheet" href="static/page.css">\n'
    '<script type="module" src="static/serve.js"></script>'
)
FOOTER = "Served by auricle on this machine. The page loads nothing from elsewhere."
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The recording: the field `file` of a form, or the body itself.",
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}


class Service:
    """A server's parts together: what it holds, its state, and the ASGI application.

    Attributes:
        app: give this to uvicorn.
        failure: the error that kept the models from being loaded, or None.
    """

    def __init__(self, models: list[str], settings: Settings, *, precision: str = "float32") -> None:
        self.settings = settings
        self.meters = Meters()
        self.engine = Engine(models, settings, precision=precision, on_restart=self.meters.restarts.inc)
        self.streams = Streams(self.engine, settings, self.meters)
        self.state: str | None = "starting"
        self.failure: Exception | None = None
        self.gate = Gate(_routes(self), settings, lambda: self.state, self.meters.reply)
        self.meters.spooled.set_function(lambda: self.gate.spooled_bytes)
        self.app: ASGIApp = self.gate

    @contextlib.asynccontextmanager
    async def lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        """Load the models while the server answers already, and end the workers when it stops."""
        tasks = [asyncio.create_task(self._load()), asyncio.create_task(self.streams.watch())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.engine.close()

    async def drain(self) -> None:
        """Take nothing new; end streams and requests, those that take too long without their result."""
        self.state = "stopping"
        await asyncio.gather(self.streams.drain(self.settings.drain_s), self.gate.drain(self.settings.drain_s))

    async def _load(self) -> None:
        try:
            await self.engine.start()
        except Exception as error:  # noqa: BLE001 (whatever it is, the server cannot serve)
            self.failure = error
        else:
            if self.state == "starting":
                self.state = None

    async def tag(
        self,
        request: Request,
        model: str | None,
        top: int,
        thresholds: Thresholds,
        channel: int | None,
        *,
        abstain: float | None,
    ) -> dict[str, Any]:
        """Answer ``POST /v1/tag``."""
        spec = self.engine.spec(model)
        check_labels(thresholds, spec.labels, "threshold")
        if abstain is not None:
            threshold_of(spec, abstain)
        job = Job("tag", spec.name, top=top, least=thresholds, channel=channel, abstain=abstain)
        async with receive_upload(request) as upload:
            result = await self.engine.score(replace(job, name=upload.name), upload)
        self.meters.audio_s.labels("tag").inc(result.duration)
        found: dict[str, Any] = result.to_dict()
        return found

    async def detect(
        self,
        request: Request,
        model: str | None,
        thresholds: Thresholds,
        channel: int | None,
        *,
        scores: bool,
        lanes: int,
        tags: int,
    ) -> dict[str, Any]:
        """Answer ``POST /v1/detect``."""
        spec = self.engine.spec(model)
        check_labels(thresholds, spec.labels, "threshold")
        limits = thresholds.as_argument(spec.labels)
        job = Job("detect", spec.name, threshold=limits, channel=channel, scores=scores, tags=tags)
        async with receive_upload(request) as upload:
            found = await self.engine.score(replace(job, name=upload.name), upload)
        self.meters.audio_s.labels("detect").inc(found.events.duration)
        reply: dict[str, Any] = found.events.to_dict()
        if found.tags is not None:
            reply["tags"] = [score.to_dict() for score in found.tags.scores[:tags]]
        if found.scores is not None:
            reply["scores"] = _scores(found.scores) if lanes == 0 else _lanes(found.scores, found.events, lanes)
        return reply

    def models(self) -> dict[str, Any]:
        """Answer ``GET /v1/models``."""
        keys = ("name", "task", "labels", "sample_rate", "window_s", "hop_s", "thresholds")
        found = [spec.model_dump(mode="json", include=set(keys)) for spec in self.engine.specs.values()]
        rules = [spec.event_rule for spec in self.engine.specs.values()]
        models = [{**{key: v[key] for key in keys}, "events": rule} for v, rule in zip(found, rules, strict=True)]
        return {"default": self.engine.default, "models": models}


def _lanes(scores: Scores, found: DetectResult, lanes: int) -> dict[str, Any]:
    """Return the scores of labels with events and of those with the highest ones; of all others the highest score."""
    chosen, peaks = pick_lanes(scores, found.events, lanes)
    return {**_scores(chosen), "peaks": peaks}


def _scores(scores: Scores) -> dict[str, Any]:
    return {
        "labels": list(scores.labels),
        "step_s": rounded(scores.step_s),
        "times": [rounded(t) for t in scores.times.tolist()],
        "values": rounded_rows(scores.values),
    }


def json_reply(value: Any) -> Response:
    """Return a reply of JSON that nobody keeps."""
    return Response(dump(value), media_type="application/json", headers={"cache-control": "no-store"})


#: What any request under /v1/ may be answered with.
ALWAYS = refusals(400, 401, 403, 503)
_UPLOADS = refusals(400, 401, 403, 404, 408, 413, 415, 500, 503, 507)
_TEXT: dict[str, Any] = {"content": {"text/plain": {"schema": {"type": "string"}}}}


async def known_query(request: Request) -> None:
    """Refuse parameters that the route does not know, and single ones that stand twice: neither would count.

    It waits for nothing; a plain function would get a thread for each request.
    """
    known = {field.alias: field.field_info.annotation for field in request.scope["route"].dependant.query_params}
    for name in dict.fromkeys(request.query_params):
        shown = printable(name[:40])
        if name not in known:
            text = f"it takes {', '.join(known)}" if known else "it takes none"
            raise Refusal("bad_request", f"unknown parameter {shown}{nearest(name, known)}; {text}")
        if len(request.query_params.getlist(name)) > 1 and "list" not in str(known[name]):
            raise Refusal("bad_request", f"the parameter {shown} stands more than once; give it once")


def _routes(service: Service) -> FastAPI:
    """Return the application without its gate."""
    app = FastAPI(
        title="auricle",
        version=__version__,
        description="Recordings in, what is in them and when out. Live streams: WS /v1/stream, see docs/serve.md.",
        servers=[{"url": ".", "description": "where this description was read, also behind a proxy"}],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # a redirection would name the address that a proxy in front hides
        lifespan=service.lifespan,
    )
    query = [Depends(known_query)]

    @app.post("/v1/tag", openapi_extra=_BODY, dependencies=query, responses={200: {"model": TagReply}, **_UPLOADS})
    async def tag(
        request: Request,
        model: ModelName = None,
        top: Top = 5,
        threshold: ThresholdTexts = None,
        channel: ChannelNumber = None,
        abstain: Abstain = None,
    ) -> Response:
        """Say what is in a recording."""
        limits = parse_thresholds(threshold, "threshold")
        return json_reply(await service.tag(request, model, top, limits, channel, abstain=abstain))

    @app.post(
        "/v1/detect", openapi_extra=_BODY, dependencies=query, responses={200: {"model": DetectReply}, **_UPLOADS}
    )
    async def detect(
        request: Request,
        model: ModelName = None,
        threshold: ThresholdTexts = None,
        channel: ChannelNumber = None,
        scores: Annotated[bool, Query(description="Also return the scores behind the events.")] = False,
        lanes: Annotated[
            int, Query(ge=0, description="Scores of so many labels only, those with events first; 0 for all.")
        ] = 0,
        tags: Annotated[int, Query(ge=0, description="Also return so many labels with their clip scores.")] = 0,
    ) -> Response:
        """Say when sounds happen in a recording."""
        thresholds = parse_thresholds(threshold, "threshold")
        return json_reply(
            await service.detect(request, model, thresholds, channel, scores=scores, lanes=lanes, tags=tags)
        )

    @app.get("/v1/models", dependencies=query, responses={200: {"model": ModelsReply}, **ALWAYS})
    async def models() -> Response:
        """List the models."""
        return json_reply(service.models())

    @app.get("/health", responses={200: {"model": HealthReply}, 503: {"model": HealthReply}})
    async def health() -> Response:
        """Say whether requests can be served."""
        status = "ok" if service.state is None else service.state
        reply = json_reply({"status": status, "version": __version__})
        reply.status_code = 200 if service.state is None else 503
        return reply

    @app.get("/metrics", responses={200: _TEXT, **refusals(401, 403)}, response_class=Response)
    async def metrics() -> Response:
        """Return the meters in the format of Prometheus."""
        return Response(service.meters.text(), headers={"content-type": CONTENT_TYPE})

    @app.websocket(STREAM_PATH)
    async def stream(socket: WebSocket) -> None:
        await service.streams.serve(socket)

    assets = {**modules_of("serve.js"), **{name: read_asset(name) for name in ("page.css", "capture.js", "icon.svg")}}
    add_page(app, page_html(title="What can be detected?", head=_HEAD, footer=FOOTER), assets)
    add_handlers(app)
    describe_api(app)
    return app


def describe_api(app: FastAPI) -> None:
    """Let the description say what is so: malformed requests get 400 and no 422, and a token may be needed."""
    make = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            found = make()
            for operations in found["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                found["components"]["schemas"].pop(name, None)
            found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{}, {"token": []}]
            app.openapi_schema = found
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]


def add_page(app: FastAPI, markup: str, assets: Mapping[str, str]) -> None:
    """Serve a page and what it loads, read once: no request can name any other file."""
    contents = {**assets, "index.html": markup}

    def reply(name: str) -> Response:
        if name not in contents:
            raise Refusal("unknown_path", "nothing is served under this path")
        kind = _TYPES.get(name[name.rfind(".") :], "application/octet-stream")
        headers = {"content-security-policy": _POLICY, "cache-control": "no-cache"}
        return Response(contents[name], media_type=kind, headers=headers)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return reply("index.html")

    @app.get("/static/{name}", include_in_schema=False)
    async def static(name: str) -> Response:
        return reply(name if name != "index.html" else "")

    @app.get("/docs", include_in_schema=False)
    @app.get("/redoc", include_in_schema=False)
    async def docs() -> Response:
        raise Refusal(
            "unknown_path", "there is no page of documentation, which would load from elsewhere; see /openapi.json"
        )


def _said(problem: Mapping[str, Any]) -> str:
    """Return what is wrong with a field of a body, in the same words whichever way the body is declared."""
    if problem["type"] == "unexpected_keyword_argument":
        return "extra inputs are not permitted"
    return str(problem["msg"]).lower()


def add_handlers(app: FastAPI) -> None:
    """Turn every error into a coded refusal."""

    def refused(refusal: Refusal) -> Response:
        return Response(refusal.body, refusal.status, refusal.headers)

    async def expected(_request: Request, error: Exception) -> Response:
        return refused(refusal_of(error))

    async def http(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 400
        code = CODE_OF_STATUS.get(status, "bad_request")
        allow = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
        allow = allow.replace("GET", "GET, HEAD")
        texts = {"unknown_path": "nothing is served under this path", "wrong_method": f"this path takes {allow}"}
        headers = {"allow": allow} if allow else None
        return refused(Refusal(code, texts.get(code, "the request is malformed"), headers))

    async def invalid(_request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        problems = [f"{'.'.join(map(str, item['loc'][1:]))}: {_said(item)}" for item in found]
        return refused(Refusal("bad_request", "; ".join(problems) if problems else "the request is malformed"))

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[Response]]] = {
        **dict.fromkeys((Refusal, AuricleError, ClientDisconnect, Exception), expected),
        HTTPException: http,
        RequestValidationError: invalid,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
