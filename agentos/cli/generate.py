"""``agentos generate``: let a causal agent go on with a text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def generate(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN_OR_FOLDER", help="A run folder, or a causal language model."),
    ],
    prompt: Annotated[str, typer.Option(help="How the text begins.")],
    agent: Annotated[
        int | None, typer.Option(min=0, help="Agent of the run; default 0.", show_default=False)
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens to add, at most.")] = 40,
    beams: Annotated[int, typer.Option(help="Width of a beam search; 1 for none.")] = 1,
    sample: Annotated[bool, typer.Option("--sample", help="Draw tokens at random.")] = False,
    temperature: Annotated[
        float | None, typer.Option(help="Divides a sample's logits; default 1.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Draw among so many tokens; default: all.")
    ] = None,
    top_p: Annotated[
        float | None, typer.Option(help="Draw among the fewest tokens of this probability.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of a sample; default 0.")] = None,
    count: Annotated[int, typer.Option(help="Texts to print.")] = 1,
) -> None:
    """Let a causal agent go on with a text: greedily, by beam search, or by sampling.

    Example: agentos generate runs/generate --prompt "Return the" --sample --top-k 20 --count 3
    """
    from rich.console import Console

    from agentos.records.saved_encoders import find_encoder
    from agents.models.generation import Decoding
    from agents.models.generation import generate as go_on

    folder = find_encoder(source, agent)
    decoding = Decoding(max_new_tokens, beams, sample, temperature, top_k, top_p, seed, count)
    console = Console()
    for text in go_on(folder, prompt, decoding):
        console.print(text, markup=False, highlight=False, soft_wrap=True)
