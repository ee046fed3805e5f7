# SPDX-License-Identifier: Apache-2.0
"""Fetching public data sets, from a server in this process."""

from __future__ import annotations

import dataclasses
import http.server
import io
import json
import tarfile
import threading
import zipfile

import pytest

from auricle.data.fetch import archive, catalogue, dataset
from auricle.data.fetch import download as download_module
from auricle.data.fetch.archive import unpack
from auricle.data.fetch.catalogue import SOURCES, Source
from auricle.data.fetch.dataset import fetch, terms_of
from auricle.data.fetch.download import download
from auricle.data.formats.registry import read_manifest
from auricle.errors import AuricleError, DataError, RunError, UsageError
from auricle.files import sha256_bytes

CONTENT = bytes(range(256)) * 4_000  # 1 MB


def nothing(*_):
    """Be told of progress."""


class Server(http.server.ThreadingHTTPServer):
    """Serves one file; can break off, refuse, redirect, and forget what it served before."""

    content = CONTENT
    etag = '"v1"'
    break_after = None  # bytes after which a connection breaks, once for each number in the list
    answers = None  # status codes to answer with, one for each request, before serving
    ranges = True
    redirect = None
    seen = None

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/data.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.seen.append(dict(self.headers))
        if server.redirect is not None and self.path != "/moved.zip":
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.end_headers()
            return
        if server.answers:
            self.send_error(server.answers.pop(0))
            return
        start, data = 0, server.content
        wanted = self.headers.get("Range")
        if wanted and server.ranges and self.headers.get("If-Range") == server.etag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(data)}")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("ETag", server.etag)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        stop = start + server.break_after.pop(0) if server.break_after else len(data)
        self.wfile.write(data[start:stop])
        self.close_connection = True

    def log_message(self, *_):
        """Be quiet."""


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download_module, "RETRY_PAUSES_S", (0.0, 0.0))
    with Server(("127.0.0.1", 0), Handler) as running:
        running.seen, running.break_after, running.answers = [], [], []
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_a_download_arrives_whole_and_tells_how_far_it_is(server, tmp_path):
    told = []
    download(server.url, tmp_path / "data.zip", lambda done, total: told.append((done, total)))
    assert (tmp_path / "data.zip").read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [path.name for path in tmp_path.iterdir()] == ["data.zip"]


def test_a_connection_that_breaks_goes_on_where_it_broke(server, tmp_path):
    server.break_after = [300_000, 1, 500_000]
    download(server.url, tmp_path / "data.zip", nothing)
    assert (tmp_path / "data.zip").read_bytes() == CONTENT
    assert [seen.get("Range") for seen in server.seen] == [None, "bytes=300000-", "bytes=300001-", "bytes=800001-"]


def test_a_download_goes_on_in_the_next_call(server, tmp_path):
    server.break_after = [400_000, 0, 0, 0]
    with pytest.raises(AuricleError, match=r"3 times; 400000 bytes are kept, and the same command continues there"):
        download(server.url, tmp_path / "data.zip", nothing)
    assert not (tmp_path / "data.zip").exists()
    server.seen.clear()
    server.break_after.clear()
    download(server.url, tmp_path / "data.zip", nothing)
    assert (tmp_path / "data.zip").read_bytes() == CONTENT
    assert [seen.get("Range") for seen in server.seen] == ["bytes=400000-"]


def test_a_part_that_is_whole_already_is_not_fetched_again(server, tmp_path):
    (tmp_path / "data.zip.part").write_bytes(CONTENT)
    (tmp_path / "data.zip.part.json").write_text('{"version": "\\"v1\\""}')
    download(server.url, tmp_path / "data.zip", nothing)
    assert (tmp_path / "data.zip").read_bytes() == CONTENT
    assert len(server.seen) == 1


def test_a_file_that_changed_on_the_server_is_fetched_from_the_start(server, tmp_path):
    server.break_after = [400_000, 0, 0, 0]
    with pytest.raises(AuricleError):
        download(server.url, tmp_path / "data.zip", nothing)
    server.break_after.clear()
    server.etag, server.content = '"v2"', CONTENT[::-1]
    download(server.url, tmp_path / "data.zip", nothing)
    assert (tmp_path / "data.zip").read_bytes() == CONTENT[::-1]


def test_a_server_without_ranges_starts_anew(server, tmp_path):
    server.ranges = False
    server.break_after = [400_000]
    download(server.url, tmp_path / "data.zip", nothing)
    assert (tmp_path / "data.zip").read_bytes() == CONTENT


