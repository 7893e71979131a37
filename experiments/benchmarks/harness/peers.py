"""Peers to measure AgentOS against: a plain PyTorch loop, Flower's simulation on Ray, and matrix products.

This module imports nothing of AgentOS, so that it runs in its own environment. It is run as a module,
since Flower's workers must be able to import what they are sent:

    PYTHONPATH=experiments/benchmarks/harness PYTHON -c "import peers; peers.main()" \
        '{"peer": "flower", "agents": 32, "rounds": 4, "floats": 0}'

It prints the seconds of each round as JSON. With `floats` above 0, agents send that many numbers and do not
train.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize
from transformers import BertConfig, BertModel

PAIRS, TOKENS, VOCABULARY, LEARNING_RATE, TEMPERATURE = 32, 32, 8192, 0.01, 0.05
STEPS = 2


@cache
def model() -> Any:
    """Build the encoder once per process: a BERT of 2 layers x 128, like the preset tiny of AgentOS.

    Like that preset, it applies dropout to hidden states and none to attention weights.
    """
    config = BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=512,
        max_position_embeddings=512,
        attention_probs_dropout_prob=0.0,
    )
    return BertModel(config, add_pooling_layer=False).train()


def train(
    agent: int, round: int, steps: int = STEPS, pooling: str = "mean", precision: str = "fp32"
) -> None:
    """Train one agent: pairs of random texts, in-batch negatives, SGD."""
    encoder = model()
    optimizer = torch.optim.SGD(encoder.parameters(), lr=LEARNING_RATE)
    rng = np.random.default_rng((agent, round))
    for _ in range(steps):
        ids = torch.from_numpy(rng.integers(5, VOCABULARY, size=(2 * PAIRS, TOKENS)))
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            states = encoder(ids, attention_mask=torch.ones_like(ids)).last_hidden_state.float()
        pooled = states[:, 0] if pooling == "cls" else states.mean(dim=1)
        first, second = normalize(pooled, dim=-1).chunk(2)
        logits = first @ second.T / TEMPERATURE
        loss = cross_entropy(logits, torch.arange(PAIRS))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def serial(
    agents: int,
    rounds: int,
    threads: int,
    steps: int = STEPS,
    pooling: str = "mean",
    precision: str = "fp32",
) -> list[float]:
    """Train one agent after another in this process, and average; return the seconds of each round."""
    torch.set_num_threads(threads)
    values = [parameter.data for parameter in model().parameters()]
    common = [value.clone() for value in values]
    seconds = []
    for round in range(rounds):
        began = time.perf_counter()
        total = [torch.zeros_like(value) for value in values]
        for agent in range(agents):
            for value, initial in zip(values, common, strict=True):
                value.copy_(initial)
            train(agent, round, steps, pooling, precision)
            for each, value in zip(total, values, strict=True):
                each.add_(value, alpha=1 / agents)
        common = total
        seconds.append(time.perf_counter() - began)
    return seconds


def products(agents: int, rounds: int, processes: int = 2, pooling: str = "mean") -> list[float]:
    """Return the seconds of each round's matrix products alone, shared between processes.

    These are the products of the linear layers, forward and backward, in float32 on one thread each. With
    mean pooling no program that trains these agents on these cores can be faster. With first-token pooling,
    the last layer computes keys and values for every token and all else for the first; AgentOS avoids those
    keys and values too (`agents.models.cpu.first_token`).
    """
    share = -(-agents // processes)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        parts = [pool.submit(_multiply, share, rounds, pooling) for _ in range(processes)]
        return [max(seconds) for seconds in zip(*(part.result() for part in parts), strict=True)]


def _multiply(agents: int, rounds: int, pooling: str) -> list[float]:
    torch.set_num_threads(1)
    shapes = []
    for name, module in model().named_modules():
        if type(module) is torch.nn.Linear:
            every_token = (
                pooling == "mean" or "layer.1." not in name or "key" in name or "value" in name
            )
            shapes.append((2 * PAIRS * (TOKENS if every_token else 1), *module.weight.shape))
    # One set of matrices for each shape, so that as much as possible stays in the caches.
    sets = {shape: _matrices(*shape) for shape in set(shapes)}
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(agents * STEPS):
            for shape in shapes:
                weight, x, gradient, y, d_weight, d_x = sets[shape]
                torch.mm(x, weight.T, out=y)
                torch.mm(gradient.T, x, out=d_weight)
                torch.mm(gradient, weight, out=d_x)
        seconds.append(time.perf_counter() - began)
    return seconds


def _matrices(tokens: int, outputs: int, inputs: int) -> list[Any]:
    shapes = [(outputs, inputs), (tokens, inputs), (tokens, outputs)]
    return [torch.randn(shape) for shape in shapes] + [
        torch.empty(shape) for shape in ((tokens, outputs), (outputs, inputs), (tokens, inputs))
    ]


def flower(
    agents: int, rounds: int, floats: int, pooling: str = "mean", cores: int = 1
) -> list[float]:
    """Run Flower's simulation with FedAvg over all agents; return the seconds of each round.

    Args:
        agents: number of clients.
        rounds: number of rounds.
        floats: numbers that each client sends instead of training; 0 to train.
        pooling: how token states become one vector: mean or cls.
        cores: cores reserved for each client, which limits how many run at a time; Flower's default is 2.
    """
    # Imported here: the other peers run in AgentOS's own environment, which has no Flower.
    from flwr.client import ClientApp
    from flwr.server import ServerApp
    from flwr.simulation import run_simulation

    ends: list[float] = []
    client = _client(floats, pooling, cores)
    run_simulation(
        server_app=ServerApp(server_fn=lambda _: _server(agents, rounds, floats, ends)),
        client_app=ClientApp(client_fn=client),
        num_supernodes=agents,
        backend_config={
            # Without an address it may wait for a Ray that was killed and left its address behind.
            "init_args": {"address": "local"},
            "client_resources": {"num_cpus": cores, "num_gpus": 0.0},
        },
    )
    seconds: list[float] = np.diff(ends).tolist()
    return seconds


def _server(agents: int, rounds: int, floats: int, ends: list[float]) -> Any:
    """Return a server that averages the clients' parameters and records the end of each round."""
    from flwr.common import ndarrays_to_parameters
    from flwr.server import ServerAppComponents, ServerConfig
    from flwr.server.strategy import FedAvg

    class Complete(FedAvg):  # type: ignore[misc,unused-ignore]
        """FedAvg that fails with any client; Flower would go on without it."""

        def aggregate_fit(self, server_round: int, results: list[Any], failures: list[Any]) -> Any:
            if len(results) < agents:
                raise RuntimeError(f"{agents - len(results)} clients failed: {failures[:1]}")
            return super().aggregate_fit(server_round, results, failures)

    initial = (
        [np.zeros(floats, np.float32)]
        if floats
        else [parameter.detach().numpy() for parameter in model().parameters()]
    )
    strategy = Complete(
        fraction_fit=1.0,
        fraction_evaluate=0.0,
        min_fit_clients=agents,
        min_available_clients=agents,
        initial_parameters=ndarrays_to_parameters(initial),
        on_fit_config_fn=lambda round: {"round": round},
        evaluate_fn=lambda *_: ends.append(time.perf_counter()),
    )
    return ServerAppComponents(strategy=strategy, config=ServerConfig(num_rounds=rounds))


def _client(floats: int, pooling: str, cores: int) -> Callable[[Any], Any]:
    """Return a factory of clients that train on their own pairs, or return what they were sent."""
    from flwr.client import NumPyClient

    class Client(NumPyClient):  # type: ignore[misc,unused-ignore]
        def __init__(self, agent: int) -> None:
            self.agent = agent

        def fit(self, parameters: list[Any], config: dict[str, Any]) -> Any:
            if floats:
                return parameters, 1, {}
            torch.set_num_threads(cores)
            values = [parameter.data for parameter in model().parameters()]
            for value, initial in zip(values, parameters, strict=True):
                value.copy_(torch.from_numpy(initial))
            train(self.agent, int(config["round"]), pooling=pooling)
            return [value.numpy().copy() for value in values], PAIRS * STEPS, {}

    return lambda context: Client(int(context.node_config["partition-id"])).to_client()


def main() -> None:
    """Run the peer that the first argument names, with its other entries as parameters."""
    task = json.loads(sys.argv[1])
    peers: dict[str, Callable[..., list[float]]] = {
        "serial": serial,
        "flower": flower,
        "products": products,
    }
    peer = peers[task.pop("peer")]
    sys.stdout.write(json.dumps(peer(**task)) + "\n")
