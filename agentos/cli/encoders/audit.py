"""``agentos audit``: what do the encoders of a run give away, and whom do they favour?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from agentos.cli.arguments import ChangedDataOk, Directory, TrustedPlugins

if TYPE_CHECKING:
    from agentos.audit.bias.association import WordLists
    from agentos.audit.bias.bias_by_arm import Bias
    from agentos.audit.privacy.membership import Shadow
    from agentos.audit.run_audit import Audit
    from agentos.config.run import RunConfig
    from agentos.data.corpus import Corpus
    from agentos.data.private_labels import Poison
    from agentos.evaluation.loaded_encoder import LoadedEncoder


def audit(
    directory: Directory,
    privacy: Annotated[
        bool | None, typer.Option("--privacy", help="Only attack the agents' private text.")
    ] = None,
    bias: Annotated[
        bool | None,
        typer.Option("--bias", help="Only test for associations of words, and compare groups."),
    ] = None,
    poison: Annotated[
        bool | None,
        typer.Option("--poison", help="Only measure what poisoned agents taught the others."),
    ] = None,
    documents: Annotated[
        int, typer.Option(min=20, help="Private texts of each agent that are attacked, at most.")
    ] = 300,
    shadows: Annotated[
        int,
        typer.Option(
            min=0,
            help="Also train so many societies of the same configuration to attack with.",
        ),
    ] = 0,
    words: Annotated[
        Path | None,
        typer.Option(help="YAML file of word lists; default: four published tests."),
    ] = None,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Compare groups of held-out text, too: a column of the run's source, or label.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[Path | None, typer.Option(help="HTML file for the audit.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
    changed_data_ok: ChangedDataOk = False,
    trust_plugins: TrustedPlugins = None,
) -> None:
    """Attack the encoders of a run, and test them for bias.

    Privacy: each agent is attacked by the next one. Was a text among its private ones (membership), from its
    parameters, from its embeddings of public anchors and from what its messages hold (similarities, labels,
    prototypes, ...), compared with the text alone? Which words does
    the embedding of a private text give away (inversion), compared with naming the most frequent words? With
    --shadows, the attacker also trains societies of its own on the same text, divided otherwise, and knows
    how encoders score a text that they have not read. Each takes as long as the run.

    Bias: association tests (WEAT, SEAT) with permutation tests, on published or your own word lists; with
    --groups also how far apart metrics of groups of held-out text are. Each before training, of the agents
    alone (where the run has trained them) and of the society: does cooperation spread bias, or dilute it?

    Poison: in a run with data.private_labels.poison, how often does each agent give the wished label, with
    the trigger and without it, and how often is it right without? Measured on held-out text.

    An attack that fails proves nothing about a better one.

    Example: agentos audit runs/quickstart

    Example: agentos audit runs/quickstart --bias --groups label --words lists.yaml --page audit.html
    """
    from agentos.audit.audit_page import write_audit
    from agentos.audit.audit_sections import sections
    from agentos.audit.bias.association import LISTS, read_word_lists
    from agentos.cli.display.console import SafeConsole
    from agentos.cli.encoders.audit_tables import show_section

    console, named = SafeConsole(), {"privacy": privacy, "bias": bias, "poison": poison}
    tests = read_word_lists(words or LISTS)
    run, encoders = _encoders(directory, trust_plugins or ())
    wanted = {name for name, asked in named.items() if asked} or {"privacy", "bias"} | (
        {"poison"} if _taught(run) else set()
    )
    with console.status("Reading text") as status:
        corpus = _corpus(run, directory, changed_data_ok)
        subject = _Subject(directory, run, encoders, corpus, status.update)
        found = subject.audited(wanted, tests, groups, documents, shadows)
    shown = run.exchange.shows
    parts = [*sections(found, _taught(run))]
    said = ", ".join(sorted(shown or ())) or (
        "nothing" if shown is not None else "undeclared sources"
    )
    said = f"the messages of this run are computed from: {said}"
    if page is not None:
        write_audit(page, run.name, said, parts)
    if as_json:
        shows = {"messages_show": None if shown is None else sorted(shown)}
        typer.echo(json.dumps(found.as_json() | shows, indent=2))
        return
    console.print(said, highlight=False)
    for part in parts:
        show_section(console, part)
    if page is not None:
        console.print(f"page: {page}", soft_wrap=True, markup=False, highlight=False)


def _taught(run: RunConfig) -> Poison | None:
    labels = run.data.private_labels
    return None if labels is None else labels.poison


def _corpus(run: RunConfig, directory: Path, changed_data_ok: bool) -> Corpus:
    """Read the text of a run again; refuse other text than the agents have read."""
    from agentos.cli.encoders.assessment import require_same
    from agentos.events import Listener
    from agentos.records.identity.digests import of_text
    from agentos.simulation.preparation import prepare_corpus

    corpus = prepare_corpus(run, Listener())
    require_same(of_text(corpus), directory, changed_data_ok)
    return corpus


def _shadows(run: RunConfig, count: int, progress: Callable[[str], None]) -> list[Shadow]:
    """Train societies of the run's configuration under other seeds; return their agents."""
    from agentos.audit.run_audit import shadows_of
    from agentos.events import Listener
    from agentos.simulation.preparation import prepare_corpus
    from agentos.simulation.simulation import Simulation

    found: list[Shadow] = []
    for number in range(1, count + 1):
        progress(f"Training shadow society {number} of {count}")
        alone = run.baseline.model_copy(update={"isolated": False, "self_training": False})
        changes = {"seed": run.seed + number, "baseline": alone, "saved_encoders": None}
        shadow = run.model_copy(update=changes)
        with TemporaryDirectory() as folder:
            Simulation(shadow, Path(folder) / "run").run()
            found += shadows_of(_loaded(Path(folder) / "run"), prepare_corpus(shadow, Listener()))
    return found


