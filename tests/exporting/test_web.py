# SPDX-License-Identifier: Apache-2.0
"""The static site as files; ``test_web_in_browser`` runs it."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
import urllib.error

import pytest
from helpers.tinybundle import make_bundle

from auricle import api
from auricle.errors import RunError, UsageError
from auricle.exporting import web
from auricle.webpage.assets import modules_of


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the right shape; the pinned hash is made its own."""
    path = tmp_path / "engine.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name in (*web.RUNTIME_FILES, "other.js"):
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(name)
            archive.addfile(member, io.BytesIO(name.encode()))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    monkeypatch.setattr(web, "RUNTIME_INTEGRITY", f"sha512-{digest}")
    return path


@pytest.fixture
def model(tmp_path):
    return make_bundle(tmp_path / "model").path


def test_the_site_holds_the_page_the_model_and_the_engine(model, package, tmp_path, monkeypatch):
    monkeypatch.setattr(web.urllib.request, "urlopen", lambda *_, **__: pytest.fail("--from needs no network"))
    site = api.export_site(model, tmp_path / "site", tarball=package)
    files = {str(path.relative_to(tmp_path / "site")) for path in (tmp_path / "site").rglob("*") if path.is_file()}
    pages = {"index.html", "page.css", "icon.svg", "capture.js", "offline.js", *modules_of("site.js")}
    engine = {f"ort/{name}" for name in web.RUNTIME_FILES} | {"ort/LICENSE.txt"}
    assert files == pages | engine | {"site.json", "auricle.json", "model.onnx"}
    kept = json.loads(re.search(r"FILES = (\[.*\]);", (tmp_path / "site/offline.js").read_text())[1])
    assert set(kept) == files - {"offline.js", "ort/LICENSE.txt"} | {"."}
    assert (tmp_path / "site/model.onnx").read_bytes() == (model / "model.onnx").read_bytes()
    stated = json.loads((tmp_path / "site/site.json").read_text())
    assert (stated["network"], stated["precision"], stated["runtime"]) == ("model.onnx", "float32", web.RUNTIME_VERSION)
    assert site.size == sum((tmp_path / "site" / name).stat().st_size for name in files)


def test_every_file_that_the_page_names_is_there_and_none_is_elsewhere():
    pages = web.page_files("yard")
    text = "".join(pages.values()).replace("http://www.w3.org/", "")
    assert "Content-Security-Policy" in pages["index.html"]
    assert re.findall(r"https?://", text) == []
    named = set(re.findall(r'(?:src|href)="([^":#]+)"', pages["index.html"]))
    named |= set(re.findall(r'"\./([\w.]+)"', text))
    assert named - {"ort/ort.wasm.min.js"} == set(pages) - {"index.html"}
    assert "offline.js" in pages["site.js"]


def test_another_model_is_kept_under_another_version(tmp_path, package):
    def version(name, **changes):
        api.export_site(make_bundle(tmp_path / name, **changes).path, tmp_path / f"site-{name}", tarball=package)
        return re.search(r'VERSION = "(\w{16})"', (tmp_path / f"site-{name}/offline.js").read_text())[1]

    assert version("a") != version("b", thresholds={"loud": 0.25, "quiet": 0.5})


def test_boxes_are_refused_with_the_way_out(package, tmp_path):
    path = make_bundle(tmp_path / "boxes", postprocess={"boxes": {}}).path
    text = r"boxes makes events from change points \(postprocess\.boxes\), which the page cannot"
    with pytest.raises(UsageError, match=text):
        api.export_site(path, tmp_path / "site", tarball=package)


def test_another_package_is_refused(model, tmp_path):
    other = tmp_path / "other.tgz"
    other.write_bytes(b"something else")
    text = rf"^\S+other.tgz is not onnxruntime-web {re.escape(web.RUNTIME_VERSION)}: it has sha512-.*; get https://registry"
    with pytest.raises(UsageError, match=text):
        api.export_site(model, tmp_path / "site", tarball=other)
    assert not (tmp_path / "site").exists()
    with pytest.raises(UsageError, match=r"none.tgz cannot be read \(No such file or directory\); get it from https"):
        api.export_site(model, tmp_path / "site", tarball=tmp_path / "none.tgz")


def test_without_a_network_the_way_out_is_named(model, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(web.urllib.request, "urlopen", fail)
    text = r"onnxruntime-web-\S+tgz could not be fetched \(no route to host\); get it .* and give it with --from FILE$"
    with pytest.raises(UsageError, match=text):
        api.export_site(model, tmp_path / "site")


def test_what_comes_from_the_registry_is_checked_too(model, tmp_path, monkeypatch):
    monkeypatch.setattr(web.urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"<html>"))
    with pytest.raises(
        UsageError, match=rf"^https://registry\S+ is not onnxruntime-web {re.escape(web.RUNTIME_VERSION)}"
    ):
        api.export_site(model, tmp_path / "site")


def test_a_folder_in_use_and_a_missing_form_are_refused(model, package, tmp_path):
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("mine")
    with pytest.raises(RunError, match=r"site is not empty \(it holds index.html\); choose a new folder$"):
        api.export_site(model, tmp_path / "site", tarball=package)
    with pytest.raises(UsageError, match=r"has no int8 form; make it with --int8, in the same call or before$"):
        api.export_site(model, tmp_path / "other", precision="int8", tarball=package)
