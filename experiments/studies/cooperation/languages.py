"""Measure whether cooperation pays among agents that share no token: characters, or a cipher of its own each.

In one cell all agents read the same subwords, in another half of them read characters, and in a third each
agent reads a letter-for-letter cipher of its own, so that all they share are the numbers of the public
anchors and the names of the labels. Tokenizers are trained on the anchors and an agent's own text. The arms
are those of few labels (``languages.yaml``); every arm is also asked for its vote and its joint embedding.

    python -m experiments.studies.cooperation.languages --jobs 2

Runs that have finished are not repeated, so an interrupted study continues where it stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from tokenizers import models, normalizers
from transformers import PreTrainedTokenizerFast

from agentos.config.run import RunConfig
from agentos.data.config import TokenizerConfig
from agentos.data.tokenization.tokenizer import SPECIAL_TOKENS, train
from agentos.events import Listener
from agentos.reporting.statistics import interval
from agentos.simulation.preparation import prepare_corpus
from agentos.sweep.config import load_sweep, validated
from agentos.sweep.execute import Folder, jobs_for
from agentos.sweep.plan import Planned, plan
from agentos.sweep.rows import FINISHED, RESULTS, Row, read_table
from agents.models.build import build_backbone
from agents.models.pretrained import no_progress_bars
from experiments.studies.cooperation.lexical_labels import ALONE, POOLED, VOTE, label_rows
from experiments.studies.cooperation.paired_lines import ASKED, Line, Pair, interval_text, table
from experiments.studies.exchange import FIRST_SEED
from experiments.studies.exchange_tables import markdown
from experiments.studies.running import chosen, command, run
from protocols.seeding import derive, generator

ARMS = Path(__file__).with_name("languages.yaml")
ALIKE, CHARACTERS, CIPHERS = "alike", "characters", "ciphers"
CONTROL, TOGETHER = "self_training", "pseudo_labels"
LABELS, PROBE = "own_labels_accuracy", "probe_accuracy"
SECTIONS = {
    "Few labels": (
        LABELS,
        (
            *(CONTROL, "shuffled", TOGETHER),
            *(f"{arm}, {ASKED}" for arm in (CONTROL, TOGETHER)),
            *(ALONE, VOTE, POOLED),
        ),
    ),
    "The joint embedding": (PROBE, (CONTROL, f"{CONTROL}, {ASKED}")),
}
"""Metric and lines of each table; the first line of a cell is its reference."""
EXPLANATION = """\
Four `nano` encoders on docstrings, three labels of each library for each agent. Seeds: {seeds}; mean ±
half-width of a 95 % Student interval. `alike`: all read the same subwords. `characters`: agents 2 and 3 read
characters, each in a vocabulary of its own. `ciphers`: each agent reads a letter-for-letter cipher of its
own, in subwords of that cipher. Texts are cut to as many tokens in all cells, so characters show less of
each. Gain: paired by seed, over the first line of the cell. p: paired t test, Holm-corrected within each
table. Bytes, tokens and FLOPs: of all agents in training. `asked`: all agents answer, by the mean of their
probabilities or with their embeddings side by side. `words`: TF-IDF and logistic regression on an agent's
own labels, `words_vote`: their vote, `words_pooled`: one model on the labels of all; they see as many words
as encoders see tokens."""
LETTERS = "abcdefghijklmnopqrstuvwxyz"
Cipher = Mapping[int, int]


def cipher_of(seed: int, agent: int) -> Cipher:
    """Return a permutation of the letters, for ``str.translate``."""
    drawn = generator(seed, "cipher", agent).permutation(len(LETTERS))
    return {ord(a): ord(LETTERS[b]) for a, b in zip(LETTERS, drawn, strict=True)}


def ciphered(
    texts: Iterable[str], config: TokenizerConfig, cipher: Cipher
) -> PreTrainedTokenizerFast:
    """Train a tokenizer on enciphered texts; it encodes a text as it would encode the text's cipher.

    The vocabulary is deciphered in place of every text: the ids are the same.
    """
    clear = normalizers.BertNormalizer(lowercase=config.lowercase)
    tokenizer = train([clear.normalize_str(text).translate(cipher) for text in texts], config)
    inverse = {b: a for a, b in cipher.items()}
    return _with_pieces(
        tokenizer, {piece.translate(inverse): i for piece, i in tokenizer.get_vocab().items()}
    )


def characters(texts: Iterable[str], config: TokenizerConfig) -> PreTrainedTokenizerFast:
    """Train a tokenizer whose tokens are single characters, marked where they continue a word."""
    tokenizer = train(texts, config)
    known = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    single = [piece for piece, _ in known if len(piece.removeprefix("##")) == 1]
    pieces = [*SPECIAL_TOKENS.values(), *single]
    return _with_pieces(tokenizer, {piece: i for i, piece in enumerate(pieces)})


def _with_pieces(
    tokenizer: PreTrainedTokenizerFast, pieces: Mapping[str, int]
) -> PreTrainedTokenizerFast:
    tokenizer.backend_tokenizer.model = models.WordPiece(dict(pieces), unk_token="[UNK]")
    return tokenizer


def write_encoders(config: RunConfig, folder: Path) -> dict[str, list[Path]]:
    """Write the encoders that do not read the common subwords; return their folders by cell and agent.

    Their weights are random. ``config`` is a run of the same seed in which all agents read subwords.
    """
    found: dict[str, list[Path]] = {
        cell: [folder / cell / str(agent) for agent in agents]
        for cell, agents in ((CHARACTERS, (2, 3)), (CIPHERS, (0, 1, 2, 3)))
    }
    if all((path / "tokenizer.json").is_file() for paths in found.values() for path in paths):
        return found
    corpus, settings = prepare_corpus(config, Listener()), config.data.tokenizer
    (group,) = config.agents.resolved
    for cell, paths in found.items():
        for path in paths:
            agent = int(path.name)
            own = corpus.shards[agent][: settings.sample_documents]
            texts = list(corpus.texts(np.union1d(corpus.anchors, own)))
            tokenizer = (
                characters(texts, settings)
                if cell == CHARACTERS
                else ciphered(texts, settings, cipher_of(config.seed, agent))
            )
            backbone = build_backbone(
                group.encoder,
                len(tokenizer),
                int(tokenizer.pad_token_id),
                derive(config.seed, cell, agent),
            )
            with no_progress_bars():
                backbone.save_pretrained(path)
            tokenizer.save_pretrained(path)
    return found


def runs_of(seed: int, encoders: Path) -> list[Planned]:
    """Return the runs of a seed; their encoders are in the folder afterwards, by seed."""
    values = {**load_sweep(ARMS).model_dump(), "seeds": (seed,)}
    alike = {**values, "axes": {"cell": {ALIKE: {}}}}
    config = plan(validated(alike, str(ARMS)))[0].config
    written = write_encoders(config, encoders / f"seed-{seed}")
    (group,) = config.agents.resolved
    subwords = {
        "count": group.count - len(written[CHARACTERS]),
        "encoder": group.encoder.model_dump(),
    }
    cells = values["axes"]["cell"]
    for cell, paths in written.items():
        own = [{"count": 1, "encoder": {"path": str(path)}} for path in paths]
        groups = [subwords, *own] if cell == CHARACTERS else own
        cells[cell] = {"agents": {"individual_initialisation": True, "groups": groups}}
    return plan(validated(values, str(ARMS)))


def pairs_of(rows: Sequence[Row], metric: str, names: Sequence[str]) -> list[Pair]:
    """Return the lines of every cell, each with the first of its cell."""
    pairs: list[Pair] = []
    for cell in (ALIKE, CHARACTERS, CIPHERS):
        found = [Line.of(rows, metric, name, cell=cell) for name in names]
        lines = [line for line in found if line is not None]
        pairs += [(cell, line, lines[0] if i else None) for i, line in enumerate(lines)]
    return pairs


def agents_table(rows: Sequence[Row]) -> str:
    """Return the gains of the agents whose text is read as characters in one cell, and of the others."""
    scores: dict[tuple[str, str], dict[int, NDArray[np.float64]]] = {}
    for row in rows:
        if row["status"] == FINISHED and row["arm"] in (CONTROL, TOGETHER):
            agents = np.asarray(row[f"{LABELS}.agents"], dtype=np.float64)
            halves = agents.reshape(2, -1).mean(axis=1)
            scores.setdefault((row["axis.cell"], row["arm"]), {})[row["seed"]] = halves
    lines = []
    for cell in (ALIKE, CHARACTERS, CIPHERS):
        alone, together = (scores.get((cell, arm), {}) for arm in (CONTROL, TOGETHER))
        seeds = sorted(alone.keys() & together.keys())
        if seeds:
            before, after = (np.array([each[seed] for seed in seeds]) for each in (alone, together))
            lines.append(
                [cell]
                + [
                    interval_text(interval(values[:, half].tolist()), form)
                    for half in (0, 1)
                    for values, form in ((before, ".3f"), (after, ".3f"), (after - before, "+.3f"))
                ]
            )
    columns = ("alone", "together", "gain")
    heads = [f"agents {pair}, {column}" for pair in ("0, 1", "2, 3") for column in columns]
    return markdown(("cell", *heads), lines)


def words_of(folder: Folder) -> list[Row]:
    """Return the rows of lexical models for every seed whose control has finished."""
    return [
        {"status": FINISHED, "seed": each.seed, "axis.cell": ALIKE, **row}
        for each in folder.planned
        if (each.axes["cell"], each.arm) == (ALIKE, CONTROL) and each not in folder.unfinished
        for row in label_rows(each.config)
    ]


def write_results(rows: Sequence[Row], origin: str, results: Path) -> Path:
    """Write the page."""
    seeds = len({row["seed"] for row in rows if row["status"] == FINISHED})
    parts = [f"# Agents of unlike languages\n\n`{origin}`\n\n{EXPLANATION.format(seeds=seeds)}"]
    for title, (metric, names) in SECTIONS.items():
        parts.append(f"### {title}\n\n{table(pairs_of(rows, metric, names))}")
    parts.append(f"### Few labels, by agent\n\n{agents_table(rows)}")
    path = results / "languages.md"
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return path


def main(
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each arm in each cell.")] = 3,
    jobs: Annotated[int | None, typer.Option(help="Runs at a time; default: one per core.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="An arm or a cell; repeatable.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/languages"),
    results: Annotated[Path, typer.Option(help="Folder of the page.")] = Path(
        "experiments/results"
    ),
) -> None:
    """Compare agents that read the same tokens with agents that share none; write a page."""
    console = Console()
    with console.status("Training tokenizers"):
        planned = [
            each
            for seed in range(FIRST_SEED, FIRST_SEED + seeds)
            for each in runs_of(seed, runs / "encoders")
        ]
    wanted, folder = chosen(planned, only or ()), Folder(runs, planned)
    run(console, folder, wanted, jobs or jobs_for(wanted))
    rows = read_table(folder.path / RESULTS) + words_of(folder)
    path = write_results(rows, command("cooperation.languages"), results)
    console.print(f"page: {path}", soft_wrap=True, markup=False, highlight=False)


if __name__ == "__main__":
    typer.run(main)
