# SPDX-License-Identifier: Apache-2.0
"""How a server may be asked: methods, parameters, pages of other sites, proxies in front, and what each reply says."""

from __future__ import annotations

import json
import re

import pytest
from helpers.serving import error_of, read_reply, running, wait_for
from pydantic import TypeAdapter
from websockets.exceptions import InvalidStatus

from auricle.errors import FAILURE_CODES, REQUEST_CODES, UsageError
from auricle.server.origins import parse_origin
from auricle.server.schemas import DetectReply, ErrorReply, HealthReply, ModelsReply, TagReply
from auricle.server.settings import Settings

TOKEN = "a-token-of-many-characters"
PAGE = "https://lab.example"
KNOWN_CODES = {*FAILURE_CODES, *REQUEST_CODES}


# --- methods


@pytest.mark.parametrize("path", ["/health", "/", "/static/page.css", "/metrics", "/v1/models", "/openapi.json"])
def test_head_answers_as_get_does_without_a_body(tiny, path):
    got = tiny.get(path)
    with tiny.client() as client:
        asked = client.head(path)
        again = client.head(path)  # the connection is still in step
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-type"] == got.headers["content-type"]
    assert again.status_code == 200
    if path != "/metrics":
        assert asked.headers["content-length"] == str(len(got.content))


def test_head_is_refused_as_get_is(tiny, gate_only):
    with gate_only(token=TOKEN) as server, server.client() as client:
        assert client.head("/v1/models").status_code == 401
        assert client.head("/health").status_code == 200
    with tiny.client() as client:
        refused = client.head("/v1/tag")
        assert (refused.status_code, refused.headers["allow"], refused.content) == (405, "POST", b"")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/v1/detect", "POST"), ("POST", "/health", "GET, HEAD"), ("DELETE", "/v1/models", "GET, HEAD")],
)
def test_a_wrong_method_says_which_one_is_right(tiny, method, path, allowed):
    with tiny.client() as client:
        response = client.request(method, path)
    assert (response.status_code, error_of(response)) == (405, "wrong_method")
    assert response.headers["allow"] == allowed
    assert response.json()["error"]["message"] == f"this path takes {allowed}"


# --- parameters


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "/v1/detect?treshold=0.4",
            "unknown parameter treshold (did you mean 'threshold'?); it takes model, ",
        ),
        ("/v1/tag?scores=true", "unknown parameter scores; it takes model, top, threshold"),
        ("/v1/tag?top=1&top=2", "the parameter top stands more than once; give it once"),
        ("/v1/detect?tags=-1", "tags: input should be greater than or equal to 0"),
        ("/v1/detect?threshold=0,5", "threshold 0,5: expected a number from 0 to 1"),
        ("/v1/tag?threshold=cat%3D0.5", "threshold cat=...: the model has no such label"),
    ],
)
def test_wrong_parameters_are_refused_with_what_is_right(tiny, wav, path, message):
    response = tiny.post(path, wav)
    assert (response.status_code, error_of(response)) == (400, "bad_request")
    assert response.json()["error"]["message"].startswith(message)


def test_a_list_of_models_takes_no_parameters(tiny):
    response = tiny.get("/v1/models?model=tiny")
    assert response.status_code == 400
    assert response.json()["error"]["message"] == "unknown parameter model; it takes none"
    assert tiny.get("/health?time=123").status_code == 200, "supervisors append what they like"


def test_parameters_in_a_form_would_not_count_and_are_refused(tiny, wav):
    with tiny.client() as client:
        response = client.post("/v1/detect", files={"file": ("a.wav", wav)}, data={"threshold": "0.4"})
    assert (response.status_code, error_of(response)) == (400, "bad_request")
    message = response.json()["error"]["message"]
    assert message == "the field threshold of the form is not used; parameters go into the query: ?threshold=..."


def test_a_stream_with_a_query_is_refused_before_it_opens(tiny):
    from websockets.sync.client import connect

    with pytest.raises(InvalidStatus) as caught, connect(f"ws://127.0.0.1:{tiny.port}/v1/stream?model=x", proxy=None):
        pass
    found = json.loads(caught.value.response.body)["error"]
    assert (caught.value.response.status_code, found["code"]) == (400, "bad_request")
    assert found["message"] == "a stream takes no query; its parameters stand in its first message"


