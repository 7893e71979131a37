from __future__ import annotations

import pytest

from agents.config import EncoderConfig
from agents.exchange.isolated import Isolated
from agents.exchange.private.dcco import DCCO
from agents.objectives import VAE, InfoNCE
from agents.training.blueprint import Arm
from agents.training.stacked.stack_size import choose_stack
from protocols.errors import ConfigurationError

ALONE = Arm(Isolated(), 0.0)
NANO = EncoderConfig(preset="nano")

ALONE_BECAUSE = {
    "pooling by the first token": {"encoders": (EncoderConfig(preset="nano", pooling="cls"),)},
    "layers are frozen": {"encoders": (EncoderConfig(preset="nano", frozen_layers=1),)},
    "objective info_nce does not encode": {"objectives": (InfoNCE(queue=8),)},
    "objective vae does not encode": {"objectives": (VAE(),)},
    "several threads": {"threads": 2},
    "micro_batch_tokens": {"training": {"micro_batch_tokens": 64}},
    "activation_checkpointing": {"training": {"activation_checkpointing": True}},
    "gain nothing from a stack": {"training": {"precision": "bf16"}},
}


@pytest.mark.parametrize(
    ("preset", "batch_size", "length", "size"),
    [
        # Weights of the layers, 100,000 in nano and 397,000 in tiny, times tokens: at most 2e8 / 4 of each.
        ("nano", 4, 16, 16),
        ("nano", 8, 32, 4),
        ("nano", 32, 32, 1),
        ("tiny", 4, 16, 4),
        ("tiny", 8, 32, 1),
        ("small", 4, 16, 1),
    ],
)
def test_auto_takes_stacks_where_a_step_is_small(make_host, preset, batch_size, length, size):
    training = {"batch_size": batch_size, "max_length": length}
    host = make_host(1, encoders=(EncoderConfig(preset=preset),), training=training, stack="auto")
    assert choose_stack(host.residents[0], ALONE).size == size


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reason", ALONE_BECAUSE)
def test_agents_that_cannot_train_together_are_told_of_or_refused(make_host, reason):
    fields = ALONE_BECAUSE[reason]
    host = make_host(1, stack="auto", **fields)
    choice = choose_stack(host.residents[0], ALONE)
    assert choice.size == 1
    assert reason in choice.reason
    wanted = make_host(1, stack=4, **fields)
    with pytest.raises(ConfigurationError, match=r"runtime\.stack") as caught:
        wanted.begin(ALONE)
    assert reason in str(caught.value)


def test_exchange_that_previews_a_step_keeps_agents_apart(make_host):
    exchange = DCCO()
    host = make_host(2, stack="auto", heads=exchange.heads(frozenset({64})))
    assert "dcco repeats a step" in choose_stack(host.residents[0], Arm(exchange, 0.0)).reason


def test_loaded_encoder_trains_alone(make_host, tmp_path):
    host = make_host(1)
    host.begin(ALONE)
    host.agents[0].save(tmp_path / "encoder")
    loaded = make_host(1, encoders=(EncoderConfig(path=str(tmp_path / "encoder")),), stack="auto")
    assert "the encoder is loaded" in choose_stack(loaded.residents[0], ALONE).reason


def test_host_tells_how_each_architecture_trains(make_host):
    host = make_host(
        3,
        encoders=(NANO, EncoderConfig(preset="nano-decoder"), EncoderConfig(preset="small")),
        training={"batch_size": 4},
        stack="auto",
    )
    told = host.describe_stacks(ALONE)
    assert told["nano"] == told["nano-decoder"] == "in stacks of 16"
    assert told["small"].startswith("one by one: a step is too large")
