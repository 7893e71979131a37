"""``agentos explain``: which words carry an embedding, a similarity or a class."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.arguments import ChangedDataOk, TrustedPlugins

if TYPE_CHECKING:
    from agentos.audit.explanation import Neighbour
    from agentos.evaluation.loaded_encoder import LoadedEncoder


def explain(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_OR_FOLDER",
            help="A run folder, the folder of an encoder, or one that 'agentos solve' wrote.",
        ),
    ],
    text: Annotated[str, typer.Argument(help="The text to explain.")],
    other: Annotated[
        str | None,
        typer.Argument(help="Explain the similarity of the text to this one.", show_default=False),
    ] = None,
    agent: Annotated[
        int | None, typer.Option(min=0, help="Agent of the run; default 0.", show_default=False)
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Explain this class by the agent's own classifier; auto for the most probable one.",
            show_default=False,
        ),
    ] = None,
    anchors: Annotated[
        int, typer.Option(min=0, help="Nearest public anchors of the run to show; 0 for none.")
    ] = 3,
    page: Annotated[Path | None, typer.Option(help="HTML file for the explanation.")] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of coloured text.")
    ] = False,
    changed_data_ok: ChangedDataOk = False,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Explain which words of a text carry its embedding, its similarity to another text, or its class.

    Two methods are compared, integrated gradients and leaving words out. Each is checked: words are deleted
    and inserted in its order and in 20 random orders. The method that fits better is shown.

    Of a folder that 'agentos solve' wrote, it says which agents decided, and what each of them said.

    Example: agentos explain runs/quickstart "Return the mean of an array." --class auto

    Example: agentos explain ./minilm "Sort the values." "Order the items." --json
    """
    from agentos.audit.explanation import explain as explain_words
    from agentos.audit.explanation.explanation_page import write_explanation
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.encoders.explanation_view import show_explanation
    from agentos.evaluation.loaded_encoder import LoadedEncoder
    from agentos.records.saved_encoders import find_encoder

    if _decided(source, text, as_json, trust_plugins or ()):
        return
    folder, console = find_encoder(source, agent), SafeConsole()
    encoder = LoadedEncoder.load(str(folder))
    found = explain_words(encoder, text, other, label)
    near = _near(source, encoder, text, anchors, changed_data_ok, trust_plugins or ())
    if page is not None:
        write_explanation(page, found, near)
    if as_json:
        neighbours = [{"text": one.text, "cosine": one.cosine} for one in near]
        typer.echo(json.dumps({**found.as_json(), "anchors": neighbours}, indent=2))
    else:
        show_explanation(console, found, near)
        if page is not None:
            console.print(f"page: {page}", soft_wrap=True, markup=False, highlight=False)


def _decided(source: Path, text: str, as_json: bool, trusted: Iterable[str]) -> bool:
    """Say which agents of a task's society decide about a text; return False where there is no society.

    Raises:
        ConfigurationError: the folder is that of a life, whose claims are explained one by one.
    """
    from agentos.records.layout import ENCODERS

    if not source.is_dir() or (source / ENCODERS).is_dir():
        return False  # a run, which need not wait for the imports below
    from agentos.learning.life_records import LIFE
    from agentos.tasks.society.saved_society import SOCIETY
    from protocols.errors import ConfigurationError

    if (source / LIFE).is_file():
        raise ConfigurationError(
            f"{source} is a life, which answers by claims",
            expected="a run, an encoder, or a folder that 'agentos solve' wrote",
            hint="'agentos knowledge search DIR TEXT' finds claims in its knowledge base, and 'agentos "
            "knowledge why DIR CLAIM' shows the origins, rivals and decisions behind one",
        )
    if not (source / SOCIETY).exists():
        return False
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.display.kind_tables import show_answers
    from agentos.tasks.society.open_any import open_any, reply_json

    with open_any(source, trusted=trusted) as society:
        found = society.ask([text])
    if as_json:
        typer.echo(json.dumps(reply_json(found.replies[0]), indent=2))
    else:
        show_answers(SafeConsole(), [text], found)
    return True


def _near(
    source: Path,
    encoder: LoadedEncoder,
    text: str,
    count: int,
    changed_data_ok: bool,
    trusted: Sequence[str],
) -> list[Neighbour]:
    """Return the public anchors of a run that lie nearest to a text; none for a model or without anchors."""
    from agentos.audit.explanation import nearest
    from agentos.cli.encoders.assessment import require_same, run_config
    from agentos.events import Listener
    from agentos.records.identity.digests import of_text
    from agentos.simulation.preparation import prepare_corpus

    run = run_config(str(source), trusted)
    if run is None or not count or not run.data.anchors:
        return []
    corpus = prepare_corpus(run, Listener())
    require_same(of_text(corpus), source, changed_data_ok)
    return nearest(encoder, text, corpus.texts(corpus.anchors), count)