# --- pages of other sites


@pytest.fixture(scope="module")
def guarded(bundle):
    """A server with a token that one page may use, and a proxy under a name and port."""
    with running([str(bundle.path)], token=TOKEN, origins=(PAGE, "http://Proxy.Example:8080/")) as found:
        wait_for(lambda: found.service.state is None)
        yield found


def test_an_allowed_page_may_read_replies_and_refusals(guarded, wav):
    headers = {"origin": PAGE, "authorization": f"Bearer {TOKEN}"}
    for response in (
        guarded.get("/v1/models", headers=headers),
        guarded.post("/v1/tag", wav, headers=headers),
        guarded.post("/v1/tag", b"nonsense", headers=headers),
        guarded.get("/v1/models", headers={"origin": PAGE}),
    ):
        assert response.headers["access-control-allow-origin"] == PAGE, response.status_code
        assert response.headers["vary"] == "Origin"
    assert response.status_code == 401


def test_a_browser_that_asks_before_needs_no_token(guarded):
    headers = {
        **{"origin": "http://proxy.example:8080", "access-control-request-method": "POST"},
        **{"access-control-request-headers": "authorization", "access-control-request-private-network": "true"},
    }
    with guarded.client() as client:
        response = client.options("/v1/detect", headers=headers)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["access-control-allow-origin"] == "http://proxy.example:8080"
    assert response.headers["access-control-allow-headers"] == "authorization, content-type"
    assert "POST" in response.headers["access-control-allow-methods"]
    assert response.headers["access-control-allow-private-network"] == "true"


@pytest.mark.parametrize("origin", ["https://evil.example", "http://lab.example", f"{PAGE}.evil.example", "null"])
def test_no_other_page_gets_a_word(guarded, origin):
    asking = {"origin": origin, "access-control-request-method": "POST"}
    with guarded.client() as client:
        for response in (
            client.get("/v1/models", headers={"origin": origin, "authorization": f"Bearer {TOKEN}"}),
            client.options("/v1/tag", headers=asking),
        ):
            assert (response.status_code, error_of(response)) == (403, "forbidden")
            assert "access-control-allow-origin" not in response.headers


def test_the_own_page_needs_no_such_headers(tiny):
    response = tiny.get("/v1/models", headers={"origin": tiny.url})
    assert response.status_code == 200
    assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://lab.example", "https://lab.example"),
        ("HTTPS://LAB.example:443/", "https://lab.example"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://münchen.example:8443", "https://xn--mnchen-3ya.example:8443"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
def test_origins_are_those_that_browsers_send(text, origin):
    assert parse_origin(text) == origin
    assert Settings(origins=(text,)).origins == (origin,)


@pytest.mark.parametrize(
    "text",
    ["lab.example", "*", "https://*.lab.example", "https://lab.example/page", "https://a.b, https://c.d", "null", ""],
)
def test_what_is_no_origin_is_refused_at_the_start(text):
    with pytest.raises(UsageError, match=r"is no origin; give scheme and name of the page's address.*https://lab"):
        Settings(origins=(text,))


# --- proxies


@pytest.mark.parametrize(
    "host", ["lab.example", "LAB.example.", "lab.example:443", "proxy.example", "proxy.example:8080"]
)
def test_the_host_of_a_named_proxy_is_served(guarded, host):
    headers = {"host": host, "authorization": f"Bearer {TOKEN}"}
    assert guarded.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "lab.example.evil.example", "xlab.example", "proxy"])
def test_another_host_is_not(guarded, host):
    response = guarded.get("/v1/models", headers={"host": host, "authorization": f"Bearer {TOKEN}"})
    assert (response.status_code, error_of(response)) == (403, "forbidden")
    assert "--origin" in response.json()["error"]["message"]
    assert (
        guarded.get("/health", headers={"host": "evil.example", "x-forwarded-host": "lab.example"}).status_code == 403
    )


