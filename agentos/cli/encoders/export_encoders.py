"""``agentos export``: copy an agent's encoder out of a run, or several as one model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from agentos.cli.arguments import (
    Among,
    AsJson,
    ChangedDataOk,
    Directory,
    JointWidth,
    TrustedPlugins,
)


def export(
    run: Directory,
    directory: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder to create; new, or empty.")
    ],
    agent: Annotated[
        int | None,
        typer.Option(min=0, help="Agent of the run; default 0.", show_default=False),
    ] = None,
    joint: Annotated[
        bool,
        typer.Option(
            "--joint",
            help="The agent's encoder and those it asks, side by side. The folder then brings a short Python "
            "file of its own, so load it with SentenceTransformer(OUT, trust_remote_code=True).",
        ),
    ] = False,
    among: Among = None,
    pca: JointWidth = None,
    changed_data_ok: ChangedDataOk = False,
    trust_plugins: TrustedPlugins = None,
    as_json: AsJson = False,
) -> None:
    """Copy an encoder of a finished run into a folder that sentence-transformers and mteb load.

    With --joint the folder holds several encoders, and embeds as evaluation.joint does. sentence-transformers
    has no module that puts embeddings side by side: joint_module.py in the folder is one, and the library
    runs it only if it is told to trust it.

    Example: agentos export runs/quickstart best-encoder --agent 2

    Example: agentos export runs/quickstart society --joint --pca 64
    """
    from agentos.cli.display.console import SafeConsole
    from agentos.evaluation.joint.joint_folder import require_empty
    from agentos.records.atomic_files import writing
    from agentos.records.saved_encoders import find_encoder
    from agentos.records.views.run_view import load_view
    from agentos.reporting.model_card import CARD, model_card
    from protocols.errors import ConfigurationError

    folder = find_encoder(run, agent)
    require_empty(directory)
    if joint:
        options = {"among": among, "pca": pca, "changed_data_ok": changed_data_ok}
        _export_joint(run, directory, agent, {**options, "trusted": trust_plugins or []})
    elif among is not None or pca is not None:
        raise ConfigurationError(
            "--among and --pca are about several encoders side by side",
            hint="add --joint, or leave them out",
        )
    else:
        with writing(directory):
            shutil.copytree(folder, directory, dirs_exist_ok=True)
            if folder != run:  # of a run, which knows how it came about
                card = model_card(load_view(run), agent or 0)
                (directory / CARD).write_text(card, encoding="utf-8", newline="\n")
    if as_json:
        typer.echo(json.dumps({"encoder": str(directory), "trust_remote_code": joint}))
        return
    trust = ", trust_remote_code=True" if joint else ""
    SafeConsole().print(
        f'encoder: {directory}; load it with SentenceTransformer("{directory}"{trust})',
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def _export_joint(
    run: Path, directory: Path, agent: int | None, options: Mapping[str, Any]
) -> None:
    """Write the panel of an agent, by default of agent 0, as one folder."""
    from agentos.cli.encoders.assessment import Request, joint_request
    from agentos.config.load import load
    from agentos.evaluation.assess import answers_of, exported_encoders, loaded_encoders
    from agentos.evaluation.joint.joint_folder import write_joint_folder
    from agentos.records.atomic_files import writing
    from agentos.records.layout import CONFIG

    request = Request(str(run), joint=True, **options)
    joint = joint_request(load(str(run / CONFIG), (), request.trusted), request)
    panel = joint.panels[agent or 0]
    folders = exported_encoders(run, panel)
    projection = None
    if joint.width is not None:
        loaded = loaded_encoders(folders, None, lambda _: None)
        projection = joint.encoder(panel, answers_of([each for _, each in loaded])).projection
    paths = {name: Path(folder) for name, folder in folders.items()}
    with writing(directory):
        write_joint_folder(directory, paths, [joint.weights[i] for i in panel], projection)
