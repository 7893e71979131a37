"""Compare decoders that write together with the best of them: perplexity of text of all their domains.

Four decoders read the posts of one group of newsgroups each (``decoders.yaml``) and never exchange anything.
On held-out posts of all groups, the next token is predicted by the best single decoder, by their uniform
mixture, and by the mixture that weighs each by how well it knows the prefix.

    python -m experiments.studies.tasks.decoders train.parquet test.parquet --seeds 3

Runs that have finished are not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import typer
from numpy.typing import NDArray

from agentos import Simulation
from agentos.config.load import load
from agentos.records.layout import SUMMARY
from agentos.reporting.statistics import interval
from agentos.tasks.library import read_cards
from agents.answering.writing.mixture import (
    Posterior,
    Uniform,
    check_vocabularies,
    log_prior,
    perplexity,
)
from agents.models.next_token import NextToken
from experiments.studies.running import command
from protocols.seeding import generator

DOMAINS = {
    "computers": ("comp.",),
    "recreation": ("rec.",),
    "science": ("sci.",),
    "society": ("alt.", "soc.", "talk."),
}
LENGTH = 48
"""Tokens of a text, as in training."""
READ = 8
"""Tokens after which all decoders but the most probable one are dropped, in one of the rows."""
SINGLE, ORACLE = "best single decoder", "each domain's best decoder, known beforehand"
DROPPED = f"posterior mixture, after {READ} tokens the most probable decoder alone"

Logs = list[NDArray[np.float64]]
"""Log-probabilities `[J, T]` of the tokens of each text, under each agent."""


def domain_of(label: str) -> str | None:
    """Return the domain of a newsgroup; None where it belongs to none."""
    return next((name for name, heads in DOMAINS.items() if label.startswith(heads)), None)


def by_domain(file: Path) -> list[dict[str, str]]:
    """Return the posts of a file that belong to a domain, labelled by it."""
    rows = pq.read_table(file).to_pylist()
    found = ((row["text"], domain_of(row["label"])) for row in rows)
    return [{"text": text, "label": domain} for text, domain in found if domain is not None]


def trained(runs: Path, train: Path, seed: int, overrides: Sequence[str]) -> Path:
    """Return the folder of the decoders of a seed, which are trained if they are not there."""
    folder = runs / f"seed-{seed}"
    if not (folder / SUMMARY).exists():
        source = runs / "domains.parquet"
        runs.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(by_domain(train)), source)
        config = Path(__file__).with_name("decoders.yaml")
        chosen = [f"data.source.path={source}", f"seed={seed}", *overrides]
        Simulation(load(str(config), chosen), out=folder).run()
    return folder


def scored(
    decoders: Sequence[NextToken], posts: Sequence[dict[str, str]], count: int, seed: int
) -> tuple[Logs, list[str]]:
    """Return the log-probabilities of drawn posts, as many of each domain, and their domains."""
    logs, domains = [], []
    for domain in DOMAINS:
        own = [post["text"] for post in posts if post["label"] == domain]
        for row in generator(seed, "decoders", domain).permutation(len(own))[:count]:
            ids = decoders[0].framed(own[row], LENGTH)
            logs.append(np.stack([each.token_log_probabilities(ids) for each in decoders]))
            domains.append(domain)
    return logs, domains


def perplexities(logs: Logs, domains: Sequence[str], origins: Sequence[str]) -> dict[str, float]:
    """Return the perplexity of all texts for every way to predict.

    The best single decoder is chosen with these very texts, which favours it, as the domains' best do.
    """
    singles = [perplexity([each[agent] for each in logs]) for agent in range(len(origins))]
    prior = log_prior(origins)
    mixtures = {
        f"{each.kind} mixture": perplexity([each.token_log_probabilities(x, prior) for x in logs])
        for each in (Posterior(), Uniform())
    }
    dropped = perplexity([after_reading(each, prior) for each in logs])
    known = perplexity(of_best_in_domain(logs, domains))
    return {SINGLE: min(singles), **mixtures, DROPPED: dropped, ORACLE: known}


def after_reading(logs_JT: NDArray[np.float64], prior: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log-probabilities `[T]` of the mixture that keeps one agent after `READ` tokens."""
    first = Posterior().token_log_probabilities(logs_JT[:, :READ], prior)
    kept = int((logs_JT[:, :READ].sum(axis=1) + prior).argmax())
    return np.concatenate([first, logs_JT[kept, READ:]])