def test_nothing_of_the_page_leaves_the_folder_that_a_proxy_serves(tiny):
    """Addresses that begin with / would name the proxy's root; so would a redirection."""
    html = tiny.get("/").text
    names = re.findall(r'(?:src|href|action|poster|data)="([^"#]+)"', html)
    assert {"static/serve.js", "static/page.css"} <= set(names)
    texts = [tiny.get(f"/{name}").text for name in names] + [
        tiny.get(f"/static/{name}.js").text
        for name in ("page", "live", "server", "downloads", "timeline", "picture", "sound", "table", "capture")
    ]
    for text in [html, *texts]:
        assert re.findall(r"""["'`(](?:\$\{[^}]*\})?/(?:static|v1|health|metrics)""", text) == []
    assert all(not name.startswith(("/", "http")) for name in names)
    assert tiny.get("/openapi.json").json()["servers"][0]["url"] == "."
    assert tiny.get("/v1/models/").status_code == 404


# --- what replies say


@pytest.mark.parametrize(
    ("path", "shape"), [("/v1/models", ModelsReply), ("/health", HealthReply)], ids=["models", "health"]
)
def test_replies_have_their_described_shape(tiny, path, shape):
    TypeAdapter(shape).validate_json(tiny.get(path).content)


def test_results_have_their_described_shape(tiny, wav):
    TagReply.model_validate_json(tiny.upload("/v1/tag", wav).content)
    DetectReply.model_validate_json(tiny.post("/v1/detect", wav).content)
    whole = DetectReply.model_validate_json(tiny.upload("/v1/detect?scores=true&tags=2", wav).content)
    assert whole.tags is not None
    assert whole.scores is not None
    assert [tag.label for tag in whole.tags] == ["quiet", "loud"]
    ErrorReply.model_validate_json(tiny.post("/v1/detect", b"x").content)


def test_detect_gives_the_scores_of_tag_on_request(tiny, wav):
    found = tiny.upload("/v1/detect?tags=1", wav).json()
    assert found.pop("tags") == tiny.upload("/v1/tag?top=1", wav).json()["scores"]
    assert found == tiny.upload("/v1/detect", wav).json()


def test_the_description_says_what_comes_back(tiny):
    described = tiny.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    for path, method, shape in (
        ("/v1/tag", "post", "TagReply"),
        ("/v1/detect", "post", "DetectReply"),
        ("/v1/models", "get", "ModelsReply"),
        ("/health", "get", "HealthReply"),
    ):
        responses = described["paths"][path][method]["responses"]
        assert responses["200"]["content"]["application/json"]["schema"] == {"$ref": f"#/components/schemas/{shape}"}
        assert "422" not in responses
        assert shape in schemas
    uploads = described["paths"]["/v1/tag"]["post"]["responses"]
    assert {"400", "401", "403", "404", "408", "413", "415", "500", "503", "507"} < set(uploads)
    assert "`empty_file`" in uploads["400"]["description"]
    assert "`too_long`" in uploads["413"]["description"]
    assert uploads["400"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorReply"}
    assert not {"HTTPValidationError", "ValidationError"} & set(schemas)
    assert described["components"]["securitySchemes"]["token"] == {"type": "http", "scheme": "bearer"}


@pytest.mark.parametrize("path", ["/docs", "/redoc"])
def test_there_is_no_page_of_documentation_and_it_says_why(tiny, path):
    response = tiny.get(path)
    assert (response.status_code, error_of(response)) == (404, "unknown_path")
    assert response.json()["error"]["message"].endswith("see /openapi.json")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n\r\n",
        b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 8\r\n\r\n",
        b"PUT /v1/tag HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        b"GET /%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_whatever_is_refused_has_a_code_of_the_closed_set(tiny, head):
    reply = read_reply(tiny.raw(head.replace(b"\r\n\r\n", b"\r\nX: y\r\n\r\n") if b"Host" in head else head))
    start, _, body = reply.partition(b"\r\n\r\n")
    assert 400 <= int(start.split(b" ")[1]) < 500
    assert b"content-type: application/json" in start.lower()
    assert json.loads(body)["error"]["code"] in KNOWN_CODES