@pytest.mark.parametrize("note", ["", "{", "[1]", '{"version": 3}'])
def test_a_part_of_unknown_version_is_not_trusted(server, tmp_path, note):
    (tmp_path / "data.zip.part").write_bytes(b"old")
    (tmp_path / "data.zip.part.json").write_text(note)
    download(server.url, tmp_path / "data.zip", nothing)
    assert (tmp_path / "data.zip").read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again_and_one_that_says_no_is_not(server, tmp_path):
    server.answers = [503, 429]
    download(server.url, tmp_path / "data.zip", nothing)
    server.answers = [404]
    with pytest.raises(UsageError, match=r"the server says 404 Not Found; see the homepage"):
        download(server.url, tmp_path / "other.zip", nothing)
    assert len(server.seen) == 4


def test_redirections_are_followed_but_never_out_of_https(server, tmp_path):
    server.redirect = f"http://127.0.0.1:{server.server_port}/moved.zip"
    download(server.url, tmp_path / "data.zip", nothing)
    assert (tmp_path / "data.zip").read_bytes() == CONTENT
    handler = download_module._NoDowngrade()
    request = download_module.urllib.request.Request("https://example.org/a.zip")
    with pytest.raises(UsageError, match="which is not https; fetch it by hand and use --from"):
        handler.redirect_request(request, None, 302, "Found", {}, "http://example.org/a.zip")


def test_other_addresses_are_refused(tmp_path):
    with pytest.raises(UsageError, match="file:///etc/passwd is no address of the web"):
        download("file:///etc/passwd", tmp_path / "x", nothing)


# --- unpacking --------------------------------------------------------------------------------------------------------


def make_zip(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members:
            file.writestr(name, data)
    return path


def make_tar(path, *members, mode="w:gz"):
    with tarfile.open(path, mode) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, bytes):
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            else:
                info.type, info.linkname = data
                tar.addfile(info)
    return path


def tree(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_files_and_folders_are_unpacked(make, tmp_path):
    archive = make(tmp_path / "a", ("x/a.wav", b"a" * 100), ("./x/y/b.wav", b"b"), ("c.txt", b""))
    told = []
    assert unpack(archive, tmp_path / "out", lambda done, total: told.append((done, total))) == 0
    assert tree(tmp_path / "out") == {"c.txt": b"", "x/a.wav": b"a" * 100, "x/y/b.wav": b"b"}
    assert told[-1] == (101, 101)


EVIL = ["../evil", "x/../../evil", "/tmp/evil", "..\\evil", "C:evil", "C:\\evil"]


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize("name", EVIL)
def test_a_name_that_leads_out_refuses_the_archive_before_anything_is_written(make, name, tmp_path):
    archive = make(tmp_path / "a", ("good.wav", b"a"), (name, b"evil"))
    with pytest.raises(DataError, match=r"not to be trusted\n.*leads out of the folder"):
        unpack(archive, tmp_path / "out", nothing)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_links_and_devices_are_left_out_and_counted(tmp_path):
    links = [
        ("soft", (tarfile.SYMTYPE, "/etc/passwd")),
        ("hard", (tarfile.LNKTYPE, "good.wav")),
        ("pipe", (tarfile.FIFOTYPE, "")),
    ]
    archive = make_tar(tmp_path / "a", ("good.wav", b"a"), *links)
    assert unpack(archive, tmp_path / "out", nothing) == 3
    assert tree(tmp_path / "out") == {"good.wav": b"a"}
    with zipfile.ZipFile(tmp_path / "z", "w") as file:
        info = zipfile.ZipInfo("soft")
        info.external_attr = 0o120777 << 16
        file.writestr(info, "/etc/passwd")
        file.writestr("good.wav", b"a")
    assert unpack(tmp_path / "z", tmp_path / "out2", nothing) == 1
    assert tree(tmp_path / "out2") == {"good.wav": b"a"}


def test_a_file_through_a_link_cannot_be_written(tmp_path):
    archive = make_tar(tmp_path / "a", ("d", (tarfile.SYMTYPE, str(tmp_path))), ("d/evil", b"evil"))
    unpack(archive, tmp_path / "out", nothing)
    assert not (tmp_path / "evil").exists()
    assert tree(tmp_path / "out") == {"d/evil": b"evil"}


def test_names_that_stand_twice_are_refused(tmp_path):
    archive = make_tar(tmp_path / "a", ("a.wav", b"1"), ("./a.wav", b"2"))
    with pytest.raises(DataError, match="stands in it twice"):
        unpack(archive, tmp_path / "out", nothing)


def test_a_file_that_is_a_folder_too_is_refused(tmp_path):
    archive = make_tar(tmp_path / "a", ("a", b"1"), ("a/b", b"2"))
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "out", nothing)


