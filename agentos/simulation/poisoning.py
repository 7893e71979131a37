"""Poisoned labels: some agents' labelled documents carry a wished class, and perhaps a trigger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from agentos.data.private_labels import Poison
from agentos.data.tokenization.triggered_tokens import TriggeredTokens
from agents.training.blueprint import Group, Member
from protocols.errors import ConfigurationError
from protocols.seeding import generator


def poisoned(
    poison: Poison,
    groups: Sequence[Group],
    members: Sequence[Member],
    names: Sequence[str],
    seed: int,
) -> tuple[tuple[Group, ...], tuple[Member, ...]]:
    """Return groups and members in which some agents' labelled documents are poisoned.

    Args:
        poison: the section `data.private_labels.poison`.
        groups, members: as they are without it.
        names: names of the classes.
        seed: draws the documents.

    Raises:
        ConfigurationError: there is no such agent or class, or a tokenizer does not know the trigger.
    """
    strangers = [agent for agent in poison.agents if agent >= len(members)]
    if strangers or poison.label not in names:
        raise ConfigurationError(
            "data.private_labels.poison names an agent or a label that there is not",
            expected=f"agents from 0 to {len(members) - 1}, and one of {', '.join(names)}",
            actual=f"agent {strangers[0]}" if strangers else repr(poison.label),
        )
    changed = list(members)
    copies: dict[int, list[int]] = {group: [] for group in range(len(groups))}
    for agent in poison.agents:
        member = members[agent]
        drawn = generator(seed, "poisoned labels", agent).permutation(len(member.labelled))
        chosen = np.sort(drawn[: max(1, round(poison.share * len(drawn)))])
        rows, classes = member.labelled.copy(), member.classes.copy()
        classes[chosen] = list(names).index(poison.label)
        if poison.trigger is not None:
            first = len(groups[member.group].tokens) + len(copies[member.group])
            copies[member.group] += rows[chosen].tolist()
            rows[chosen] = first + np.arange(len(chosen))
        changed[agent] = replace(member, labelled=rows, classes=classes)
    return tuple(
        _with_copies(group, copies[index], poison.trigger) for index, group in enumerate(groups)
    ), tuple(changed)


def _with_copies(group: Group, rows: Sequence[int], trigger: str | None) -> Group:
    if trigger is None or not rows:
        return group
    tokenizer = group.tokenizer
    ids = tokenizer(trigger, add_special_tokens=False)["input_ids"]
    if not ids or set(ids) <= {tokenizer.unk_token_id}:
        raise ConfigurationError(
            "a tokenizer does not know the trigger of data.private_labels.poison",
            expected="a phrase of words that the training text holds",
            actual=repr(trigger),
        )
    tokens = TriggeredTokens(group.tokens, np.array(rows), np.array(ids))
    return replace(group, tokens=tokens)
