# SPDX-License-Identifier: Apache-2.0
"""Files of strangers, and damaged ones of our own: refused by name, in little memory, and never believed."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import random
import signal
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from helpers.tinybundle import RATE, echo_graph, loudness_graph, make_bundle, make_causal_bundle, spec_values
from onnx import TensorProto, helper, load_model_from_string

from auricle.cli.guard import guarded, say
from auricle.data.arrays import array_shape, load_array
from auricle.data.fetch import archive
from auricle.data.fetch.archive import unpack
from auricle.data.fetch.dataset import RECORD, fetch
from auricle.errors import BundleError, ConfigError, DataError, InputError, RunError, UsageError
from auricle.files import FolderLock, require_writable, sha256_bytes
from auricle.journal import open_journal, start_journal
from auricle.recipe.schema import parse_yaml
from auricle.runtime.bundle import load_bundle, read_golden
from auricle.runtime.detector import load
from auricle.runtime.npz import NpzError, read_npz
from auricle.runtime.onnx_safety import check_onnx
from auricle.runtime.spec import BundleSpec

MIB = 1 << 20


def nothing(*_):
    """Be told of progress."""


# --- archives


def header(name: str, size: int, kind: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


OPENERS = {".tar.gz": gzip.open, ".tar.bz2": bz2.open, ".tar.xz": lzma.open}
#: What is compressed in pieces is one archive: a huge one is made of one piece many times.
COMPRESS = {".tar.gz": gzip.compress, ".tar.bz2": bz2.compress, ".tar.xz": lzma.compress}


def peak_mib(code: str, *words: object) -> tuple[int, str]:
    """Run Python in a process of its own; returns its largest memory in MiB and what it printed."""
    # Not ru_maxrss: that of a new process begins with its parent's.
    ending = "\nprint(int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]) >> 10)"
    line = [sys.executable, "-c", code + ending, *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return int(lines[-1]), "\n".join(lines[:-1])


UNPACK = """
import sys
from pathlib import Path
from auricle.data.fetch.archive import unpack
from auricle.errors import DataError
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[1] + ".out"), lambda *_: None)
except DataError as error:
    print(error)