def of_best_in_domain(logs: Logs, domains: Sequence[str]) -> Logs:
    """Return log-probabilities of each text under the decoder that is best in the text's domain."""
    found: Logs = []
    for domain in DOMAINS:
        own = [each for each, its in zip(logs, domains, strict=True) if its == domain]
        totals = np.sum([each.sum(axis=1) for each in own], axis=0)
        found += [each[int(totals.argmax())] for each in own]
    return found


def measured(
    folder: Path, posts: Sequence[dict[str, str]], count: int, seed: int
) -> tuple[dict[str, float], float]:
    """Return the perplexities of one seed, and the FLOPs of a token under one decoder."""
    cards = read_cards(folder)
    decoders = [NextToken.load(Path(card.path), card.origin) for card in cards]
    check_vocabularies([each.vocabulary for each in decoders])
    logs, domains = scored(decoders, posts, count, seed)
    found = perplexities(logs, domains, [each.origin for each in decoders])
    return found, decoders[0].flops / sum(each.shape[1] for each in logs)


def table(results: Sequence[dict[str, float]], flops: float) -> str:
    """Return a Markdown table: perplexity, FLOPs of a token, and what is lower than for the best decoder."""
    agents = len(DOMAINS)
    shared = (READ * agents + LENGTH - READ) / LENGTH
    costs = {SINGLE: 1.0, ORACLE: 1.0, DROPPED: shared}
    lines = [
        f"| next token by | perplexity | lower than {SINGLE} | FLOPs of a token |",
        "| --- | --- | --- | --- |",
    ]
    for name in results[0]:
        values = interval([each[name] for each in results])
        gain = interval([100 * (1 - each[name] / each[SINGLE]) for each in results])
        cost = costs.get(name, float(agents)) * flops
        lower = "" if name == SINGLE else f"{gain.mean:.1f} ± {gain.half_width:.1f} %"
        lines.append(
            f"| {name} | {values.mean:.1f} ± {values.half_width:.1f} | {lower} | {cost:.3g} |"
        )
    return "\n".join(lines)


def main(
    train: Annotated[
        Path, typer.Argument(help="Posts to train on: a Parquet file of text, label.")
    ],
    test: Annotated[Path, typer.Argument(help="Posts to test on.")],
    override: Annotated[
        list[str] | None, typer.Argument(metavar="KEY.PATH=VALUE", help="Fields of the run.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=2, help="Number of seeds.")] = 3,
    texts: Annotated[int, typer.Option(min=1, help="Test posts of each domain.")] = 200,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/decoders"),
    results: Annotated[Path, typer.Option(help="File to write.")] = Path(
        "experiments/results/decoders.md"
    ),
) -> None:
    """Train decoders of four domains under several seeds; write the table of their perplexities."""
    posts, found, flops = by_domain(test), [], 0.0
    for seed in range(seeds):
        folder = trained(runs, train, seed, override or ())
        perplexity_by_way, flops = measured(folder, posts, texts, seed)
        found.append(perplexity_by_way)
    text = (
        f"# Decoders that write together\n\n`{command('tasks.decoders')}`\n\n"
        f"Perplexity of {texts} held-out posts of each of {len(DOMAINS)} domains ({', '.join(DOMAINS)}), "
        f"up to {LENGTH} tokens, under {len(DOMAINS)} decoders that have read one domain each. "
        f"{seeds} seeds: mean ± half-width of a 95 % Student interval. The best single decoder is chosen "
        f"with the test posts, which favours it.\n\n{table(found, flops)}\n"
    )
    results.write_text(text, encoding="utf-8")
    typer.echo(text)


if __name__ == "__main__":
    typer.run(main)
