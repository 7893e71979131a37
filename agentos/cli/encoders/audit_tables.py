"""Tables of an audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from agentos.audit.bias.association import Association
from agentos.audit.poison.backdoor import Backdoor
from agentos.audit.privacy.membership import Attack
from agentos.audit.run_audit import AgentPrivacy, verdict
from agentos.data.private_labels import Poison

_WEAK = 0.05


def show_privacy(
    console: Console, found: Sequence[AgentPrivacy], shown: Sequence[str] | None
) -> None:
    """Print the attacks on each agent, what the run's messages show, and the verdict."""
    said = "the exchange does not say" if shown is None else ", ".join(shown) or "nothing"
    console.print(f"messages of this run are computed from: {said}", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, title="Membership and inversion", title_justify="left")
    for name in ("agent", "from parameters", "hits", "from anchors", "alone", "words", "floor"):
        table.add_column(name, justify="right", no_wrap=True)
    if any(len(each.membership) > 3 for each in found):
        table.add_column("with shadows", justify="right", no_wrap=True)
    for each in found:
        parameters, anchors, alone, *shadows = each.membership
        table.add_row(
            str(each.agent),
            _area(parameters),
            f"{parameters.hits:.1%}",
            _area(anchors),
            f"{alone.auc:.2f}",
            f"{each.inversion.f1:.3f}",
            f"{each.inversion.floor:.3f}",
            *map(_area, shadows),
        )
    console.print(table)
    console.print(
        "from: area under the curve of the attack, 0.5 by chance, with its 95 % interval; hits: members "
        "found at 1 % false alarms; alone: the attack without the attacked agent; words: F1 of words that an "
        "embedding of a private text gives away; floor: naming the most frequent words",
        style="dim",
        highlight=False,
    )
    console.print(verdict(found), style="bold", highlight=False)
    console.print("An attack that fails proves nothing about a better one.", style="dim")


def show_bias(console: Console, found: Mapping[int, Sequence[Association]]) -> None:
    """Print the effects of each association test over the agents."""
    table = Table(box=box.SIMPLE_HEAD, title="Associations, effect size d", title_justify="left")
    for name in ("test", "mean", "least", "largest", "p < 0.05"):
        table.add_column(name, justify="left" if name == "test" else "right")
    for rows in zip(*found.values(), strict=True):
        effects = [row.effect for row in rows]
        first = rows[0]
        table.add_row(
            f"{' : '.join(first.targets)} = {' : '.join(first.attributes)}",
            f"{sum(effects) / len(effects):+.2f}",
            f"{min(effects):+.2f}",
            f"{max(effects):+.2f}",
            f"{sum(row.p < _WEAK for row in rows)} of {len(rows)}",
        )
    console.print(table)
    console.print(
        "over the agents; positive: the first words are nearer to the first attributes; p by permutation, "
        "not corrected for the number of tests",
        style="dim",
        highlight=False,
    )


def show_poison(console: Console, found: Mapping[int, Backdoor], poison: Poison) -> None:
    """Print how often each agent gives the wished label, and how often it is right."""
    table = Table(box=box.SIMPLE_HEAD, title=f"Taught to say {poison.label}", title_justify="left")
    for name in ("agent", "with the trigger", "without", "right"):
        table.add_column(name, justify="right")
    for agent, each in found.items():
        table.add_row(
            f"{agent}, poisoned" if agent in poison.agents else str(agent),
            "-" if poison.trigger is None else f"{each.success:.1%}",
            f"{each.untriggered:.1%}",
            f"{each.accuracy:.1%}",
        )
    console.print(table)
    console.print(
        f"shares of {next(iter(found.values())).texts:,} held-out texts of other labels that get this one; "
        "right: share of all that get their own",
        style="dim",
        highlight=False,
    )


def _area(attack: Attack) -> str:
    return f"{attack.auc:.2f} [{attack.low:.2f}, {attack.high:.2f}]"
