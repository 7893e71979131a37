"""Fixtures shared by many tests: a little text, agents that read it, small runs, hosts that stay up."""

from __future__ import annotations

import functools
import gc
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from pydantic import PrivateAttr

from agentos.runtime.base import Runtime, Session
from agentos.runtime.host_calls import Answer, HostCall
from agentos.runtime.ray.runtime import RayRuntime

if TYPE_CHECKING:
    from agentos import RunConfig
    from agents.training.blueprint import Blueprint

gc.set_threshold(20_000)
"""Imports and collected tests are many objects and little garbage: so, collecting takes half as long."""
os.environ.setdefault("RAY_worker_niceness", "0")
"""Ray's workers give way to every other process, the rest of these tests too, unless told not to."""

settings.register_profile(
    "any_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any_machine")

TOPICS = (
    "wave tide ship harbour salt fish net storm sail deck coast gull",
    "field wheat plough barn horse hay seed harvest cow fence mill soil",
    "street tram market clock bridge tower lamp square shop crowd bell roof",
    "cloud star moon wind comet orbit planet dawn light rain thunder kite",
)
SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


@functools.cache
def marked_in(path: Path) -> dict[str, str]:
    """Return the mark of each test of a file that uses Ray, by its name; "" stands for every other one."""
    text = path.read_text(encoding="utf-8")
    found = re.findall(r"^@pytest\.mark\.(own_ray|ray)\n(?:(?!def ).*\n)*def (\w+)", text, re.M)
    marks = {name: mark for mark, name in found}
    whole = re.search(r"^[^@\n]*pytest\.mark\.(own_ray|ray)\b", text, re.M)
    return {"": whole[1], **marks} if whole else marks


def group_of(root: Path, nodeid: str) -> str:
    """Return the group of a test; the tests of a group run in one process, one after the other.

    All tests that use the Ray of `ray_cluster` are one group, and so are those with clusters of their own, of
    which two at a time would be too many. The others are grouped by their files, whose fixtures they share.
    """
    path, _, test = nodeid.partition("::")
    marks = marked_in(root / path)
    return marks.get(test.partition("[")[0], marks.get("", path))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that use Ray: they wait more than they work, and last longest."""
    order = {"ray": 0, "own_ray": 1}
    items.sort(key=lambda item: order.get(group_of(item.config.rootpath, item.nodeid), len(order)))


def pytest_collection_finish() -> None:
    """Let garbage be sought among what the tests make, not among themselves and what they import."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand groups to processes in the order of their first tests.

    By hand: pytest-xdist 3.8 takes no notice of `xdist_group` under pytest 9.2 (its issue 1386).
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(config.rootpath, nodeid)

    config.option.loadscopereorder = False  # not the largest first
    return ByGroup(config, log)


@pytest.fixture(scope="session", autouse=True)
def _no_wait_for_the_disk() -> Iterator[None]:
    """Sync no file: what has not reached the disk is lost only with the power, which no test cuts."""

    def sync(descriptor: int) -> None:
        os.fstat(descriptor)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "fsync", sync)
        yield


@pytest.fixture(scope="session")
def sentences() -> tuple[str, ...]:
    """160 texts of 6 to 30 words, text i about topic i mod 4."""
    rng = np.random.default_rng(11)
    return tuple(
        " ".join([*rng.choice(TOPICS[i % 4].split(), size=rng.integers(5, 30)), "and"])
        for i in range(160)
    )


