# SPDX-License-Identifier: Apache-2.0
"""Load on ``auricle serve``, all in one run: requests, live streams, idle sessions, clients that vanish.

    python -m benchmarks.serve [--model MODEL] [--quick]

The clients run beside the server on the same machine and take their share of it. They are as cheap as possible: raw
sockets, frames made beforehand. Writes docs/results/serve.json and serve.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from auricle.files import atomic_write, write_json
from auricle.runtime.bundle import load_bundle, resolve_model
from auricle.runtime.model_names import DEFAULT_MODEL
from benchmarks.machine import ROOT, describe
from benchmarks.models import arguments

RATE = 16_000
CLIP_S = 10
BLOCK_S = 0.1
CLIENTS = (1, 8, 64)
REQUESTS = {1: 200, 8: 600, 64: 600}
STREAMS = (8, 16, 32, 64, 96, 128, 192, 256, 384, 512)
MOST_LATENCY_S = 0.25
IDLE_SESSIONS = 1_000
CYCLES, VANISHING = 10, 100
OUT = ROOT / "docs" / "results"


class Server:
    """``auricle serve`` as a process of its own."""

    def __init__(self, model: str) -> None:
        command = [sys.executable, "-m", "auricle", "serve", "--model", model, "--port", "0", "--max-sessions", "2000"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        assert self.process.stderr is not None
        line = self.process.stderr.readline()
        self.port = int(line.rpartition(":")[2].split()[0])
        os.set_blocking(self.process.stderr.fileno(), False)

    def drop_log(self) -> None:
        """Empty the pipe of its log, so that it never fills."""
        with contextlib.suppress(TypeError, OSError):
            self.process.stderr.read()

    def pids(self) -> list[int]:
        return [self.process.pid, *children(self.process.pid)]

    def memory_mb(self) -> float:
        """Return the memory of the server and its workers, without what they share."""
        return sum(private_kb(pid) for pid in self.pids()) / 1024

    def cpu_s(self) -> float:
        """Return the processor seconds of the server and its workers so far: they do not depend on other work."""
        fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.pids()]
        return sum(int(row[11]) + int(row[12]) for row in fields) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            self.drop_log()
            time.sleep(0.05)
        self.process.kill()


def children(pid: int) -> list[int]:
    found = [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]
    return [*found, *(grandchild for child in found for grandchild in children(child))]


def private_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


# --- requests


def clip() -> bytes:
    """Return a clip of 10 s of noise as WAV."""
    samples = np.random.default_rng(0).normal(0, 0.1, CLIP_S * RATE).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


async def load(port: int, clients: int, requests: int) -> dict[str, float]:
    """Post clips from so many clients, each waiting for its answer before it continues."""
    body = clip()
    head = "POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\nContent-Length: {}\r\n\r\n"
    request = head.format(len(body)).encode() + body
    left = iter(range(requests))
    seconds: list[float] = []

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in left:
            began = time.perf_counter()
            writer.write(request)
            await writer.drain()
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            await reader.readexactly(length)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"refused: {answer!r}")
            seconds.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    elapsed = time.perf_counter() - began
    p50, p99 = np.percentile(seconds, [50, 99])
    return {
        "n": len(seconds),
        "requests_per_s": round(len(seconds) / elapsed, 1),
        "p50_ms": round(1e3 * p50, 1),
        "p99_ms": round(1e3 * p99, 1),
    }


# --- streams


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one frame of a client; a mask of zeros needs no work."""
    length = len(payload)
    if length < 126:
        size = bytes([0x80 | length])
    else:
        size = struct.pack("!BH", 0xFE, length) if length < 65_536 else struct.pack("!BQ", 0xFF, length)
    return bytes([0x80 | opcode]) + size + bytes(4) + payload