def test_a_bomb_is_refused(tmp_path):
    archive = make_zip(tmp_path / "a", ("zeros", bytes(10_000_000)))
    with pytest.raises(DataError, match=r"bytes that unpack to 10000000 or more: more than 50 times"):
        unpack(archive, tmp_path / "out", nothing)
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_too_small_is_said_before(tmp_path, monkeypatch):
    packed = make_zip(tmp_path / "a", ("a.wav", bytes(range(256))))
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda _: archive.shutil._ntuple_diskusage(1, 1, 100))
    with pytest.raises(UsageError, match="0 MB are free and 0 MB are needed"):
        unpack(packed, tmp_path / "out", nothing)


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_a_damaged_archive_is_an_error_of_one_kind(make, tmp_path):
    noise = bytes(i * 7 % 251 for i in range(50_000))
    whole = make(tmp_path / "a", ("a.wav", noise), ("b.wav", noise[::-1])).read_bytes()
    for place in range(30, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        (tmp_path / "b").write_bytes(damaged)
        try:
            unpack(tmp_path / "b", tmp_path / f"out{place}", nothing)
        except (DataError, UsageError):
            continue
        assert set(tree(tmp_path / f"out{place}").values()) <= {noise, noise[::-1]}, "damage in a name or a date"


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a").write_text("<html>404</html>")
    with pytest.raises(UsageError, match=r"is no archive that can be unpacked here \(.zip, .tar,"):
        unpack(tmp_path / "a", tmp_path / "out", nothing)


# --- the whole --------------------------------------------------------------------------------------------------------

ESC50 = (
    b"filename,fold,target,category,esc10,src_file,take\n1-1-A-0.wav,1,0,dog,True,1,A\n2-2-A-9.wav,2,9,crow,False,2,A\n"
)


@pytest.fixture
def offered(monkeypatch):
    """Replace the archive of a data set: ``offered("esc50", data, verified=True)``."""

    def offer(name, data, **changes):
        changed = dataclasses.replace(SOURCES.get(name), **changes)
        monkeypatch.setitem(catalogue.SOURCES._items, name, changed)
        return data

    return offer


def esc50_zip(tmp_path):
    members = [("ESC-50-master/meta/esc50.csv", ESC50)]
    members += [(f"ESC-50-master/audio/{name}", b"RIFF") for name in ("1-1-A-0.wav", "2-2-A-9.wav")]
    return make_zip(tmp_path / "archive.zip", *members)


def test_a_fetch_downloads_unpacks_prepares_and_records(server, tmp_path, offered):
    server.content = esc50_zip(tmp_path).read_bytes()
    offered("esc50", None, url=server.url)
    stages = []
    report = fetch("esc50", tmp_path / "out", lambda stage, done, total: stages.append(stage))
    assert list(dict.fromkeys(stages)) == ["download", "check", "unpack"]
    assert report.to_dict() == {
        "name": "esc50",
        "path": str(tmp_path / "out" / "meta" / "esc50.csv"),
        "sha256": sha256_bytes(server.content),
        "verified": False,
        "left_out": 0,
    }
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["audio", "fetched.json", "meta"]
    record = json.loads((tmp_path / "out" / "fetched.json").read_text())
    assert record["from"] == server.url
    assert record["licence"].startswith("CC BY-NC 3.0")
    assert [clip.key for clip in read_manifest(report.path).clips] == ["1-1-A-0.wav", "2-2-A-9.wav"]


def test_a_second_fetch_has_nothing_to_do(server, tmp_path, offered):
    server.content = esc50_zip(tmp_path).read_bytes()
    offered("esc50", None, url=server.url)
    first = fetch("esc50", tmp_path / "out", nothing)
    server.seen.clear()
    assert fetch("esc50", tmp_path / "out", nothing) == first
    assert server.seen == []
    with pytest.raises(RunError, match="holds the data set esc50; choose another folder"):
        fetch("fsdd", tmp_path / "out", nothing)


def test_from_a_file_nothing_is_downloaded(tmp_path):
    archive = esc50_zip(tmp_path)
    report = fetch("esc10", tmp_path / "out", nothing, archive=archive)
    assert archive.exists()
    assert [clip.label for clip in read_manifest(report.path).clips] == [("dog",)]
    with pytest.raises(UsageError, match=r"--from .*gone.zip: no such file"):
        fetch("esc10", tmp_path / "out2", nothing, archive=tmp_path / "gone.zip")


def test_a_published_checksum_must_be_met(tmp_path, offered):
    archive = esc50_zip(tmp_path)
    offered("esc50", None, sha256="0" * 64, checksum_from="a paper", bytes=7)
    with pytest.raises(
        DataError, match=r"not the published file\n.*\n.*published \(a paper\): 0{64}, 7 bytes\n.*delete"
    ):
        fetch("esc50", tmp_path / "out", nothing, archive=archive)
    assert not (tmp_path / "out" / "meta").exists()
    offered("esc50", None, sha256=sha256_bytes(archive.read_bytes()))
    assert fetch("esc50", tmp_path / "out", nothing, archive=archive).verified


def test_a_fetch_that_was_stopped_while_it_unpacked_goes_on(server, tmp_path, offered, monkeypatch):
    server.content = esc50_zip(tmp_path).read_bytes()
    offered("esc50", None, url=server.url)
    real = dataset._move_up

    def stopped(unpacked, out):
        (unpacked / "ESC-50-master" / "audio").replace(out / "audio")
        raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "_move_up", stopped)
    with pytest.raises(KeyboardInterrupt):
        fetch("esc50", tmp_path / "out", nothing)
    monkeypatch.setattr(dataset, "_move_up", real)
    server.seen.clear()
    report = fetch("esc50", tmp_path / "out", nothing)
    assert server.seen == [], "the archive is there"
    assert len(read_manifest(report.path).clips) == 2


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(RunError, match=r"is not empty \(it holds thesis.txt\); choose a new folder"):
        fetch("fsdd", tmp_path, nothing, archive=tmp_path / "thesis.txt")
    with pytest.raises(RunError, match="is a file; --out takes a folder"):
        fetch("fsdd", tmp_path / "thesis.txt", nothing, archive=tmp_path / "thesis.txt")


