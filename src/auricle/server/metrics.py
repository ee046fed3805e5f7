# SPDX-License-Identifier: Apache-2.0
"""What ``GET /metrics`` answers: counts and durations in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
#: Paths that are counted under their own names; whatever else is asked for counts as ``other``.
PATHS = frozenset({"/", "/health", "/metrics", "/v1/tag", "/v1/detect", "/v1/models"})
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Meters:
    """The meters of one server; two servers in one process have their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "auricle_requests", "HTTP requests by path and status.", ["path", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "auricle_request_seconds", "Seconds a request took.", ["path"], buckets=_SECONDS, registry=self._registry
        )
        self.audio_s = Counter("auricle_audio_seconds", "Seconds of audio scored.", ["how"], registry=self._registry)
        self.streams = Gauge("auricle_streams", "Live streams that are open.", registry=self._registry)
        self.closed = Counter(
            "auricle_streams_closed", "Live streams by close code.", ["code"], registry=self._registry
        )
        self.restarts = Counter("auricle_worker_restarts", "Workers that had to be replaced.", registry=self._registry)
        self.spooled = Gauge("auricle_upload_bytes", "Bytes of uploads that are here now.", registry=self._registry)

    def reply(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        known = path if path in PATHS else "other"
        self._requests.labels(known, str(status)).inc()
        self._seconds.labels(known).observe(seconds)

    def text(self) -> bytes:
        """Return all meters as text."""
        return generate_latest(self._registry)
