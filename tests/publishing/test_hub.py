# SPDX-License-Identifier: Apache-2.0
"""Push and load against a stand-in of the hub: the same bytes come back, and what is not in order is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.cli_fixtures import auricle  # noqa: F401
from helpers.tinybundle import make_bundle

import auricle as library
from auricle.errors import AuricleError, BundleError, UsageError

pytest.importorskip("huggingface_hub")
from helpers.fakehub import hub_at_hand

# What huggingface_hub 2.4 does with its own client.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")


@pytest.fixture
def hub(tmp_path):
    with hub_at_hand(str(tmp_path / "cache")) as found:
        yield found


@pytest.fixture
def model(tmp_path):
    bundle = make_bundle(tmp_path / "tiny")
    (bundle.path / "README.md").write_text("---\nlibrary_name: auricle\nmodel-index: []\n---\n\n# tiny\n")
    (bundle.path / "run").mkdir()
    (bundle.path / "run" / "notes.py").write_text("print('not for the hub')")
    return str(bundle.path)


@pytest.fixture
def pushed(hub, model):
    library.push(model, "org/tiny")
    return hub.repositories["org/tiny"]


def refused(name: str = "hf:org/tiny") -> str:
    with pytest.raises(AuricleError) as caught:
        library.load(name)
    assert "\n" not in caught.value.message
    return caught.value.message


# --- push


def test_what_is_pushed_comes_back_byte_for_byte(hub, model, tmp_path):
    result = library.push(model, "org/tiny", license="apache-2.0")
    there = hub.repositories["org/tiny"]
    assert (there.private, result.private, there.kind) == (True, True, "model"), "private unless it is said otherwise"
    assert result.commit == there.names["main"]
    assert set(there.files) == {".gitattributes", "README.md", "auricle.json", "config.json", "model.onnx"}
    for file in result.files:
        assert there.files[file.name] == file.content
    for name in ("auricle.json", "model.onnx"):
        assert there.files[name] == (Path(model) / name).read_bytes()
    loaded = library.load("hf:org/tiny")
    assert loaded.bundle.path == tmp_path / "cache" / "auricle" / "hub" / "org--tiny" / result.commit
    for name in ("auricle.json", "model.onnx", "README.md"):
        assert (loaded.bundle.path / name).read_bytes() == there.files[name]
    assert sorted(path.name for path in loaded.bundle.path.iterdir()) == ["README.md", "auricle.json", "model.onnx"]
    private = {path for path in hub.tokens if "/resolve/" in path or path.startswith("/api/models/")}
    assert {hub.tokens[path] for path in private} == {"Bearer hf_of_the_test"}


def test_the_card_and_config_say_what_the_hub_looks_for(pushed, model, hub):
    front, body = pushed.files["README.md"].decode().removeprefix("---\n").split("\n---\n", 1)
    values = yaml.safe_load(front)
    assert (values["library_name"], values["pipeline_tag"]) == ("auricle", "audio-classification")
    assert "license" not in values, "only who publishes a model can give one"
    assert body.lstrip().startswith("# tiny")
    assert "auricle detect recording.wav --model hf:org/tiny" in body
    config = json.loads(pushed.files["config.json"])
    assert config["id2label"] == {"0": "loud", "1": "quiet"}
    assert (config["label2id"], config["problem_type"]) == ({"loud": 0, "quiet": 1}, "multi_label_classification")
    library.push(model, "org/other", license="mit")
    assert "license: mit" in hub.repositories["org/other"].files["README.md"].decode()


def test_a_second_push_replaces_what_the_model_has_no_more(pushed, model, hub):
    pushed.commit({**pushed.files, "old.onnx": b"x" * 10, "notes.txt": b"stays"})
    library.push(model, "org/tiny")
    assert "old.onnx" not in pushed.files
    assert pushed.files["notes.txt"] == b"stays"


def test_a_dry_run_sends_nothing_and_lists_all(auricle, hub, model):  # noqa: F811
    done = auricle("push", model, "org/tiny", "--dry-run")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()[2:6]] == [
        "README.md", "auricle.json", "config.json", "model.onnx",
    ] or "config.json" in done.out  # fmt: skip
    assert f"would go to {hub.url}/org/tiny (private)" in done.out
    assert hub.asked == []
    values = json.loads(auricle("push", model, "org/tiny", "--dry-run", "--format", "json").out)
    assert {file["name"] for file in values["files"]} == {"README.md", "auricle.json", "config.json", "model.onnx"}


def test_what_is_not_pushed(auricle, hub, model, monkeypatch):  # noqa: F811
    (Path(model) / "model.onnx").write_bytes(b"changed")
    done = auricle("push", model, "org/tiny")
    assert (done.code, hub.asked) == (2, [])
    assert "model.onnx is damaged or was changed" in done.err
    assert "leave @v1 out" in auricle("push", "esc10", "org/tiny@v1").err
    assert "is not the name of a model on the hub" in auricle("push", "esc10", "tiny").err


def test_who_is_not_logged_in_is_told_how(hub, model, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nowhere")
    with pytest.raises(UsageError, match=r"org/tiny: the hub refused it: .*; log in: hf auth login, or set HF_TOKEN"):
        library.push(model, "org/tiny")


def test_a_repository_that_is_public_is_not_pushed_to_unasked(pushed, model):
    pushed.private = False
    with pytest.raises(UsageError, match="org/tiny is there already and is public: say --public"):
        library.push(model, "org/tiny")
    library.push(model, "org/tiny", public=True)


def test_a_hub_that_holds_something_else_afterwards(hub, model):
    library.push(model, "org/tiny")
    there = hub.repositories["org/tiny"]
    kept = there.commit

    def commit(files):
        return kept({**files, "config.json": b"{}"})

    there.commit = commit
    with pytest.raises(UsageError, match=r"org/tiny: config.json is not on the hub as it was sent; push again"):
        library.push(model, "org/tiny", license="mit")


# --- load


def test_a_revision_is_a_commit_a_tag_or_a_branch(pushed, model, hub):
    first = pushed.names["main"]
    pushed.names["v1"] = first
    library.push(model, "org/tiny", license="mit")
    assert pushed.names["main"] != first
    for name in (f"hf:org/tiny@{first}", "hf:org/tiny@v1"):
        assert library.load(name).bundle.path.name == first
    assert library.load("hf:org/tiny").bundle.path.name == pushed.names["main"]
    assert refused("hf:org/tiny@v9").startswith("hf:org/tiny@v9 could not be fetched from the hub: ")
    assert refused("hf:org/gone").startswith("hf:org/gone could not be fetched from the hub: ")


def test_a_file_that_was_changed_on_the_hub(pushed):
    pushed.commit({**pushed.files, "model.onnx": pushed.files["model.onnx"] + b"x"})
    text = refused()
    assert text.startswith("hf:org/tiny: model.onnx is damaged or was changed: its ")
    assert text.endswith("; ask whoever published it")
    assert refused() == text, "nothing of it is kept"


def test_a_hash_that_was_changed_on_the_hub(pushed):
    values = json.loads(pushed.files["auricle.json"])
    values["sha256"]["model.onnx"] = "0" * 64
    pushed.commit({**pushed.files, "auricle.json": json.dumps(values).encode()})
    assert "auricle.json is damaged or was changed" in refused()
    del values["own_sha256"]
    pushed.commit({**pushed.files, "auricle.json": json.dumps(values).encode()})
    assert "auricle.json says 000000000000…" in refused()


@pytest.mark.parametrize(
    "where", ["http://127.0.0.1:1/model.onnx", "https://evil.example/x", "http://huggingface.co/x"]
)
def test_a_file_that_leads_to_another_host(pushed, hub, where):
    hub.leads["model.onnx"] = where
    host = where.split("/")[2].split(":")[0]
    assert refused() == f"hf:org/tiny: model.onnx leads to the host {host}, which is not of the hub"


@pytest.mark.parametrize("name", ["../evil.json", "/etc/passwd", "a/../../b.json", "C:\\x.json"])
def test_a_name_that_leads_out_of_the_repository(pushed, name):
    pushed.commit({**pushed.files, name: b"{}"})
    assert "hf:org/tiny: the repository names a file outside of itself: " in refused()


def test_a_specification_that_lists_a_file_outside(pushed):
    values = json.loads(pushed.files["auricle.json"])
    values["sha256"]["../evil.onnx"] = "0" * 64
    del values["own_sha256"]
    pushed.commit({**pushed.files, "auricle.json": json.dumps(values).encode()})
    with pytest.raises(BundleError, match="evil"):
        library.load("hf:org/tiny")


@pytest.mark.parametrize("name", ["model.py", "weights.pkl", "pytorch_model.bin", "code/x.PT", "run.sh"])
def test_code_and_pickles(pushed, hub, name):
    pushed.commit({**pushed.files, name: b"x"})
    asked = len(hub.asked)
    assert refused() == (
        f"hf:org/tiny: the repository holds {name}: code, or a pickle that can run code. Models of auricle hold none; "
        "`auricle models import` takes checkpoints of others"
    )
    assert [path for _, path in hub.asked[asked:] if "resolve" in path] == [], "nothing was fetched"


def test_a_repository_of_others(pushed):
    pushed.commit({"config.json": b"{}", "model.safetensors": b"x"})
    assert "is no model of auricle: it has no auricle.json. A model of others: `auricle models import" in refused()


def test_a_file_that_is_listed_and_missing(pushed):
    pushed.commit({name: content for name, content in pushed.files.items() if name != "model.onnx"})
    assert refused() == "hf:org/tiny: auricle.json lists model.onnx, which is not in the repository"


def test_offline_the_last_copy_is_used(pushed, hub, monkeypatch):
    path = library.load("hf:org/tiny").bundle.path
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    asked = len(hub.asked)
    assert library.load("hf:org/tiny").bundle.path == path
    assert library.load(f"hf:org/tiny@{path.name}").bundle.path == path
    assert len(hub.asked) == asked
    assert "hf:org/other is not in " in refused("hf:org/other")
    assert "fetch it once with a network" in refused("hf:org/tiny@v7")


def test_a_hub_that_cannot_be_reached(pushed, monkeypatch, caplog):
    path = library.load("hf:org/tiny").bundle.path
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:1")
    assert library.load("hf:org/tiny").bundle.path == path
    assert "the hub cannot be reached" in caplog.text


def test_without_its_client_the_hub_is_explained(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"needs huggingface_hub: pip install 'auricle\[hub\]'"):
        library.load("hf:org/name")


def test_tag_from_the_hub(pushed, auricle, tmp_path):  # noqa: F811
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.full(2_000, 0.5, np.float32), 1_000, subtype="FLOAT")
    done = auricle("tag", tmp_path / "a.wav", "--model", "hf:org/tiny@main", "--format", "json")
    assert json.loads(done.out)["scores"][0] == {"label": "loud", "score": 0.5, "share": 1.0}


def test_a_push_needs_no_torch(model):
    code = (
        "import sys; sys.modules['torch'] = sys.modules['huggingface_hub'] = None; import auricle;"
        f"print(len(auricle.push({model!r}, 'org/tiny', dry_run=True).files))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("4\n", "")


# --- Spaces


def test_a_space_is_the_site_of_the_model(hub, model, monkeypatch, tmp_path):
    monkeypatch.setattr("auricle.exporting.web.read_engine", lambda content, where: {"ort.wasm.min.js": b"engine"})
    monkeypatch.setattr("auricle.exporting.web._read", lambda path: b"")
    result = library.push(model, "org/page", space=True, tarball=tmp_path / "ort.tgz")
    there = hub.repositories["org/page"]
    assert (there.kind, there.details["sdk"], result.url) == ("space", "static", f"{hub.url}/spaces/org/page")
    front = yaml.safe_load(there.files["README.md"].decode().split("---\n")[1])
    assert (front["sdk"], front["app_file"], front["title"]) == ("static", "index.html", "tiny")
    assert {"index.html", "site.js", "model.onnx", "auricle.json", "ort/ort.wasm.min.js"} <= set(there.files)
    assert there.files["model.onnx"] == (Path(model) / "model.onnx").read_bytes()