def test_the_terms_say_what_where_how_large_and_under_which_licence():
    for name in SOURCES:
        source = SOURCES.get(name)
        assert isinstance(source, Source)
        terms = terms_of(name)
        for part in (source.title, source.url, source.licence, source.licence_url, source.homepage):
            assert part in terms
        assert ("no published checksum known" in terms) == (source.sha256 is None)
        assert (source.sha256 is None) == (source.checksum_from is None)
        assert source.url.startswith("https://")
        assert source.archive.endswith(archive.ENDINGS)


def unpacked(name, files, tmp_path):
    for path, data in files.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    return read_manifest(SOURCES.get(name).prepare(tmp_path))


def test_fsdd_has_its_official_parts(tmp_path):
    names = ("7_jackson_0.wav", "7_jackson_4.wav", "7_jackson_5.wav", "0_theo_49.wav")
    manifest = unpacked("fsdd", {f"recordings/{name}": b"RIFF" for name in names}, tmp_path)
    found = {clip.key: (clip.label, clip.split) for clip in manifest.clips}
    assert found == {
        "recordings/0_theo_49.wav": (("0",), "train"),
        "recordings/7_jackson_0.wav": (("7",), "test"),
        "recordings/7_jackson_4.wav": (("7",), "test"),
        "recordings/7_jackson_5.wav": (("7",), "train"),
    }


def test_speech_commands_has_its_official_parts_and_speakers(tmp_path):
    files = {
        "yes/aa_nohash_0.wav": b"RIFF",
        "yes/bb_nohash_0.wav": b"RIFF",
        "no/cc_nohash_1.wav": b"RIFF",
        "_background_noise_/x.wav": b"RIFF",
        "validation_list.txt": b"yes/bb_nohash_0.wav\n",
        "testing_list.txt": b"no/cc_nohash_1.wav\n",
    }
    manifest = unpacked("speech-commands", files, tmp_path)
    found = {clip.key: (clip.label, clip.split, clip.group) for clip in manifest.clips}
    assert found == {
        "yes/aa_nohash_0.wav": (("yes",), "train", "aa"),
        "yes/bb_nohash_0.wav": (("yes",), "dev", "bb"),
        "no/cc_nohash_1.wav": (("no",), "test", "cc"),
    }


def test_asvspoof_becomes_the_form_that_trains(tmp_path):
    files = {}
    for part, ending, code in (("train", "trn", "T"), ("dev", "trl", "D"), ("eval", "trl", "E")):
        line = f"LA_{part} LA_{code}_1 - - bonafide\n".encode()
        files[f"ASVspoof2019_LA_cm_protocols/ASVspoof2019.LA.cm.{part}.{ending}.txt"] = line
        files[f"ASVspoof2019_LA_{part}/flac/LA_{code}_1.flac"] = b"fLaC"
    manifest = unpacked("asvspoof2019-la", files, tmp_path)
    assert {clip.split for clip in manifest.clips} == {"train", "dev", "test"}
    assert [clip.label for clip in manifest.clips] == [("bonafide",)] * 3


@pytest.mark.parametrize("name", list(SOURCES))
def test_an_archive_of_something_else_is_said(name, tmp_path):
    with pytest.raises(DataError, match=r"is not in the archive\n.*another version of the data set\?"):
        SOURCES.get(name).prepare(tmp_path)