"""


@pytest.mark.parametrize("ending", OPENERS)
@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XGLTYPE])
def test_a_huge_header_of_a_tar_costs_no_memory(tmp_path, ending, kind):
    path, compress = tmp_path / f"x{ending}", COMPRESS[ending]
    path.write_bytes(compress(header("x", 300 * MIB, kind)) + 300 * compress(bytes(MIB)))
    peak, text = peak_mib(UNPACK, path)
    assert peak < 200
    assert f"a header of {300 * MIB} bytes; at most {MIB} are read" in text


def test_more_members_than_any_data_set_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST_MEMBERS", 1_000)
    for ending, opener in OPENERS.items():
        path = tmp_path / f"x{ending}"
        with opener(path, "wb") as file:
            for i in range(1_001):
                file.write(header(random.Random(i).randbytes(45).hex(), 0, tarfile.REGTYPE))
            file.write(bytes(1024))
        with pytest.raises(DataError, match="it has more than 1000 members"):
            unpack(path, tmp_path / "out", nothing)
    assert not (tmp_path / "out").exists()


def test_an_xz_that_wants_too_much_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_XZ_MEMORY_BYTES", 4 * MIB)  # the usual preset asks for 9
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("a"), io.BytesIO())
    (tmp_path / "x.tar.xz").write_bytes(lzma.compress(plain.getvalue()))
    with pytest.raises(DataError, match="Memory usage limit"):
        unpack(tmp_path / "x.tar.xz", tmp_path / "out", nothing)


def test_archives_of_all_kinds_give_back_what_went_in(tmp_path):
    contents = {f"d/{i}": random.Random(i).randbytes(3_000 + i) for i in range(20)}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in contents.items():
            info = tarfile.TarInfo(name + "é" * 120)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    whole = plain.getvalue()
    packed = {
        **{"a.tar": whole, "b.tar.gz": gzip.compress(whole), "c.tar.bz2": bz2.compress(whole)},
        **{"d.tar.xz": lzma.compress(whole), "e.tar.xz": lzma.compress(whole[:9_000]) + lzma.compress(whole[9_000:])},
    }
    for name, data in packed.items():
        (tmp_path / name).write_bytes(data)
        assert unpack(tmp_path / name, tmp_path / f"{name}.out", nothing) == 0
        found = {f"d/{path.name[:-120]}": path.read_bytes() for path in (tmp_path / f"{name}.out" / "d").iterdir()}
        assert found == contents, name


@pytest.mark.parametrize("name", ["fetched.json", "Fetched.JSON", "top/fetched.json", "top/.fetch/x"])
def test_an_archive_cannot_bring_a_record_of_ours(tmp_path, name):
    report = {"name": "fsdd", "path": "/etc", "sha256": "0" * 64, "verified": True, "left_out": 0}
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(name, json.dumps({"report": report}))
        file.writestr(("top/" if "/" in name else "") + "recordings/0_a_0.wav", b"x")
    out = tmp_path / "out"
    for _ in range(2):
        with pytest.raises(DataError, match=r"esc50\.csv is not in the archive"):
            fetch("esc50", out, nothing, archive=tmp_path / "x.zip")
        assert not (out / RECORD).exists()
        assert not (out / name.rpartition("/")[2]).exists()


@pytest.mark.parametrize(
    "content", ["{}", "[1]", '{"report": {"name": "esc50"}}', '{"report": {"name": 1, "path": []', "["]
)
def test_a_damaged_record_of_a_fetch_is_named(tmp_path, content):
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(RunError, match=r"fetched\.json is damaged .* fetch the data set into another folder"):
        fetch("esc50", tmp_path, nothing)


# --- arrays


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000,",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1000,), 'descr'",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1000,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': 1000, }",
        "{'descr': [('a'], 'fortran_order': False, 'shape': (1000,), }",
        "{'descr': '<Q9', 'fortran_order': 0, 'shape': (1000,), }",
        "(" * 3_000,
        "\x00" * 50,
        "1" * 6_000,
    ],
)
def test_a_damaged_header_of_an_array_fails_this_array(tmp_path, text):
    path = tmp_path / "x.npy"
    line = text.encode("latin-1") + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + bytes(4_000))
    with pytest.raises(InputError, match=r"x\.npy") as caught:
        load_array(path)
    assert caught.value.code == "bad_array"


def test_no_mutant_of_an_array_raises_anything_else(tmp_path):
    buffer = io.BytesIO()
    np.save(buffer, np.linspace(-1, 1, 50, dtype=np.float32))
    whole, path, draw = buffer.getvalue(), tmp_path / "x.npy", random.Random(1)
    for _ in range(1_500):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            data[draw.randrange(128)] = draw.choice(b"{}()[],:'\"\\ \n\x00\xff0129#eE<fOV")
        path.write_bytes(data)
        for call in (array_shape, load_array):
            try:
                call(path)
            except InputError as error:
                assert error.message  # noqa: PT017


def npz(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def npy(values, shape=None) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    data = buffer.getvalue()
    return data if shape is None else data.replace(str(np.shape(values)).encode(), shape.encode())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (npz(a=npy(np.zeros(3_000_000, np.float32))), "that unpack to 12000128; at most 1000000 are read"),
        (npz(a=npy(np.zeros(1000, np.float32), "(9999,)")), r"declares shape \(9999,\) of float32 in 4000 bytes"),
        (npz(a=npy(np.zeros(1, np.float32), "(-1,)")), "declares shape"),
        (npz(a=b"\x93NUMPY\x01\x00\x05\x00{'a':"), "damaged"),
        (npz(a=b"nothing"), "damaged"),
        (npz(a=npy(np.zeros(9)))[:-30], "damaged"),
        (b"", "damaged"),
    ],
)
def test_an_archive_of_arrays_is_judged_before_it_is_unpacked(content, text):
    with pytest.raises(NpzError, match=text):
        read_npz(content, 1_000_000)


def test_an_archive_of_objects_is_refused():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{}], object))
    with pytest.raises(NpzError, match="of object"):
        read_npz(buffer.getvalue(), 1_000_000)


def test_an_archive_of_arrays_comes_back_as_it_was():
    wanted = {
        "a": np.arange(12.0).reshape(3, 4),
        "b": np.asfortranarray(np.eye(3, 5)),
        "c": np.float32(2),
        "d": np.array([]),
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **wanted)
    found = read_npz(buffer.getvalue(), 10_000)
    assert set(found) == set(wanted)
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


def with_golden(folder: Path, content: bytes):
    bundle = make_bundle(folder)
    values = json.loads((folder / "auricle.json").read_text())
    values.pop("own_sha256")
    values["sha256"]["golden.npz"] = sha256_bytes(content)
    (folder / "golden.npz").write_bytes(content)
    (folder / "auricle.json").write_text(json.dumps(values))
    return load_bundle(bundle.path)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (npz(waveform=npy(np.zeros(20_000_000, np.float32)), clip=npy(np.zeros((1, 2)))), "that unpack to"),
        (npz(waveform=npy(np.zeros((1, RATE), np.float32))), "has no floats clip"),
        (npz(waveform=npy(np.array(["x"])), clip=npy(np.zeros((1, 2)))), "has no floats waveform"),
        (b"PK\x03\x04", "damaged"),
    ],
)
def test_a_stored_input_that_cannot_be_used_is_a_failed_check(tmp_path, content, text):
    from auricle.cli.doctor_checks import examine_model

    bundle = with_golden(tmp_path / "m", content)
    with pytest.raises(BundleError, match=text):
        read_golden(bundle)
    checks = {check.name: check for check in examine_model(str(bundle.path))}
    assert not checks["golden scores"].ok
    assert "golden.npz" in checks["golden scores"].text


# --- recipes


@pytest.mark.parametrize(
    "text",
    [
        "when: 2023-13-01",
        "when: 0000-00-00 99:99:99",
        "n: " + "9" * 5_000,
        "x: !!int ''",
        "x: !!float word",
        "x: !!bool maybe",
        "x: !!timestamp never",
        "? [a, b]\n: 1",
        "? {a: 1}\n: 1",
        "? 2023-02-29\n: 1",
    ],
)
def test_a_value_that_yaml_cannot_make_is_named_with_its_file(text):
    with pytest.raises(ConfigError, match=r"(yard\.yaml|the recipe) (cannot be read|is not valid YAML)\n  - .+"):
        parse_yaml(text, "yard.yaml")


def test_an_override_that_yaml_cannot_make_is_named(tmp_path):
    from auricle.recipe.schema import load_recipe

    with pytest.raises(ConfigError, match=r"the value of optim\.lr cannot be read\n  - a value that YAML cannot make"):
        load_recipe(None, ["optim.lr=2021-04-31"])


# --- model folders


@pytest.mark.parametrize("name", ["a\x1b[2J", "a\rb", "a\u202eb", "\x9b31m", " ", "a\nb"])
def test_a_name_of_a_model_that_steers_the_terminal_is_refused(name):
    with pytest.raises(ValueError, match="name is empty or holds control characters"):
        BundleSpec(**spec_values(name=name))


def test_other_words_of_a_model_are_escaped_where_they_are_shown(tmp_path, capsys):
    from auricle.cli.main import main

    marks = {"license": "\x1b[31mfree", "attribution": "x\x07", "teacher": "\x9b2J", "versions": {"\x1b]0;x": "\x1b"}}
    bundle = make_bundle(tmp_path / "m", provenance=marks)
    for words in (["models", "show", str(bundle.path)], ["models", "show", str(bundle.path), "--format", "json"]):
        with pytest.raises(SystemExit):
            main(words)
    printed = capsys.readouterr()
    assert "free" in printed.out
    assert not set(printed.out + printed.err) & {"\x1b", "\x07", "\x9b", "\r"}


def test_what_is_said_on_stderr_is_escaped_line_by_line(capsys):
    say("auricle: no \x1b[2Jmodel\n  - \x9bproblem\r")
    assert capsys.readouterr().err == "auricle: no \\x1b[2Jmodel\n  - \\x9bproblem\\r\n"


def scaled(graph: bytes, factor: float) -> bytes:
    """Return a graph whose clip scores are multiplied."""
    model = load_model_from_string(graph)
    for node in model.graph.node:
        for i, name in enumerate(node.output):
            if name == "clip":
                node.output[i] = "unscaled"
    model.graph.initializer.append(helper.make_tensor("factor", TensorProto.FLOAT, [], [factor]))
    model.graph.node.append(helper.make_node("Mul", ["unscaled", "factor"], ["clip"]))
    return model.SerializeToString()


@pytest.mark.parametrize("factor", [-1.0, 1.5, 1e6])
def test_scores_that_are_none_are_refused(tmp_path, factor):
    detector = load(make_bundle(tmp_path / "m", graph=scaled(loudness_graph(), factor)).path)
    loud = np.ones(2 * RATE, np.float32)
    text = r"model\.onnx: clip holds values from .* scores lie in \[0, 1\], so the graph lacks its last layer"
    with pytest.raises(BundleError, match=text):
        detector.tag(loud, RATE)
    with pytest.raises(BundleError, match=text):
        list(detector.tag_many([loud], RATE))
    causal = make_causal_bundle(tmp_path / "c", stream=scaled(echo_graph(), factor))
    with pytest.raises(BundleError, match=r"stream\.onnx: clip holds values from"):
        load(causal.path).stream(RATE).push(loud)


def test_scores_that_rounding_brought_over_one_are_one(tmp_path):
    found = load(make_bundle(tmp_path / "m", graph=scaled(loudness_graph(), 1.0005)).path).tag(
        np.ones(RATE, np.float32), RATE
    )
    assert found.scores[0].score == 1.0


def test_an_output_of_another_type_is_refused(tmp_path):
    model = load_model_from_string(loudness_graph())
    for node in model.graph.node:
        node.output[:] = ["floats" if name == "clip" else name for name in node.output]
    model.graph.node.append(helper.make_node("Cast", ["floats"], ["clip"], to=TensorProto.INT64))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    detector = load(make_bundle(tmp_path / "m", graph=model.SerializeToString()).path)
    with pytest.raises(BundleError, match=r"clip holds int64; a bundle gives arrays of floats"):
        detector.tag(np.ones(RATE, np.float32), RATE)


def endless_loop() -> bytes:
    """Return the loudness graph with a loop whose condition stays true."""
    true = helper.make_tensor("c", TensorProto.BOOL, [], [True])
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Mul", ["x", "unit"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    model = load_model_from_string(scaled(loudness_graph(), 1.0))
    model.graph.node[-1].output[0] = "scaled"
    model.graph.node.append(helper.make_node("Constant", [], ["true"], value=true))
    model.graph.node.append(helper.make_node("Loop", ["", "true", "scaled"], ["clip"], body=body))
    return model.SerializeToString()


def inside_if(node) -> bytes:
    """Return the loudness graph with a node hidden in a branch."""
    branch = helper.make_graph([node], "branch", [], [helper.make_tensor_value_info("z", TensorProto.FLOAT, None)])
    model = load_model_from_string(loudness_graph())
    model.graph.node.append(helper.make_node("If", ["b"], ["z2"], then_branch=branch, else_branch=branch))
    return model.SerializeToString()


def test_a_loop_is_refused_wherever_it_hides(tmp_path):
    body = helper.make_graph([], "body", [], [])
    for graph in (endless_loop(), inside_if(helper.make_node("Loop", ["n", "c"], ["z"], body=body))):
        with pytest.raises(BundleError, match=r"has a loop \(operator Loop\), which need not end; export"):
            check_onnx(graph, "model.onnx")
        check_onnx(graph, "tagger.onnx", loops=True)
    with pytest.raises(BundleError, match="operator Loop"):
        make_bundle(tmp_path / "m", graph=endless_loop())


ENDLESS = """
import sys, types
sys.argv = ["auricle"]
from auricle.cli import guard, main
guard.GRACE_S = 1.0
import onnxruntime, numpy as np
session = onnxruntime.InferenceSession(open({graph!r}, "rb").read(), providers=["CPUExecutionProvider"])
def endless(words):
    print("begun", flush=True)
    session.run(["clip"], {{"waveform": np.ones((1, 1000), np.float32)}})
