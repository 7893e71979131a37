"""The PyTorch loop of `peers` with AgentOS's dropout, attention and memory: the rest is a framework's cost.

It runs as `peers` does, and takes the same argument.
"""

from __future__ import annotations

import torch

from agents.models.cpu.bfloat16 import has_bfloat16_units
from agents.models.cpu.byte_dropout import use_byte_dropout
from agents.models.cpu.malloc import keep_freed_memory
from agents.models.cpu.matmul_attention import use_matmul_attention
from experiments.benchmarks.harness import peers


def main() -> None:
    """Run a loop whose encoder computes as AgentOS's does."""
    keep_freed_memory()
    use_byte_dropout(peers.model())
    if has_bfloat16_units(torch.device("cpu")):
        use_matmul_attention(peers.model())
    peers.main()
