"""The card of an encoder that leaves a run: what it was trained on, how, and with which result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

import yaml

from agentos.data.printable_text import printable
from agentos.records.layout import agent_name
from agentos.records.reader import config_value
from agentos.records.result import Quality
from agentos.records.views.config_differences import setting_text
from agentos.records.views.run_view import RunView
from agentos.reporting.units import bytes_text, metric_text, share_precision

CARD = "README.md"
"""The file of a card, in the folder of its encoder."""

_SAID = {
    "partition": ("data", "partition"),
    "public anchors": ("data", "anchors"),
    "objectives": ("objectives",),
    "exchange": ("exchange",),
    "topology": ("topology",),
    "rounds": ("training", "rounds"),
    "steps in a round": ("training", "local_steps"),
    "documents in a step": ("training", "batch_size"),
    "tokens of a document": ("training", "max_length"),
    "learning rate": ("training", "learning_rate"),
    "precision": ("training", "precision"),
    "seed": ("seed",),
}
"""Rows about the training, and where a configuration holds them."""


def model_card(run: RunView, agent: int) -> str:
    """Return the card of an agent's encoder, in Markdown with the metadata that the Hugging Face hub reads.

    Paths of this machine stay out of it: of a file, the card has the name alone.

    Args:
        run: the run.
        agent: the agent's number.
    """
    front = {
        "library_name": "sentence-transformers",
        "pipeline_tag": "feature-extraction",
        "tags": ["agentos", run.exchange, run.topology],
    }
    title = f"{run.name}, agent {agent}"
    return "\n".join(
        [
            "---",
            yaml.safe_dump(front, sort_keys=False).strip(),
            "---",
            "",
            f"# {_cell(title)}",
            "",
            f"One of {run.network.agents} agents that learnt together with AgentOS, each from its own text, "
            f"by the exchange `{_code(run.exchange)}` over the topology `{_code(run.topology)}`.",
            "",
            "## Training",
            "",
            *_table(("what", "value"), _training(run, agent)),
            "",
            "## Result",
            "",
            *_results(run, agent),
            "",
            "These are the values of one run with one seed, on its own held-out text"
            + (f": {_sample(run.heldout)}." if run.heldout else "."),
            "",
        ]
    )


def _sample(heldout: int) -> str:
    sure = share_precision(heldout)
    return f"up to {heldout:,} documents; a share of them is known to {sure} (95 %) at best"


def _training(run: RunView, agent: int) -> list[tuple[str, str]]:
    rows = [("text", _source_text(config_value(run.config, "data", "source")))]
    rows += [("agent", run.names[agent]), ("role", run.network.roles[agent])]
    rows += [(name, setting_text(config_value(run.config, *path))) for name, path in _SAID.items()]
    sent = sum(size for (sender, _), size in run.traffic.by_edge.items() if sender == agent)
    received = sum(size for (_, to), size in run.traffic.by_edge.items() if to == agent)
    packages = run.environment.get("packages")
    versions = packages if isinstance(packages, Mapping) else {}
    known = (f"{name} {versions[name]}" for name in ("llm-agentos", "torch") if name in versions)
    return [
        *rows,
        ("bytes sent and received", f"{bytes_text(sent)} and {bytes_text(received)}"),
        ("made with", ", ".join(known) or "AgentOS"),
    ]


def _source_text(source: Any) -> str:
    """Return a source in words: its kind, and packages or the last part of a path."""
    if not isinstance(source, Mapping):
        return setting_text(source)
    packages, path = source.get("packages"), source.get("path")
    detail = ", ".join(map(str, packages)) if isinstance(packages, list) else ""
    if isinstance(path, str):
        detail = PurePath(path.replace("\\", "/")).name
    return f"{setting_text(source)}: {detail}" if detail else setting_text(source)


def _results(run: RunView, agent: int) -> list[str]:
    """Return a table with a row per metric: this agent in each arm, and the mean of all agents."""
    found, name = run.outcome, agent_name(agent)
    arms: dict[str, Quality | None] = {
        "untrained": found.before,
        "trained alone": found.isolated,
        "together": found.together,
    }
    known = {arm: quality for arm, quality in arms.items() if quality is not None}
    rows = []
    for metric in found.metrics:
        if name not in found.together.agents or metric.minor:
            continue
        cells = [metric_text(quality.value(agent, metric), metric) for quality in known.values()]
        mean = metric_text(found.together.mean.get(metric.name), metric)
        better = "higher" if metric.higher_is_better else "lower"
        rows.append((f"{metric.title} ({better} is better)", *cells, mean))
    if not rows:
        return ["The agent was not evaluated after its training."]
    return _table(("metric", *known, "mean of all agents"), rows)


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(map(_cell, line))} |" for line in lines]


def _cell(text: str) -> str:
    """Return a text that cannot end its cell, begin markup or bring a link."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(printable(text).split()))


def _code(text: str) -> str:
    return " ".join(printable(text).replace("`", "'").split())