main.main = endless
main.run()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_command_whose_computation_does_not_return(tmp_path, number, code):
    (tmp_path / "loop.onnx").write_bytes(endless_loop())
    words = [sys.executable, "-c", ENDLESS.format(graph=str(tmp_path / "loop.onnx"))]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.5)
        process.send_signal(number)
        assert process.wait(60) == code
        assert "ended by a signal in the middle of a computation that does not return" in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


# --- journals


@pytest.fixture
def folder(tmp_path):
    start_journal(tmp_path / "journal", {"top": 5}, [{"path": f"{i}.wav"} for i in range(10)])
    return tmp_path / "journal"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"".join(data.splitlines(keepends=True)[:-1]),
        lambda data: data + b'{"path": "more.wav"}\n',
        lambda data: data.replace(b"7.wav", b"8.wav"),
        lambda data: bytes(len(data)),
        lambda data: b"",
    ],
)
def test_a_list_that_is_not_as_it_was_written_is_refused(folder, damage):
    path = folder / "inputs"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match=r"inputs( is damaged|\b.* beside it).*start anew"):
        open_journal(folder, {"top": 5})


def test_a_list_that_is_gone_is_refused(folder):
    (folder / "inputs").unlink()
    with pytest.raises(RunError, match=r"damaged, or not of the inputs beside it"):
        open_journal(folder, {"top": 5})


