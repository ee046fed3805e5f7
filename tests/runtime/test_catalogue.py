# SPDX-License-Identifier: Apache-2.0
"""Published models: the catalogue, and fetching, checking and removing them with a server in this process."""

from __future__ import annotations

import dataclasses
import hashlib
import http.server
import io
import json
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.cli_fixtures import auricle  # noqa: F401

from auricle.errors import DataError, UsageError
from auricle.runtime import catalogue as module
from auricle.runtime.catalogue import (
    RECORD,
    ModelFile,
    PublishedModel,
    catalogue,
    data_folder,
    fetch_model,
    fetched_model,
    remove_model,
    source_of_name,
)

WEIGHTS, TABLE = bytes(range(256)) * 1_000, b"index,mid,display_name\n0,/m/x,Owl\n"


def nothing(*_):
    """Be told of progress."""


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("AURICLE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def server(monkeypatch):
    """A server of two files, and a catalogue with one model in which they are."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            content = {"/w.pt": WEIGHTS, "/t.csv": TABLE}[self.path]
            begin = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            asked.append((self.path, begin))
            self.send_response(206 if begin else 200)
            if begin:
                self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", '"v1"')
            self.send_header("Content-Length", str(len(content) - begin))
            self.end_headers()
            self.wfile.write(content[begin:])

        def log_message(self, *words):
            pass

    found = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True).start()
    url = f"http://127.0.0.1:{found.server_port}"
    files = (
        ModelFile("w.pt", f"{url}/w.pt", len(WEIGHTS), hashlib.sha256(WEIGHTS).hexdigest()),
        ModelFile("t.csv", f"{url}/t.csv", len(TABLE), None),
    )
    model = PublishedModel("small", "A small one", "MIT", "https://x/l", "https://x", files)
    monkeypatch.setattr(module, "catalogue", lambda: {"small": model})
    yield SimpleNamespace(asked=asked, model=model)
    found.shutdown()
    found.server_close()


def with_hash(server, monkeypatch, sha256):
    first = dataclasses.replace(server.model.files[0], sha256=sha256)
    model = dataclasses.replace(server.model, files=(first, server.model.files[1]))
    monkeypatch.setattr(module, "catalogue", lambda: {"small": model})


# --- the catalogue itself


def test_the_catalogue_names_licence_size_hash_and_official_address():
    assert {"mn04_as", "mn10_as", "ast"} <= set(catalogue())
    for name, model in catalogue().items():
        assert (model.name, bool(model.licence), bool(model.homepage)) == (name, True, True)
        assert model.licence_url.startswith("https://")
        for file in model.files:
            assert file.url.startswith("https://")
            assert Path(file.name).name == file.name
            assert file.bytes > 0
            assert file.sha256 is None or len(file.sha256) == 64
    assert "unverified: no SHA-256 known" in catalogue()["ast"].terms()


@pytest.mark.shared
def test_the_hash_of_mn04_is_that_of_the_copy_at_hand(shared):
    content = (shared / "models" / "mn04_as_mAP_432.pt").read_bytes()
    assert hashlib.sha256(content).hexdigest() == catalogue()["mn04_as"].files[0].sha256
    assert len(content) == catalogue()["mn04_as"].files[0].bytes


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"XDG_DATA_HOME": "/data"}, "/data/auricle"),
        ("linux", {}, "/home/me/.local/share/auricle"),
        ("darwin", {}, "/home/me/Library/Application Support/auricle"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/auricle"),
        ("win32", {}, "/home/me/AppData/Local/auricle"),
        ("linux", {"AURICLE_HOME": "/mine"}, "/mine"),
    ],
)
def test_where_it_goes(platform, variables, expected, monkeypatch):
    for name in ("AURICLE_HOME", "XDG_DATA_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", platform)
    assert data_folder() == Path(expected)


# --- fetching


def test_a_model_is_fetched_once_and_used_by_its_name(server, home):
    found = fetch_model("small", nothing)
    assert (found.path, found.verified) == (str(home / "models" / "small" / "w.pt"), True)
    assert (Path(found.path).read_bytes(), (home / "models/small/t.csv").read_bytes()) == (WEIGHTS, TABLE)
    record = json.loads((home / "models/small" / RECORD).read_text())
    assert (record["licence"], record["sha256"]["t.csv"]) == ("MIT", hashlib.sha256(TABLE).hexdigest())
    assert source_of_name("small") == found.path
    assert fetch_model("small", nothing) == found
    assert len(server.asked) == 2
    assert remove_model("small") == home / "models" / "small"
    assert fetched_model("small") is None
    with pytest.raises(UsageError, match="small is not on this machine: auricle models fetch small"):
        source_of_name("small")
    with pytest.raises(UsageError, match="small is not on this machine; `auricle models list` shows what is"):
        remove_model("small")


def test_a_download_that_was_interrupted_continues(server, home):
    (home / "models" / "small").mkdir(parents=True)
    (home / "models" / "small" / "w.pt.part").write_bytes(WEIGHTS[:1_000])
    (home / "models" / "small" / "w.pt.part.json").write_text('{"version": "\\"v1\\""}')
    fetch_model("small", nothing)
    assert server.asked == [("/w.pt", 1_000), ("/t.csv", 0)]
    assert (home / "models/small/w.pt").read_bytes() == WEIGHTS


def test_a_file_with_another_hash_is_refused_and_does_not_stay(server, home, monkeypatch):
    with_hash(server, monkeypatch, "0" * 64)
    with pytest.raises(DataError, match=r"w.pt is not the published file(.|\n)*the catalogue says 0000"):
        fetch_model("small", nothing)
    assert not (home / "models/small/w.pt").exists()
    assert fetched_model("small") is None


def test_without_a_known_hash_it_is_recorded_and_called_unverified(server, monkeypatch):
    with_hash(server, monkeypatch, None)
    found = fetch_model("small", nothing)
    assert (found.verified, found.sha256["w.pt"]) == (False, hashlib.sha256(WEIGHTS).hexdigest())


def test_from_a_file_or_a_folder(server, home, tmp_path):
    (tmp_path / "usb").mkdir()
    (tmp_path / "usb" / "any-name.pt").write_bytes(WEIGHTS)
    fetch_model("small", nothing, tmp_path / "usb" / "any-name.pt")
    assert server.asked == [("/t.csv", 0)], "what is missing beside it is fetched"
    (tmp_path / "usb" / "w.pt").write_bytes(WEIGHTS)
    (tmp_path / "usb" / "t.csv").write_bytes(b"mine")
    fetch_model("small", nothing, tmp_path / "usb")
    assert (home / "models/small/t.csv").read_bytes() == b"mine"
    assert len(server.asked) == 1
    (tmp_path / "usb" / "w.pt").write_bytes(b"another")
    with pytest.raises(DataError, match=r"w.pt is not the published file"):
        fetch_model("small", nothing, tmp_path / "usb")
    with pytest.raises(UsageError, match=r"--from .*nowhere: no such file or folder"):
        fetch_model("small", nothing, tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"it holds no w\.pt"):
        fetch_model("small", nothing, home)


def test_names_that_are_not_known():
    with pytest.raises(UsageError, match=r"no model 'mn04' in the catalogue \(did you mean 'mn04_as'\?\); known: mn04"):
        fetch_model("mn04", nothing)
    assert source_of_name("models/mine.pt") == "models/mine.pt"


# --- the command line


def test_fetch_list_and_remove(auricle, server, home, monkeypatch):  # noqa: F811
    refused = auricle("models", "fetch", "small")
    assert refused.code == 2
    assert "licence  MIT" in refused.err
    assert "nobody is there to accept the licence: read it above, then say --yes" in refused.err
    assert server.asked == []
    done = auricle("models", "fetch", "small", "--yes", "-q")
    assert (done.code, done.out.splitlines()[0]) == (0, str(home / "models/small/w.pt"))
    assert done.out.splitlines()[1].endswith("(verified)")
    listed = auricle("models", "list").out
    assert "general" in listed
    assert listed.splitlines()[-1].split() == ["small", "0", "MIT", "known", "yes"]
    kept = auricle("models", "remove", "small")
    assert (kept.code, "say --yes to remove" in kept.err) == (2, True)
    assert auricle("models", "remove", "small", "-y").out == f"removed {home / 'models/small'}\n"


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 2)])
def test_a_person_is_asked(auricle, server, monkeypatch, answer, code):  # noqa: F811
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr("sys.stdin", Terminal(answer))
    done = auricle("models", "fetch", "small", "-q")
    assert done.code == code
    assert "Download? [y/N] " in done.err
    assert ("nothing was downloaded" in done.err) == (code == 2)