class Client:
    """A live stream over a plain socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> Client:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in answer:
            raise SystemExit(f"no stream: {answer!r}")
        client = cls(reader, writer)
        client.writer.write(frame(1, json.dumps({"sample_rate": RATE, "format": "s16le"}).encode()))
        await client.receive()
        return client

    async def receive(self) -> bytes:
        """Return the next text message; pings are answered."""
        while True:
            first, second = await self.reader.readexactly(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            payload = await self.reader.readexactly(length)
            opcode = first & 0x0F
            if opcode == 9:
                self.writer.write(frame(10, payload))
            elif opcode == 1:
                return payload
            else:
                raise ConnectionError(f"opcode {opcode}: {payload!r}")


async def stream(port: int, start_s: float, stop_s: float, due_s: float, hop_s: float, seconds: list[float]) -> None:
    """Send sound in real time; note how long after the last sample of each window its scores come.

    The first window is complete after ``due_s``, the others ``hop_s`` later each.
    """
    client = await Client.open(port)
    noise = np.random.default_rng(0).normal(0, 3_000, round(BLOCK_S * RATE)).astype("<i2")
    block = frame(2, noise.tobytes())
    await asyncio.sleep(max(0.0, start_s - time.monotonic()))
    sent: list[float] = []

    async def listen() -> None:
        windows = 0
        while True:
            if b'"times"' in await client.receive():
                now = time.monotonic()
                last_block = int(np.ceil((due_s + windows * hop_s) / BLOCK_S - 1e-6)) - 1
                seconds.append(now - sent[last_block])
                windows += 1

    listener = asyncio.create_task(listen())
    began = time.monotonic()
    while time.monotonic() < stop_s:
        await asyncio.sleep(max(0.0, began + len(sent) * BLOCK_S - time.monotonic()))
        sent.append(time.monotonic())
        client.writer.write(block)
        if listener.done():
            break
    await asyncio.sleep(1.0)
    listener.cancel()
    client.writer.transport.abort()
    with contextlib.suppress(asyncio.CancelledError):
        await listener


async def streams(port: int, count: int, measured_s: float, due_s: float, hop_s: float) -> dict[str, float]:
    """Run so many streams at once, their windows spread over time as those of strangers are."""
    seconds: list[float] = []
    began = time.monotonic() + 0.5 + count * 0.01
    stop = began + hop_s + due_s + measured_s
    starts = [began + hop_s * i / count for i in range(count)]
    await asyncio.gather(*(stream(port, start, stop, due_s, hop_s, seconds) for start in starts))
    expected = count * (1 + int(measured_s / hop_s))
    p50, p99 = np.percentile(seconds, [50, 99]) if seconds else (np.inf, np.inf)
    return {
        "streams": count,
        "n": len(seconds),
        "p50_ms": round(1e3 * float(p50), 1),
        "p99_ms": round(1e3 * float(p99), 1),
        "holds": bool(p99 <= MOST_LATENCY_S and len(seconds) >= expected),
    }


# --- sessions that do nothing, clients that vanish


@contextlib.asynccontextmanager
async def idle(port: int, count: int) -> AsyncIterator[list[Client]]:
    clients = [await Client.open(port) for _ in range(count)]
    try:
        yield clients
    finally:
        for client in clients:
            client.writer.transport.abort()


async def freed(port: int) -> float:
    """Wait until the server's meters say that nothing of any client is left; return how many seconds that took."""
    began = time.monotonic()
    while time.monotonic() - began < 120:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        text = await reader.read()
        writer.close()
        if b"auricle_streams 0.0" in text and b"auricle_upload_bytes 0.0" in text:
            return time.monotonic() - began
        await asyncio.sleep(0.1)
    raise SystemExit("clients that vanished two minutes ago still hold memory")