@pytest.fixture(scope="session")
def tokenizer(sentences: tuple[str, ...]) -> Iterator[Any]:
    """A WordPiece tokenizer that knows every word, and frames a text as [CLS] text [SEP]."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted({word for text in sentences for word in text.split()})
    letters = [letter for c in "abcdefghijklmnopqrstuvwxyz" for letter in (c, f"##{c}")]
    vocabulary = {token: i for i, token in enumerate([*SPECIAL.values(), *letters, *words])}
    backend = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(token, vocabulary[token]) for token in ("[CLS]", "[SEP]")],
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, **SPECIAL)
    yield tokenizer
    assert len(tokenizer) == len(vocabulary), "a test changed the tokenizer of all tests"


@pytest.fixture(scope="session")
def save_encoder(tokenizer: Any) -> Callable[..., Path]:
    """Save a small encoder of random weights and its tokenizer in a folder; return the folder."""
    import torch
    from transformers import BertConfig, BertModel

    def save(folder: Path, seed: int = 0, width: int = 16) -> Path:
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=width,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=width,
            max_position_embeddings=24,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            BertModel(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save


class Documents(list):  # type: ignore[type-arg]
    """Token ids in memory, as a store of tokens; a sentence every four tokens."""

    def sentences(self, row: int) -> np.ndarray:
        return np.arange(0, len(self[row]), 4)


@pytest.fixture(scope="session")
def documents(sentences: tuple[str, ...], tokenizer: Any) -> Documents:
    """The sentences' token ids without special tokens."""
    encoded = tokenizer(list(sentences), add_special_tokens=False)["input_ids"]
    return Documents(np.asarray(ids, dtype=np.int32) for ids in encoded)


