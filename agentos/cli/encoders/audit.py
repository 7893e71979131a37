"""``agentos audit``: what do the encoders of a run give away, and whom do they favour?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from agentos.cli.arguments import ChangedDataOk, Directory, TrustedPlugins

if TYPE_CHECKING:
    from agentos.audit.bias.association import Association
    from agentos.audit.run_audit import AgentPrivacy
    from agentos.config.run import RunConfig
    from agentos.evaluation.loaded_encoder import LoadedEncoder


def audit(
    directory: Directory,
    privacy: Annotated[
        bool | None, typer.Option("--privacy", help="Only attack the agents' private text.")
    ] = None,
    bias: Annotated[
        bool | None, typer.Option("--bias", help="Only test for associations of words.")
    ] = None,
    documents: Annotated[
        int, typer.Option(min=20, help="Private texts of each agent that are attacked, at most.")
    ] = 300,
    words: Annotated[
        Path | None,
        typer.Option(help="YAML file of word lists; default: four published tests."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    changed_data_ok: ChangedDataOk = False,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Attack the encoders of a run, and test them for bias.

    Privacy: each agent is attacked by the next one. Was a text among its private ones (membership), from its
    parameters and from its embeddings of public anchors, compared with the text alone? Which words does
    the embedding of a private text give away (inversion), compared with naming the most frequent words?

    Bias: association tests (WEAT, SEAT) with permutation tests, on published or your own word lists.

    An attack that fails proves nothing about a better one.

    Example: agentos audit runs/quickstart-1

    Example: agentos audit runs/quickstart-1 --bias --words lists.yaml --json
    """
    from agentos.audit.bias.association import LISTS, read_word_lists
    from agentos.audit.run_audit import audit_bias, audit_privacy, verdict
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.encoders.assessment import require_same
    from agentos.cli.encoders.audit_tables import show_bias, show_privacy
    from agentos.events import Listener
    from agentos.records.identity.digests import of_text
    from agentos.simulation.preparation import prepare_corpus

    console, both = SafeConsole(), not privacy and not bias
    tests = read_word_lists(words or LISTS)
    run, encoders = _encoders(directory, trust_plugins or ())
    found: dict[str, Any] = {}
    with console.status("Reading text") as status:
        attacked: list[AgentPrivacy] = []
        if privacy or both:
            corpus = prepare_corpus(run, Listener())
            require_same(of_text(corpus), directory, changed_data_ok)
            attacked = audit_privacy(encoders, corpus, documents, run.seed, status.update)
            found["privacy"] = [each.as_json() for each in attacked]
            found["verdict"] = verdict(attacked)
        tested: dict[int, list[Association]] = {}
        if bias or both:
            tested = audit_bias(encoders, tests, run.seed)
            found["bias"] = {agent: [vars(each) for each in rows] for agent, rows in tested.items()}
    shown = run.exchange.shows
    found["messages_show"] = None if shown is None else sorted(shown)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    if attacked:
        show_privacy(console, attacked, found["verdict"], found["messages_show"])
    if tested:
        show_bias(console, tested)


def _encoders(
    directory: Path, trusted: Sequence[str]
) -> tuple[RunConfig, dict[int, LoadedEncoder]]:
    """Load all encoders that a run has saved.

    Raises:
        ConfigurationError: the folder is no run, or has no encoders.
    """
    from agentos.cli.encoders.assessment import run_config
    from agentos.evaluation.assess import exported_encoders
    from agentos.evaluation.loaded_encoder import LoadedEncoder
    from protocols.errors import ConfigurationError

    run = run_config(str(directory), trusted)
    if run is None:
        raise ConfigurationError(
            f"{directory} is not a run folder",
            expected="a folder that 'agentos run' wrote",
            hint="name one, such as runs/quickstart-1",
        )
    folders = exported_encoders(directory, [])
    return run, {
        int(name.removeprefix("agent-")): LoadedEncoder.load(folder)
        for name, folder in folders.items()
    }