async def vanish(port: int, count: int) -> float:
    """Open streams and uploads, bring half of what was promised, and go; return the seconds until all is freed."""
    block = frame(2, bytes(2 * RATE))
    head = b"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: audio/wav\r\nContent-Length: 4000000\r\n\r\n"
    async with idle(port, count) as clients:
        for client in clients:
            client.writer.write(block * 3 + block[: RATE // 2])
        uploads = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count // 2)]
        for _, writer in uploads:
            writer.write(head + bytes(2_000_000))
        await asyncio.sleep(1.0)
        for _, writer in uploads:
            writer.transport.abort()
    return await freed(port)


async def measure(server: Server, model: str, quick: bool) -> dict[str, Any]:
    """Measure everything; returns the figures."""
    spec = load_bundle(resolve_model(model)).spec
    found: dict[str, Any] = {"model": spec.name, "window_s": spec.window_s, "hop_s": spec.hop_s, "clip_s": CLIP_S}
    await load(server.port, 2, 10)  # warm
    found["requests"] = {}
    for clients in CLIENTS:
        server.drop_log()
        before = server.cpu_s()
        row = await load(server.port, clients, 2 * clients if quick else REQUESTS[clients])
        found["requests"][str(clients)] = {**row, "cpu_ms": round(1e3 * (server.cpu_s() - before) / row["n"], 1)}
    found["memory_mb"] = {"before": round(server.memory_mb(), 1)}
    for _ in range(1 if quick else CYCLES):
        seconds = await vanish(server.port, 10 if quick else VANISHING)
        found["memory_mb"].setdefault("freed_after_s", []).append(round(seconds, 1))
        server.drop_log()
        found["memory_mb"].setdefault("after_each_cycle", []).append(round(server.memory_mb(), 1))
    found["idle"] = await idle_sessions(server, 50 if quick else IDLE_SESSIONS)
    found["streams"] = []
    # Windows side by side are complete with the first sample behind them.
    due_s = spec.hop_s + spec.margin_s + 1 / spec.sample_rate if spec.margin_s else spec.window_s
    for count in STREAMS[:1] if quick else STREAMS:
        server.drop_log()
        before, began = server.cpu_s(), time.monotonic()
        row = await streams(server.port, count, 3.0 if quick else 20.0, due_s, spec.hop_s)
        share = (server.cpu_s() - before) / (time.monotonic() - began) / count
        found["streams"].append({**row, "core_percent": round(100 * share, 2)})
        print(json.dumps(found["streams"][-1]), file=sys.stderr, flush=True)
        if not found["streams"][-1]["holds"]:
            break
    return found


async def idle_sessions(server: Server, count: int) -> dict[str, float]:
    """Keep so many sessions open; a request is answered meanwhile."""
    before = server.memory_mb()
    async with idle(server.port, count):
        each_kb = 1024 * (server.memory_mb() - before) / count
        answered = await load(server.port, 1, 10)
    return {"sessions": count, "kb_each": round(each_kb, 1), "request_p50_ms": answered["p50_ms"]}


def stream_row(row: dict[str, Any]) -> str:
    """Return one line of the table of streams."""
    cells = (
        row["streams"],
        row["p50_ms"],
        row["p99_ms"],
        row["core_percent"],
        row["n"],
        "yes" if row["holds"] else "no",
    )
    return f"| {' | '.join(map(str, cells))} |"


def page(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    machine, idle_found, memory = found["machine"], found["idle"], found["memory_mb"]
    holding = [row for row in found["streams"] if row["holds"]]
    held = holding[-1]["streams"] if holding else 0
    after = ", ".join(str(mb) for mb in memory["after_each_cycle"])
    lines = [
        "<!-- Written by `python -m benchmarks.serve`: measure again, do not edit. -->\n",
        "# Serving under load\n",
        f"`python -m benchmarks.serve`, one run, clients on the same {machine['cores']} cores as the server; model",
        f"`{found['model']}` (windows of {found['window_s']:g} s every {found['hop_s']:g} s).",
        f"Load of the machine before the run, by other work: {machine['load']}; niceness of server and clients:",
        f"{found['niceness']}. Where other work has the cores, times and rates tell more of it than of the server;",
        "processor time does not depend on it.\n",
        f"## Requests\n\n`POST /v1/tag`, {found['clip_s']} s of 16-bit WAV at 16 kHz.\n",
        "| clients | requests a second | p50, ms | p99, ms | processor ms a request | n |\n|--:|--:|--:|--:|--:|--:|",
        *(
            f"| {clients} | "
            + " | ".join(str(row[key]) for key in ("requests_per_s", "p50_ms", "p99_ms", "cpu_ms", "n"))
            + " |"
            for clients, row in found["requests"].items()
        ),
        f"\n## Live streams\n\nReal time, {BLOCK_S:g} s a message; from the sending of a window's last sample to the",
        "arrival of its scores.\n",
        "| streams | p50, ms | p99, ms | percent of a core a stream | n | p99 ≤ 250 ms, none lost |",
        "|--:|--:|--:|--:|--:|---|",
        *(stream_row(row) for row in found["streams"]),
        f"\nHeld: **{held} streams**.\n",
        f"## Idle sessions\n\n{idle_found['sessions']} open at once, {idle_found['kb_each']} kB each; a request",
        f"meanwhile: p50 {idle_found['request_p50_ms']} ms.\n",
        f"## Clients that vanish\n\n{CYCLES} times {VANISHING} streams and {VANISHING // 2} uploads that break off.",
        f"Private memory of the server and its workers, MB: {memory['before']} before, then {after}.",
        f"All of a cycle's streams and uploads were freed at most {max(memory['freed_after_s'])} s after it.\n",
        f"Measured {machine['date']} at commit {machine['commit']} on {machine['cpu']}, {machine['cores']} cores,",
        f"{machine['memory_gb']} GB; {machine['system']}, python {machine['python']}, numpy {machine['numpy']},",
        f"onnxruntime {machine['onnxruntime']}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    options = arguments(__doc__)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8_192, hard), hard))
    model = DEFAULT_MODEL if options.model is None else options.model
    machine = describe()
    server = Server(model)
    try:
        found = {**asyncio.run(measure(server, model, options.quick)), "machine": machine, "niceness": os.nice(0)}
    finally:
        server.stop()
    print(json.dumps(found))
    if not options.quick:
        write_json(OUT / "serve.json", found)
        atomic_write(OUT / "serve.md", page(found).encode())


if __name__ == "__main__":
    main()
