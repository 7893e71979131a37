"""Counters and histograms of a service, as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from agentos.tasks.society.open_society import Reply

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class ServiceMetrics:
    """Counters and histograms of one service, apart from those of the process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "agentos_requests",
            "Requests to /answer, by HTTP status.",
            ["status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "agentos_request_seconds",
            "Seconds from a request's arrival to its answer.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "agentos_batch_texts",
            "Texts that were answered together.",
            buckets=_SIZES,
            registry=registry,
        )
        self._asked = Counter(
            "agentos_texts_asked",
            "Texts that an agent was asked about.",
            ["agent"],
            registry=registry,
        )
        self._texts = Counter("agentos_texts", "Texts answered.", registry=registry)
        self._flops = Counter("agentos_flops", "FLOPs of the answers.", registry=registry)
        self._bytes = Counter(
            "agentos_payload_bytes", "Bytes of messages between agents.", registry=registry
        )

    def count_request(self, status: int, seconds: float) -> None:
        """Count a request to /answer."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)

    def count_batch(self, replies: Sequence[Reply]) -> None:
        """Count texts that were answered together."""
        self._batches.observe(len(replies))
        self._texts.inc(len(replies))
        self._flops.inc(sum(reply.flops for reply in replies))
        self._bytes.inc(sum(reply.payload_bytes for reply in replies))
        for reply in replies:
            for agent in reply.asked:
                self._asked.labels(agent).inc()

    def text(self) -> bytes:
        """Return all values in Prometheus' text format."""
        return generate_latest(self._registry)
