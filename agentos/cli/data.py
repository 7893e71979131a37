"""``agentos data``: the text of a run or of a file, cleaned and divided among agents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentos.cli.arguments import AsJson, TrustedPlugins, complete_overrides

if TYPE_CHECKING:
    from rich.console import Console
    from transformers import PreTrainedTokenizerBase

    from agentos.config.run import RunConfig
    from agentos.data.corpus import Corpus
    from agentos.data.summary import Summary

KINDS = {
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".tsv": "csv",
    ".parquet": "parquet",
    ".txt": "text",
}
"""The source that reads a bare file, by the ending of its name; one of a compression may follow it."""

BAR_CHARACTERS = 40


def data(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE_OR_NAME",
            help="A YAML file, the name of a ready-made run, or a file of text: .jsonl, .csv, .tsv, "
            ".parquet or .txt (a paragraph is a document), also compressed.",
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY.PATH=VALUE",
            help="Fields to change, such as data.source.label=topic agents.count=12.",
            autocompletion=complete_overrides,
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="Picture: .png, .svg or .pdf.")] = Path("data.png"),
    as_json: AsJson = False,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Read and divide text as a run would; print its statistics, and draw what each agent reads.

    Example: agentos data news.jsonl data.source.label=topic data.partition.kind=dirichlet
    """
    from agentos.data.corpus import prepare
    from agentos.data.summary import summarise
    from agentos.data.tokenization.corpus_tokens import corpus_tokens
    from agentos.reporting.charts.corpus_figure import draw_corpus
    from agentos.reporting.pictures import save

    config = configuration(source, overrides or [], trust_plugins)
    console = _console(stderr=as_json)
    with console.status("Reading text") as status:
        corpus = prepare(
            config.data,
            agents=config.agents.total,
            seed=config.seed,
            progress=lambda stage, count: status.update(f"{stage}: {count:,}"),
        )
        status.update("Tokenising")
        tokenizer = _tokenizer(config, corpus)
        tokens = corpus_tokens(corpus, tokenizer, None, config.data.max_document_tokens)
        summary = summarise(corpus, tokens, tokenizer)
        divided = division(config, summary)
        title = f"{config.name}: {len(corpus):,} documents\n{divided}"
        save(draw_corpus(summary, title=title), out)
    if as_json:
        typer.echo(
            json.dumps({"name": config.name, "divided": divided, **summary.as_json()}, indent=2)
        )
        return
    show(console, summary, config.data.tokenizer.max_unknown_rate, divided)
    console.print(f"picture: {out}", soft_wrap=True, markup=False, highlight=False)


def configuration(
    source: str, overrides: Sequence[str], trusted: Sequence[str] | None = ()
) -> RunConfig:
    """Return the run of a name, a YAML file or a bare file of text.

    A bare file is read with its defaults and without anchors, divided among six agents.

    Raises:
        ConfigurationError: there is no such file or run, or a field is wrong.
    """
    from pydantic import ValidationError

    from agentos.config.field_errors import InvalidConfiguration, explain
    from agentos.config.load import apply_overrides, load
    from agentos.config.run import RunConfig
    from agentos.data.sources.opening import ending
    from protocols.plugins import TrustedPlugins as Trusted

    path = Path(source)
    kind = KINDS.get(ending(path))
    if kind is None:
        return load(source, overrides, trusted)
    read = {"kind": kind, "path": source, **({"unit": "paragraph"} if kind == "text" else {})}
    raw: dict[str, Any] = {"name": path.name, "data": {"source": read, "anchors": 0}}
    # Without anchors nothing can be exchanged; and nothing is trained here.
    raw["exchange"] = "isolated"
    try:
        return RunConfig.model_validate(
            apply_overrides(raw, overrides), context=Trusted.of(trusted)
        )
    except ValidationError as error:
        raise InvalidConfiguration(source, explain(error, RunConfig)) from error


def division(config: RunConfig, summary: Summary) -> str:
    """Return how documents are divided: partition, its parameters, seed, and the skew of labels."""
    from agentos.data.summary import label_skew

    partition = config.data.partition
    parameters = partition.model_dump(mode="json", exclude={"kind"})
    named = ", ".join([partition.kind, *(f"{name} {value}" for name, value in parameters.items())])
    skew = label_skew(summary.by_label)
    told = "" if skew is None else f"; Jensen-Shannon skew of labels {skew:.2f} (0 alike, 1 apart)"
    return f"{named}; seed {config.seed}{told}"


def show(console: Console, summary: Summary, max_unknown_rate: float, divided: str) -> None:
    """Print the figures of a corpus."""
    from rich.table import Table

    from agentos.data.cleaning.counts import left_out
    from agentos.data.summary import histogram

    counts = summary.counts
    facts = {
        "read": f"{counts['read']:,} documents",
        "left out": left_out(counts),
        "across parts": f"about {counts['across']:,} of the duplicates would otherwise have put the same "
        "text in two of these parts",
        "kept": f"{counts['kept']:,}: {counts['train']:,} private, {counts['anchors']:,} anchors, "
        f"{counts['heldout']:,} held out",
        "tokens": f"{summary.lengths.sum():,} of {summary.vocabulary:,} kinds, "
        f"{summary.lengths.mean():.0f} a document",
        "sentences": f"{summary.sentences:,}, {summary.sentences / counts['kept']:.1f} a document",
        "unknown": f"{summary.unknown:.2%} of tokens"
        + (
            f"; a run is refused above {max_unknown_rate:.2%}"
            * (summary.unknown > max_unknown_rate)
        ),
        "agents": f"{len(summary.documents)}, with {summary.documents.min():,} to "
        f"{summary.documents.max():,} documents and {len(summary.labels) or 'no'} labels",
        "divided": divided,
    }
    table = Table.grid(padding=(0, 2))
    for name, text in facts.items():
        table.add_row(name, text)
    console.print(table, highlight=False, markup=False)
    lengths = Table.grid(padding=(0, 2))
    bounds, numbers = histogram(summary.lengths)
    for low, number in zip(bounds, numbers, strict=True):
        bar = "█" * round(BAR_CHARACTERS * number / numbers.max())
        lengths.add_row(f"{low:,} tokens and more", f"{number:,}", bar)
    console.print(lengths, highlight=False)


def _tokenizer(config: RunConfig, corpus: Corpus) -> PreTrainedTokenizerBase:
    encoder = config.agents.resolved[0].encoder
    if not encoder.from_scratch:
        from agents.models.pretrained import load_tokenizer

        return load_tokenizer(encoder)
    from agentos.data.tokenization.corpus_tokens import tokenizer_for

    # This command shows too many unknown tokens; a run refuses them.
    lenient = config.data.tokenizer.model_copy(update={"max_unknown_rate": 1.0})
    return tokenizer_for(corpus, lenient, config.seed)


def _console(stderr: bool) -> Console:
    from agentos.cli.display.console import SafeConsole

    return SafeConsole(stderr=stderr)
