"""``agentos generate``: continue a text with a causal agent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from agentos.cli.arguments import AsJson


def generate(
    source: Annotated[
        Path,
        typer.Argument(metavar="RUN_OR_FOLDER", help="A run folder, or a causal language model."),
    ],
    prompt: Annotated[str, typer.Option(help="Beginning of the text.")],
    agent: Annotated[
        int | None, typer.Option(min=0, help="Agent of the run; default 0.", show_default=False)
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Maximum number of tokens to add.")] = 40,
    beams: Annotated[int, typer.Option(help="Width of a beam search; 1 for none.")] = 1,
    sample: Annotated[bool, typer.Option("--sample", help="Sample tokens at random.")] = False,
    temperature: Annotated[
        float | None, typer.Option(help="Divides a sample's logits; default 1.")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="Sample from the k most probable tokens; default: all.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(help="Sample from the smallest set of tokens with this total probability."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the sampling; default 0.")] = None,
    count: Annotated[int, typer.Option(help="Number of texts to print.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Continue a text with a causal agent: greedily, by beam search, or by sampling.

    Example: agentos generate runs/generate --prompt "Return the" --sample --top-k 20 --count 3
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.records.saved_encoders import find_encoder
    from agents.models.generation import Decoding
    from agents.models.generation import generate as continue_text

    folder = find_encoder(source, agent)
    decoding = Decoding(max_new_tokens, beams, sample, temperature, top_k, top_p, seed, count)
    texts = continue_text(folder, prompt, decoding)
    if as_json:
        typer.echo(json.dumps({"prompt": prompt, "texts": texts}, indent=2))
        return
    console = SafeConsole()
    for text in texts:
        console.print(text, markup=False, highlight=False, soft_wrap=True)
