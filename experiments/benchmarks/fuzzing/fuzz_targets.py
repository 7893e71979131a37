"""Targets of the fuzzer: valid inputs, their reader, and the errors by which it may refuse them."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from agentos.evaluation import Retrieval
from agentos.records.checkpoints import Manifest, checkpoints_of
from agentos.records.reader import RecordedNetwork, load_run
from agentos.records.recorder import Recorder
from agentos.runtime.profiling.profile import Profile
from agentos.runtime.profiling.trace_file import load_timeline, write_trace
from agents.exchange.anchors.anchor_contrast import AnchorContrastState
from agents.hosting.state_file import load_state, save_state
from agents.objectives.info_nce import InfoNCEState
from agents.training.state import AgentState, StateTypes
from experiments.benchmarks.fuzzing.message_mutations import MESSAGES, cut
from experiments.benchmarks.fuzzing.mutations import BLIND, SAFETENSORS, Mutation
from protocols import messages
from protocols.codecs import CODECS, Codec
from protocols.codecs.top_k import TopK
from protocols.errors import ProtocolError, RecordError
from protocols.ledger import Ledger
from protocols.messages import PAYLOADS, Gradient, Message, Payload
from protocols.wire.frame import unframe
from protocols.wire.serialize import decode, encode, read_envelope
from protocols.wire.validate import Expectation, admit

Samples = Sequence[tuple[str, bytes]]
Read = Callable[[str, bytes], str]
Draw = Callable[..., NDArray[np.float32]]


@dataclass(frozen=True)
class Target:
    """Something that reads untrusted bytes.

    Attributes:
        open: gives valid inputs by kind, and the function that reads one and names the outcome.
        refusals: the errors that its callers expect.
        mutations: mutations of its inputs.
        most_s: the processor's time that an input may take.
        headroom_mb: memory that its reader may take in addition to what the program holds before.
    """

    open: Callable[[], AbstractContextManager[tuple[Samples, Read]]]
    refusals: tuple[type[Exception], ...]
    mutations: Sequence[Mutation]
    most_s: float = 2.0
    headroom_mb: int = 256


def payloads() -> list[Payload]:
    """Return a small payload of every kind."""
    rng = np.random.default_rng(7)

    def draw(*shape: int) -> NDArray[np.float32]:
        drawn: NDArray[np.float32] = rng.standard_normal(shape).astype(np.float32)
        return drawn

    def shares(*shape: int) -> NDArray[np.float32]:
        values = rng.random(shape).astype(np.float32) + 0.1
        summed: NDArray[np.float32] = values / values.sum(axis=-1, keepdims=True)
        return summed

    ids = np.array([[[1, 2], [0, 3], [3, 0], [2, 1]]], np.int32)
    found: list[Payload] = [
        messages.Embeddings(values=draw(2, 12, 8)),
        messages.SimilarityTargets(values=(1 - np.eye(8, dtype=np.float32)) / 7, weight=2.0),
        messages.Prototypes(values=draw(5, 8), counts=np.arange(1, 6, dtype=np.float32)),
        messages.Statistics(
            means=draw(2, 4),
            squares=np.abs(draw(2, 4)) + 9,
            products=np.eye(4, dtype=np.float32),
            weight=5,
        ),
        messages.PrivateEmbeddings(values=draw(2, 6, 8), batch=3),
        messages.EmbeddingGradients(values=draw(2, 6, 8), batch=3),
        messages.PseudoLabels(probabilities=shares(12, 4), weight=1.0),
        messages.LabelVotes(probabilities=shares(2, 12, 4)),
        messages.Logits(values=draw(12, 4), weight=1.0),
        messages.Rankings(scores=shares(1, 4, 2), ids=ids, agreement=np.ones((1, 4), np.float32)),
        messages.Weights(values=draw(1500), weight=10.0, layout="tiny-1"),
        messages.WeightDeltas(values=draw(300), weight=10.0, layout="tiny-1"),
        messages.Components(
            values=draw(2, 5),
            places=np.array([[0, 4, 1, 2, 3], [1, 3, 0, 2, 3]], np.uint16),
            layout="tiny-1:1x6x2:1x4x3",
        ),
        messages.Metrics(values={"loss": 0.5, "temperature": 0.05}),
        messages.Control(command="pause", arguments={"rounds": 3, "why": "collapse", "sure": True}),
        messages.MaskedSum(values=np.arange(300, dtype=np.uint64), weight=10.0, layout="tiny-1"),
        messages.Keys(ids=np.array([1, 4], np.int32), values=np.ones((2, 32), np.uint8)),
        *_task_payloads(draw, shares),
    ]
    assert {payload.kind for payload in found} == set(PAYLOADS)
    return found


def _task_payloads(draw: Draw, shares: Draw) -> Iterator[Payload]:
    """Yield a small payload of every kind that is about a task."""
    origins = ("0123456789abcdef", "f" * 64)
    task: dict[str, Any] = {"task": "triage/root", "ids": np.array([7, 3, 2**40, 0])}
    work: dict[str, Any] = {**task, "attempt": 1}
    cost: dict[str, Any] = {"origins": origins, "flops": 1e9, "seconds": 0.25}
    mask = np.array([0, 1, 0, 0], np.uint8)
    found = np.arange(12).reshape(4, 3)
    yield messages.Announcement(task="triage", classes=4, queries=300, tokens=9000, floor=0.5)
    yield messages.Bid(task="triage", **cost, accuracy=0.75, examples=128, ready_s=0.0)
    yield messages.Assignment(**work, start_s=0.5, deadline_s=8.0)
    yield messages.Answer(
        **work, **cost, probabilities=shares(4, 3), abstains=mask, in_sample=mask[::-1]
    )
    yield messages.RankedAnswer(**work, **cost, candidates=found, scores=draw(4, 3))
    tokens = found.astype(np.int32)
    words: dict[str, Any] = {"vocabulary": "0" * 32, "size": 12, "step": 5, "tokens": tokens}
    yield messages.NextTokens(**work, **cost, **words, probabilities=shares(4, 3) / 2)
    yield messages.Escalation(
        **work, embeddings=draw(4, 8), shares_text=True, texts=("a", "", "c", "d")
    )
    decided = np.array([0, 2, 1, 3], np.int32)
    yield messages.Verdict(
        **task, origins=origins, classes=4, decided=decided, confidences=shares(1, 4)[0]
    )
    yield messages.Claims(
        frame="0" * 32,
        episode=1,
        labels=("a", "b"),
        kinds=np.array([0, 1, 2], np.uint8),
        embeddings=np.ones((3, 4), np.float32),
        counts=np.ones((3, 2), np.float32),
        origin_counts=np.ones(3, np.int32),
        origins=np.arange(48, dtype=np.uint8).reshape(3, 16),
    )


def codecs() -> list[Codec]:
    """Return codecs of every kind, one of them with parameters that differ from the defaults."""
    return [*(codec.model_validate({}) for codec in CODECS.values()), TopK(share=0.2, per="array")]


@contextmanager
def _messages() -> Iterator[tuple[Samples, Read]]:
    samples, expected = [], {}
    for payload in payloads():
        gradient = Gradient(kind="stale", staleness=2)
        message = Message.compose(payload, sender=0, round=3, hop=1, gradient=gradient)
        for codec in codecs() if payload.coded_fields else codecs()[:1]:
            kind = f"{payload.kind} by {codec!r}"
            samples.append((kind, encode(message, codec).tobytes()))
            shapes = {name: getattr(payload, name).shape for name in payload.array_fields}
            expected[kind] = [
                Expectation(3, 1, frozenset({0, 5}), type(payload)),
                Expectation(3, 1, frozenset({0}), type(payload), shapes, codec=codec),
            ]

    def read(kind: str, data: bytes) -> str:
        refused = []
        for reader in (read_envelope, decode):
            try:
                reader(data)
            except ProtocolError as error:
                refused.append(type(error).__name__)
        loose, strict = expected[kind]
        expectation = strict if len(data) % 2 else loose
        packet = cut(data, np.random.default_rng(zlib.crc32(data)))
        with suppress(ProtocolError):
            # A message that is admitted in pieces must be admitted, and read alike, as one buffer.
            apart = admit(packet, expectation)
            try:
                alike = admit(packet.joined(), expectation) == apart
            except ProtocolError:
                alike = False
            if not alike:
                raise AssertionError("a message in pieces is read otherwise than in one buffer")
        message = admit(data, expectation)
        if refused:
            raise AssertionError(f"admitted a message that reading refuses: {refused}")
        if unframe(data)[0].coding is None and encode(message).tobytes() != data:
            raise AssertionError("admitted another encoding of a message")
        return "taken"

    yield samples, read


@contextmanager
def _checkpoints() -> Iterator[tuple[Samples, Read]]:
    banks = {4: torch.ones(2, 2, 3), 0: torch.zeros(0, 3)}
    types = StateTypes((AnchorContrastState,), (InfoNCEState,))
    buffer = torch.arange(24.0)
    state = AgentState(
        parameters=buffer,
        optimizer=[{"step": torch.tensor(3.0), "exp_avg": buffer[:8]}, {}],
        step=3,
        exchange=[AnchorContrastState(banks=banks, shares=[0.5, 0.5], own=(1, torch.ones(2)))],
        objectives=[InfoNCEState(queue=torch.ones(1, 2, dtype=torch.bfloat16))],
        buffers={"mean": torch.ones(2), "seen": torch.tensor(3), "unset": None},
    )
    with TemporaryDirectory() as folder:
        path = Path(folder) / "agent-0.safetensors"
        save_state(state, path)
        sample = path.read_bytes()

        def read(kind: str, data: bytes) -> str:
            path.write_bytes(data)
            load_state(path, types, torch.device("cpu"))
            return "taken"

        yield [("state", sample)], read


@contextmanager
def _records() -> Iterator[tuple[Samples, Read]]:

    with TemporaryDirectory() as folder:
        run = Path(folder)
        shutil.copytree(_run_folder(run / "made"), run / "run")
        files = [path for path in sorted((run / "made").rglob("*")) if path.is_file()]
        samples = [(str(path.relative_to(run / "made")), path.read_bytes()) for path in files]
        whole = dict(samples)

        def read(kind: str, data: bytes) -> str:
            (run / "run" / kind).write_bytes(data)
            try:
                load_run(run / "run")
                checkpoints_of(run / "run")
                load_timeline(run / "run" / "trace.json")
            finally:
                (run / "run" / kind).write_bytes(whole[kind])
            return "taken"

        yield samples, read


def _run_folder(directory: Path) -> Path:
    """Write a small run folder."""

    pair = RecordedNetwork(
        agents=2, family="peer", edges=((0, 1),), roles=("peer", "peer"), levels=(0, 0)
    )
    ledger = Ledger()
    ledger.record(1, 0, 0, 1, "embeddings", 100, 200)
    config = "name: small\nseed: 3\ntraining: {rounds: 2}\ntopology: {kind: ring}\n"
    recorder = Recorder(directory)
    recorder.start(config, pair, ["a", "b"], Retrieval.metrics)
    lines = [{"round": 1, "agent": f"agent-{agent}", "loss": 0.5} for agent in (0, 1)]
    text = "".join(f"{json.dumps(line)}\n" for line in lines)
    (directory / "metrics.jsonl").write_text(text, encoding="utf-8")
    (directory / "health.jsonl").write_text('{"round": 1, "paused": {}}\n', encoding="utf-8")
    recorder.ledger(ledger)
    recorder.summary({"name": "small", "status": "interrupted", "rounds": 1})
    manifest = Manifest(arm="together", round=1, agents={0: "a" * 64, 1: "b" * 64}, ledger="c" * 64)
    (directory / "checkpoints" / "together-00001").mkdir(parents=True)
    path = directory / "checkpoints" / "together-00001" / "manifest.json"
    path.write_text(manifest.model_dump_json(), encoding="utf-8")
    write_trace(Profile(), directory / "trace.json")
    return directory


TARGETS = {
    "messages": Target(_messages, (ProtocolError,), MESSAGES),
    "checkpoints": Target(_checkpoints, (RecordError,), SAFETENSORS),
    "records": Target(_records, (RecordError,), BLIND),
}