@dataclass(frozen=True)
class _Subject:
    """A run that is audited, its encoders and its text."""

    directory: Path
    run: RunConfig
    encoders: dict[int, LoadedEncoder]
    corpus: Corpus
    progress: Callable[[str], None]

    def audited(
        self,
        wanted: set[str],
        tests: Mapping[str, WordLists],
        groups: str | None,
        documents: int,
        shadows: int,
    ) -> Audit:
        """Make those audits that are wanted."""
        from agentos.audit.privacy.received import received_from
        from agentos.audit.run_audit import Audit, audit_poison, audit_privacy
        from agentos.simulation.bare_blueprint import bare_blueprint
        from agentos.simulation.preparation import heldout_of

        run, corpus, found = self.run, self.corpus, Audit()
        if "privacy" in wanted:
            trained = _shadows(run, shadows, self.progress)
            protection = run.exchange.privacy
            received = received_from(bare_blueprint(run, corpus), run.exchange, self.encoders)
            attacked = audit_privacy(
                self.encoders,
                corpus,
                documents,
                run.seed,
                self.progress,
                protection,
                trained,
                received,
            )
            found = replace(found, privacy=attacked)
        if "bias" in wanted:
            found = replace(found, bias=self._bias(tests, groups))
        if "poison" in wanted:
            spread = audit_poison(self.encoders, _taught(run), heldout_of(run, corpus))
            found = replace(found, poison=spread)
        return found

    def _bias(self, tests: Mapping[str, WordLists], groups: str | None) -> Bias:
        from agentos.audit.bias.bias_by_arm import Bias, audit_bias, audit_groups, untrained
        from agentos.records.layout import ENCODERS, ISOLATED
        from agentos.simulation.bare_blueprint import bare_blueprint

        self.progress("Testing for bias")
        run, corpus = self.run, self.corpus
        arms = {"before": untrained(bare_blueprint(run, corpus))}
        if (self.directory / ISOLATED / ENCODERS).is_dir():
            arms["alone"] = _loaded(self.directory / ISOLATED)
        arms["together"] = self.encoders
        gaps = {}
        if groups is not None:
            documents = run.evaluation.documents
            gaps = audit_groups(arms, run.data.source, corpus, groups, documents, run.seed)
        return Bias(audit_bias(arms, tests, run.seed), gaps)


def _encoders(
    directory: Path, trusted: Sequence[str]
) -> tuple[RunConfig, dict[int, LoadedEncoder]]:
    """Load all encoders that a run has saved.

    Raises:
        ConfigurationError: the folder is no run, or has no encoders.
    """
    from agentos.cli.encoders.assessment import run_config
    from protocols.errors import ConfigurationError

    run = run_config(str(directory), trusted)
    if run is None:
        raise ConfigurationError(
            f"{directory} is not a run folder",
            expected="a folder that 'agentos run' wrote",
            hint="name one, such as runs/quickstart",
        )
    return run, _loaded(directory)


def _loaded(directory: Path) -> dict[int, LoadedEncoder]:
    from agentos.evaluation.assess import exported_encoders
    from agentos.evaluation.loaded_encoder import LoadedEncoder

    return {
        int(name.removeprefix("agent-")): LoadedEncoder.load(folder)
        for name, folder in exported_encoders(directory, []).items()
    }
