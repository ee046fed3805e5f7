# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import io
import os
import struct

import numpy as np
import pytest

from auricle.data import arrays
from auricle.data.arrays import array_shape, array_spec, load_array, read_features_file
from auricle.data.problems import Problems
from auricle.errors import InputError
from auricle.results import Flag


def failure_of(path, *args, **options):
    with pytest.raises(InputError) as caught:
        load_array(path, *args, **options)
    return caught.value.code, caught.value.message


@pytest.fixture
def save(tmp_path):
    """Save an array: ``save(values) -> path``."""

    def make(values, name="a.npy"):
        np.save(tmp_path / name, values, allow_pickle=True)
        return tmp_path / name

    return make


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<f2"])
def test_floats_of_any_width_and_byte_order_become_native_float32(save, dtype):  # N4
    values = np.array([0.5, -0.25, 0.0], dtype)
    loaded = load_array(save(values))
    assert loaded.values.dtype == np.float32
    assert loaded.values.dtype.isnative
    np.testing.assert_array_equal(loaded.values, [0.5, -0.25, 0.0])
    assert loaded.flags == ()


def test_fortran_order_is_converted(save):  # N4
    values = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    loaded = load_array(save(values), "logmel").values
    assert loaded.flags.c_contiguous
    np.testing.assert_array_equal(loaded, [[0, 1, 2], [3, 4, 5]])


def test_the_result_does_not_depend_on_the_file_any_more(save):
    path = save(np.ones(4, np.float32))
    values = load_array(path).values
    path.unlink()
    values[0] = 7
    np.testing.assert_array_equal(values, [7, 1, 1, 1])


def test_objects_and_pickles_are_never_opened(tmp_path, save, write):  # N1
    assert failure_of(save(np.array([{"a": 1}], object)))[0] == "unsafe_pickle"
    for name in ("a.pt", "b.pth", "c.npy"):
        code, message = failure_of(write(tmp_path / name, b"\x80\x04\x95rest of a pickle"))
        assert code == "unsafe_pickle"
        assert "torch.load(sys.argv[1], weights_only=True)" in message


@pytest.mark.parametrize(
    ("dtype", "scale"), [(np.int16, "3.05176e-05"), (np.int32, "4.65661e-10"), (np.uint8, "0.0078125")]
)
def test_integers_are_refused_with_both_readings(save, dtype, scale):  # N2
    code, message = failure_of(save(np.array([1, 2], dtype)))
    assert code == "bad_array"
    assert message == (
        f"a.npy: {np.dtype(dtype).name} is either PCM (scale {scale}) or values as they stand (scale 1); "
        "say which with 'scale' in features.json"
    )


def test_a_stated_scale_is_used(save):  # N2
    loaded = load_array(save(np.array([-32768, 16384], np.int16)), scale=1 / 32768)
    np.testing.assert_array_equal(loaded.values, [-1, 0.5])


@pytest.mark.parametrize("values", [np.array([True]), np.array([1j]), np.array(["x"])])
def test_other_types(save, values):  # N2
    code, message = failure_of(save(values))
    assert code == "bad_array"
    assert message.endswith("expected float32")


@pytest.mark.parametrize(
    ("shape", "kind", "text"),
    [
        ((2, 9), "waveform", "shape (2, 9) (2 channels of 9 samples, or 9 of 2); a waveform is mono, shape (time,)"),
        ((), "waveform", "shape () (unclear); a waveform is mono, shape (time,)"),
        ((9,), "logmel", "shape (9,); a log-mel has shape (mel, frame)"),
        ((9, 4), "logmel", "shape (9, 4), but the front end has 4 mels first; it reads as (frame, mel): save array.T"),
        ((3, 9), "logmel", "shape (3, 9), but the front end has 4 mels first"),
    ],
)
def test_wrong_shapes_say_how_they_read(save, shape, kind, text):  # N3
    assert failure_of(save(np.zeros(shape, np.float32)), kind, n_mels=4) == ("bad_array", f"a.npy: {text}")


def test_cut_and_padded_files(tmp_path, save):  # N5
    whole = save(np.zeros(100, np.float32)).read_bytes()
    path = tmp_path / "b.npy"
    for cut in (len(whole) - 1, 200, 130):
        path.write_bytes(whole[:cut])
        assert failure_of(path) == ("bad_array", f"b.npy is truncated: {cut} of 528 bytes")
    path.write_bytes(whole[:40])
    assert failure_of(path)[1].startswith("b.npy: damaged NumPy header")
    path.write_bytes(whole + b"x")
    assert failure_of(path) == ("bad_array", "b.npy is longer than declared: 529 of 528 bytes")
    path.write_bytes(b"")
    assert failure_of(path) == ("empty_file", "b.npy has 0 bytes")


@pytest.mark.parametrize("count", [10**12, 10**30])
def test_a_header_that_claims_terabytes_allocates_nothing(tmp_path, count):  # N6
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({count},), }}".encode().ljust(117) + b"\n"
    path = tmp_path / "huge.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"\0" * 64)
    assert failure_of(path) == ("bad_array", f"huge.npy is truncated: 192 of {128 + 4 * count} bytes")


def test_headers_are_data_never_code(tmp_path):
    header = b"__import__('os').system('touch pwned')".ljust(117) + b"\n"
    path = tmp_path / "evil.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header)
    assert failure_of(path)[0] == "bad_array"


def test_archives_are_refused_unread(tmp_path):  # N7
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.zeros(10**6, np.float32))
    (tmp_path / "bomb.npy").write_bytes(buffer.getvalue())
    assert failure_of(tmp_path / "bomb.npy") == (
        "bad_array", "bomb.npy is a zip (.npz) archive; save the one array with numpy.save",
    )  # fmt: skip