@pytest.fixture(scope="session")
def make_blueprint(tokenizer: Any, documents: list[np.ndarray]) -> Callable[..., Any]:
    """Make the blueprint of agents with 8, 11, 14, ... private texts each, and some anchors.

    Every agent also knows the class of four other texts, one about each topic. The agents take the given
    encoders in turn. What is not named here goes to the `Blueprint`.
    """
    from agents.config import EncoderConfig
    from agents.exchange.base import Heads
    from agents.objectives import InfoNCE
    from agents.training.blueprint import Anchors, Blueprint, Group, Member
    from agents.training.config import TrainingConfig

    def make(
        agents: int = 2,
        *,
        encoders: Sequence[Any] = (EncoderConfig(preset="nano", dropout=0.0),),
        anchors: int = 12,
        training: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Any:
        starts = np.cumsum([anchors, *(8 + 3 * agent for agent in range(agents))])
        steps = {"local_steps": 2, "batch_size": 12, "max_length": 12, "warmup_steps": 3}
        values = {
            "seed": 3,
            "groups": tuple(Group(encoder, tokenizer, documents) for encoder in encoders),
            "members": tuple(
                Member(
                    agent,
                    agent % len(encoders),
                    np.arange(starts[agent], starts[agent + 1]),
                    labelled=np.arange(4) + (132 + 4 * agent) % 160,
                    classes=np.arange(4),
                )
                for agent in range(agents)
            ),
            "anchors": Anchors(np.arange(anchors), np.arange(anchors) % 4),
            "objectives": (InfoNCE(),),
            "training": TrainingConfig(**{**steps, **(training or {})}),
            "heads": Heads(),
            "evaluate": lambda subject: (
                {"norm": float(np.linalg.norm(subject.embed(["wave tide ship"])))},
                {},
            ),
            "evaluation_length": 16,
            "device": "cpu",
        }
        return Blueprint(**{**values, **fields})

    return make


class KeptStore:
    """Messages in one process: the handle is the list of copies."""

    def put(self, packets: Iterable[Any]) -> Any:
        return [packet.joined() for packet in packets]

    def get(self, handles: Sequence[Any]) -> list[Any]:
        return list(handles)


@pytest.fixture(scope="session")
def make_host(make_blueprint: Callable[..., Any]) -> Callable[..., Any]:
    """Make a host of the agents of a blueprint; see `make_blueprint`."""
    from agents.hosting.host import Host

    def make(agents: int = 2, **fields: Any) -> Any:
        host = Host(KeptStore())
        host.build(make_blueprint(agents, **fields))
        return host

    return make


@functools.cache
def noise_of(agent: int, size: int) -> Any:
    """Draw by how much the parameters of an agent differ from those that all begin with."""
    import torch

    return 0.02 * torch.randn(size, generator=torch.Generator().manual_seed(agent))


class Society:
    """Agents of one host under an exchange and a network, taken through the hops of a round.

    Args:
        host: its agents; each begins with other parameters.
        network: who speaks to whom.
        exchange: how.
    """

    def __init__(self, host: Any, network: Any, exchange: Any) -> None:
        from agents.training.blueprint import Arm

        self.host, self.network, self.exchange = host, network, exchange
        host.begin(Arm(exchange, exchange.anchor_fraction))
        for agent in host.agents.values():
            agent.parameters.add_(noise_of(agent.id, len(agent.parameters)))

    def scheduled_hops(self, round: int) -> list[Any]:
        """Return the hops of a round, of every part and pass of the exchange, due or not."""
        from agentos.rounds.hop_schedule import ScheduledHop

        hops = [
            (index, passage, hop)
            for index, part in enumerate(self.exchange.parts)
            for passage in range(part.passes)
            for hop in self.network.hops(round)
        ]
        return [ScheduledHop(round, number, *hop) for number, hop in enumerate(hops)]

    def turn(self, scheduled: Any, agent: int) -> Any:
        from agentos.rounds.hop_schedule import turn_of

        return turn_of(self.network, scheduled, agent)

    def compose(self, scheduled: Any, reverse: bool = False) -> Any:
        """Let the senders of a hop speak, the last first where it is reversed."""
        senders = sorted({sender for sender, _ in scheduled.hop.edges}, reverse=reverse)
        turns = {
            sender: (self.turn(scheduled, sender), scheduled.hop.recipients(sender))
            for sender in senders
        }
        return self.host.compose(turns, scheduled.part)

    def addressed(self, outbox: Any, agent: int) -> list[Any]:
        """Return the messages to an agent."""
        sent = zip(outbox.recipients, outbox.handle, strict=True)
        return [buffer for recipients, buffer in sent if agent in recipients]

    def deliver(self, scheduled: Any, agent: int, buffers: Sequence[Any]) -> list[str]:
        """Hand buffers to one agent; return the reasons of those it rejected."""
        from agents.hosting.delivery import Delivery

        messages = tuple((0, index) for index in range(len(buffers)))
        delivery = Delivery(
            self.turn(scheduled, agent), frozenset(scheduled.hop.senders(agent)), messages
        )
        rejected: list[str] = self.host.merge([list(buffers)], {agent: delivery}, scheduled.part)[
            agent
        ]
        return rejected

    def run(self, round: int, reverse: bool = False) -> None:
        """Take every hop of a round; nothing may be rejected."""
        for scheduled in self.scheduled_hops(round):
            self.take(scheduled, reverse)

    def take(self, scheduled: Any, reverse: bool = False) -> None:
        """Take one hop; nothing may be rejected."""
        outbox = self.compose(scheduled, reverse)
        for agent in sorted({receiver for _, receiver in scheduled.hop.edges}, reverse=reverse):
            assert self.deliver(scheduled, agent, self.addressed(outbox, agent)) == []

    def train(self, round: int) -> dict[int, dict[str, float]]:
        """Take a step with three of the seven, the top and a leaf of every tree among them."""
        return {id: self.host.agents[id].train(self.host.arm, round) for id in (0, 3, 6)}


@pytest.fixture(scope="session")
def make_society(make_host: Callable[..., Any]) -> Callable[..., Society]:
    """Make seven agents under an exchange and a topology.

    The hosts of the usual agents are built once, and so are those of others that have a name.
    """
    from agents.config import EncoderConfig
    from agents.objectives import InfoNCE, Labelled

    hosts: dict[Any, Any] = {}

    def make(
        exchange: Any,
        topology: Any,
        widths: Sequence[str] = ("nano",),
        named: str = "",
        **changed: Any,
    ) -> Society:
        encoders = tuple(EncoderConfig(preset=preset, dropout=0.0) for preset in widths)
        heads = exchange.heads(frozenset({"nano": 64, "tiny": 128}[preset] for preset in widths))
        own = max(part.wants_own_labels for part in exchange.parts)
        objectives = (InfoNCE(), Labelled(classes=own)) if own else (InfoNCE(),)
        fields = {
            "encoders": encoders,
            "heads": heads,
            "objectives": objectives,
            "training": {"local_steps": 1},
        }
        if changed and not named:
            host = make_host(7, **fields, **changed)
            return Society(host, topology.build(7, seed=0), exchange)
        key = heads, encoders, own, named
        if key not in hosts:
            hosts[key] = make_host(7, **fields, **changed)
        return Society(hosts[key], topology.build(7, seed=0), exchange)

    return make


LABELS = ("sea", "farm", "town", "sky")
"""The class of a text about each of the topics."""


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JSON lines file of 240 short labelled documents, each a first line and a body."""
    rng = np.random.default_rng(5)
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    with path.open("w", encoding="utf-8") as stream:
        for number in range(240):
            words = rng.choice(TOPICS[number % 4].split(), size=30)
            text = f"{' '.join(words[:6])} {number}\n\n{' '.join(words[6:])} the {number} of a"
            stream.write(json.dumps({"text": text, "label": LABELS[number % 4]}) + "\n")
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of prepared text that the session's runs share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def small_values(corpus_file: Path) -> dict[str, Any]:
    """The configuration of a run of four agents that takes about a second, as plain values."""
    return {
        "name": "small",
        "data": {
            "source": {"kind": "jsonl", "path": str(corpus_file), "label": "label"},
            "partition": {"kind": "dirichlet", "alpha": 1.0},
            "anchors": 32,
            "heldout": 0.25,
            "tokenizer": {"vocabulary_size": 400},
        },
        "agents": {"count": 4, "encoder": {"preset": "nano"}},
        "training": {
            "rounds": 2,
            "local_steps": 2,
            "batch_size": 12,
            "max_length": 16,
            "warmup_steps": 2,
        },
        "evaluation": {
            "every": 2,
            "tasks": ["retrieval", "probe"],
            "documents": 40,
            "explained": 0,
        },
        "baseline": {"saved_encoders": False},
        "health": {"every": 1},
        "checkpoints": {"every": 4, "keep": 2},
        "runtime": "local",
    }


@pytest.fixture(scope="session")
def small(small_values: dict[str, Any]) -> Callable[..., RunConfig]:
    """Make the configuration of a run that takes about a second."""
    from agentos import RunConfig

    def make(**changes: Any) -> RunConfig:
        return RunConfig.model_validate({**small_values, **changes})

    return make


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing, where it is about the records."""
    monkeypatch.setattr("agentos.simulation.arms.write_report", lambda directory: None)


class Warm(Runtime):
    """Three Ray hosts that stay up from one run to the next."""

    kind: Literal["warm"] = "warm"
    _session: Session = PrivateAttr()

    def start(self, blueprint: Blueprint, address: str | None = None) -> Session:
        self._session.build(blueprint)
        return StaysOpen(self._session)

    def open(self, agents: int, address: str | None = None) -> Session:
        self._session.placement = {agent: agent % 3 for agent in range(agents)}
        return StaysOpen(self._session)


class StaysOpen(Session):
    """A session that outlives those who close it."""

    def __init__(self, session: Session) -> None:
        self.inner = session
        self.placement = session.placement

    def build(self, blueprint: Blueprint) -> None:
        self.inner.build(blueprint)

    def call(self, calls: Mapping[int, HostCall[Answer]]) -> dict[int, Answer]:
        return self.inner.call(calls)

    def kill(self, host: int) -> None:
        self.inner.kill(host)

    def revive(self) -> tuple[int, ...]:
        return self.inner.revive()

    def close(self) -> None:
        pass


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """Ray, started once for all tests; cores are pretended, to hold every layout at once."""
    import ray

    ray.init(
        address="local",
        num_cpus=12,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=200 * 2**20,
        # A worker waits for an actor on every core, real or not, unless it is told not to.
        _system_config={"enable_worker_prestart": False},
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def warm(ray_cluster: None) -> Iterator[Warm]:
    """A runtime over three hosts that are started once: of four agents, two share one."""
    runtime = Warm()
    runtime._session = RayRuntime(hosts=3).open(agents=4)
    yield runtime
    runtime._session.close()