def test_no_damage_of_the_plan_goes_unseen(folder):
    path = folder / "plan.json"
    whole = path.read_bytes()
    for at in range(0, len(whole), 3):
        data = bytearray(whole)
        data[at] ^= 4
        path.write_bytes(data)
        if data.split() == whole.split():
            continue
        with pytest.raises((RunError, UsageError), match=r"damaged|format|start anew|no valid JSON"):
            open_journal(folder, {"top": 5})
    path.write_bytes(whole.replace(b'"items": 10', b'"items": 5'))
    with pytest.raises(RunError, match=r"plan\.json is damaged or was changed; start anew with --overwrite"):
        open_journal(folder, {"top": 5})


# --- places


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "below", Path("/proc/auricle/here"), Path("/sys/auricle")):
        with pytest.raises(RunError, match=r"cannot write there \(.+\); choose another folder"), FolderLock(place):
            pass
        with pytest.raises(RunError, match=r"cannot write there \(.+\); choose another place"):
            require_writable(place)
    require_writable(tmp_path / "new" / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (13, "it cannot be read or written by this user; choose another place, or change its permissions"),
        (30, "it cannot be read or written by this user; choose another place, or change its permissions"),
        (20, "there is no such place; check the path, or choose another"),
        (28, "free some space, or choose another place"),
    ],
)
def test_an_error_of_a_path_is_one_line_and_wrong_use(capsys, number, text):
    @guarded
    def command() -> None:
        raise OSError(number, os.strerror(number), "/mnt/x\x1b")

    with pytest.raises(typer.Exit) as caught:
        command()
    assert caught.value.exit_code == 2
    assert capsys.readouterr().err == f"auricle: /mnt/x\\x1b: {os.strerror(number)}; {text}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("crossval", "CLIPS", "--out", "PLACE"),
        ("data", "import", "CLIPS", "--out", "PLACE"),
        ("data", "synth", "--out", "PLACE"),
        ("tag", "CLIPS", "--model", "MODEL", "--out", "PLACE"),
        ("demo", "--out", "PLACE"),
        ("report", "MODEL", "--data", "CLIPS", "--out", "PLACE/report.html"),
    ],
)
def test_no_command_calls_a_place_that_cannot_be_written_unexpected(tmp_path, capsys, words):
    from auricle.cli.main import main

    names = {"CLIPS": str(tmp_path / "clips"), "MODEL": str(tmp_path / "m"), "PLACE": "/proc/auricle-out"}
    make_bundle(tmp_path / "m")
    for label in ("loud", "quiet"):
        (tmp_path / "clips" / label).mkdir(parents=True)
        for i in range(3):
            soundfile.write(tmp_path / "clips" / label / f"{i}.wav", np.full(RATE, 0.1 * (i + 1), np.float32), RATE)
    line = [word.replace("PLACE", names["PLACE"]) if "PLACE" in word else names.get(word, word) for word in words]
    with pytest.raises(SystemExit) as caught:
        main(line)
    printed = capsys.readouterr()
    assert caught.value.code == 2, printed.err
    assert "unexpected" not in printed.err
    assert "/proc/auricle-out" in printed.err