def test_other_content(tmp_path, write):
    assert failure_of(write(tmp_path / "a.npy", "hello"))[1] == "a.npy is no NumPy file; save the array with numpy.save"
    assert failure_of(tmp_path / "none.npy") == ("not_found", "none.npy: no such file")
    os.mkfifo(tmp_path / "pipe.npy")
    assert failure_of(tmp_path / "pipe.npy") == ("not_regular", "pipe.npy is not a regular file")
    (tmp_path / "v9.npy").write_bytes(b"\x93NUMPY\x03\x00" + b"\0" * 20)
    assert failure_of(tmp_path / "v9.npy")[1] == "v9.npy: format version (3, 0) holds records, not one plain array"


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (PermissionError(13, "Permission denied"), ("permission", "a.npy is not readable for this user")),
        (OSError(5, "Input/output error"), ("io_error", "a.npy: Input/output error")),
    ],
)
def test_what_the_file_system_refuses(save, monkeypatch, error, answer):
    path = save(np.zeros(3, np.float32))

    def refuse(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(arrays, "_refuse_foreign", refuse)
        assert failure_of(path) == answer


def test_no_values(save):
    assert failure_of(save(np.zeros(0, np.float32))) == ("no_audio", "a.npy: shape (0,) holds no values")


def test_a_length_limit(save, monkeypatch):
    monkeypatch.setattr(arrays, "MAX_VALUES", 3)
    assert failure_of(save(np.zeros(4, np.float32))) == ("too_long", "a.npy holds 4 values; at most 3 are read")


def test_a_few_bad_samples_are_zeroed_and_flagged(save):  # N8
    values = np.full(200, 0.5, np.float32)
    values[[3, 7]] = np.nan, -np.inf
    loaded = load_array(save(values))
    assert loaded.flags == (Flag("nonfinite", {"count": 2}),)
    assert loaded.values[[3, 7]].tolist() == [0, 0]
    values[9] = np.inf
    assert failure_of(save(values)) == (
        "nonfinite", "a.npy: 3 of 200 values are NaN or infinite; at most 1% of a waveform may be",
    )  # fmt: skip


def test_no_bad_value_of_a_logmel_is_tolerated(save):
    values = np.zeros((4, 100), np.float32)
    values[0, 0] = np.nan
    assert failure_of(save(values), "logmel")[0] == "nonfinite"


def test_a_double_beyond_float32_counts_as_infinite(save):
    assert failure_of(save(np.array([1e300])))[0] == "nonfinite"


def test_integers_saved_as_floats_are_seen_by_their_peak(save):  # N2
    code, message = failure_of(save(np.array([12000.0, -3.0], np.float32)))
    assert (code, message) == (
        "out_of_range", "a.npy: peak 12000; a waveform peaks near 1, so divide by its full scale",
    )  # fmt: skip


def test_shape_needs_no_values(save):
    assert array_shape(save(np.zeros((3, 5), np.float32)), "logmel") == (3, 5)


class TestFeaturesFile:
    def read(self, folder, text, write, **options):
        write(folder / "features.json", text)
        problems = Problems()
        spec = array_spec(folder, problems, **options)
        return spec, problems.lines()

    def test_a_waveform(self, tmp_path, write):
        spec, problems = self.read(tmp_path, '{"kind": "waveform", "sample_rate": 8000, "scale": 0.5}', write)
        assert (spec.kind, spec.sample_rate, spec.scale, problems) == ("waveform", 8000, 0.5, [])

    def test_no_file(self, tmp_path):
        assert read_features_file(tmp_path, Problems()) is None

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ('{"kind": "mfcc", "sample_rate": 8000}', "features.json: kind: Input should be 'waveform' or 'logmel'"),
            ('{"kind": "waveform"}', "features.json: sample_rate: Field required"),
            ('{"kind": "waveform", "sample_rate": 8000, "x": 1}', "features.json: x: Extra inputs are not permitted"),
            ("{", "features.json cannot be read: Expecting property name"),
            ("[]", "features.json: the content: Input should be a valid dictionary"),
            (b"\xff", "features.json cannot be read: 'utf-8' codec can't decode"),
        ],
    )
    def test_faults(self, tmp_path, write, text, problem):
        spec, problems = self.read(tmp_path, text, write)
        assert spec is None
        assert problems[0].startswith(problem)

    def test_size_is_bounded(self, tmp_path, write, monkeypatch):
        monkeypatch.setattr(arrays, "MAX_FEATURES_BYTES", 5)
        _, problems = self.read(tmp_path, '{"kind": 1}', write)
        assert problems == ["features.json cannot be read: it has 11 bytes; at most 5 are read"]

    def test_rates_that_contradict_each_other(self, tmp_path, write):
        text = '{"kind": "waveform", "sample_rate": 8000}'
        _, problems = self.read(tmp_path, text, write, sample_rate=16_000)
        assert problems == ["features.json says 8000 Hz, and 16000 Hz was asked for; drop one"]

    def test_a_logmel_needs_its_front_end_and_the_models(self, tmp_path, write):
        _, problems = self.read(tmp_path, '{"kind": "logmel", "sample_rate": 8000}', write)
        assert problems == [
            "features.json: log-mels need their 'frontend' settings; import the audio instead",
        ]
        text = '{"kind": "logmel", "sample_rate": 8000, "frontend": {"n_mels": 64, "hop_ms": 10}}'
        assert self.read(tmp_path, text, write, frontend={"n_mels": 64, "hop_ms": 10.0})[1] == []
        assert self.read(tmp_path, text, write, frontend={"n_mels": 40, "hop_ms": 10})[1] == [
            "the log-mels were made by another front end: n_mels: 64 in the data, 40 in the model",
        ]
