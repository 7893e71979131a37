"""Word-embedding association tests: is one group of words nearer to an attribute than another?

Legend: X, Y words of the two target groups, A, B of the two attributes, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, field_validator
from scipy.stats import permutation_test

from agentos.data.yaml_text import parse_yaml
from protocols.errors import ConfigurationError
from protocols.seeding import generator
from protocols.spec import Spec

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
TEMPLATES = ("This is {}.", "That is {}.", "There is {}.", "Here is {}.")
"""Sentences that a word is put into; its embedding is the mean over them (May et al., 2019)."""
LISTS = Path(__file__).parent / "word_lists.yaml"
_PARTITIONS = 10_000
_MOST_WORDS = 1_000


class WordLists(Spec):
    """A test: two groups of target words and two of attribute words.

    Attributes:
        targets, attributes: two named groups of at least two words each.
    """

    targets: dict[str, list[str]] = Field(..., min_length=2, max_length=2)
    attributes: dict[str, list[str]] = Field(..., min_length=2, max_length=2)

    @field_validator("targets", "attributes")
    @classmethod
    def _are_groups(cls, groups: dict[str, list[str]]) -> dict[str, list[str]]:
        for name, words in groups.items():
            if not 2 <= len(words) <= _MOST_WORDS:
                raise ValueError(f"{name} must have 2 to {_MOST_WORDS:,} words, not {len(words):,}")
        return groups


@dataclass(frozen=True)
class Association:
    """Result of a test.

    Attributes:
        name: of the word lists.
        targets, attributes: names of their groups.
        effect: effect size d: positive where the first targets are nearer to the first attributes, from -2
            to 2.
        p: two-sided p of a permutation test of the target groups.
    """

    name: str
    targets: tuple[str, str]
    attributes: tuple[str, str]
    effect: float
    p: float


def read_word_lists(path: Path = LISTS) -> dict[str, WordLists]:
    """Read tests from a YAML file: a name, and for each `targets` and `attributes`.

    Raises:
        ConfigurationError: the file cannot be read, or is not made like that.
    """
    try:
        values = parse_yaml(path.read_text("utf-8"))
        return {str(name): WordLists.model_validate(each) for name, each in values.items()}
    except (OSError, ValueError, AttributeError, yaml.YAMLError) as error:
        raise ConfigurationError(
            f"{path} holds no word lists",
            expected="names, each with targets and attributes of two named groups of words",
            actual=str(error).splitlines()[0],
            hint="begin with a copy of agentos/audit/bias/word_lists.yaml",
        ) from error


def association(embed: Embed, name: str, lists: WordLists, seed: int = 0) -> Association:
    """Test whether the first target group is nearer to the first attributes than the second is.

    For a word w, ``s(w)`` is its mean cosine to the words of A less that to B. The effect size is the
    difference of the means of s over X and Y, in standard deviations of s over both.

    Sources: Caliskan et al., Semantics derived automatically from language corpora contain human-like biases,
    2017; May et al., On Measuring Social Biases in Sentence Encoders, 2019.
    """
    x_XD, y_YD = (_units(embed, words) for words in lists.targets.values())
    a_AD, b_BD = (_units(embed, words) for words in lists.attributes.values())
    first, second = (_scores(rows, a_AD, b_BD) for rows in (x_XD, y_YD))
    spread = float(np.concatenate([first, second]).std(ddof=1))
    effect = float(first.mean() - second.mean()) / spread if spread > 1e-12 else 0.0
    return Association(
        name, _pair(lists.targets), _pair(lists.attributes), effect, _p(first, second, seed)
    )


def _units(embed: Embed, words: Sequence[str]) -> NDArray[np.float64]:
    """Return the mean embedding of each word over the templates, of length 1."""
    rows = embed([template.format(word) for word in words for template in TEMPLATES])
    means = rows.astype(np.float64).reshape(len(words), len(TEMPLATES), -1).mean(axis=1)
    units: NDArray[np.float64] = means / np.maximum(
        np.linalg.norm(means, axis=1, keepdims=True), 1e-12
    )
    return units


def _scores(
    rows: NDArray[np.float64], a_AD: NDArray[np.float64], b_BD: NDArray[np.float64]
) -> NDArray[np.float64]:
    scores: NDArray[np.float64] = (rows @ a_AD.T).mean(axis=1) - (rows @ b_BD.T).mean(axis=1)
    return scores


def _p(first: NDArray[np.float64], second: NDArray[np.float64], seed: int) -> float:
    """Return the two-sided p of a difference of means: exact where there are at most 10,000 partitions."""
    found = permutation_test(
        (first, second),
        lambda x, y, axis: x.mean(axis=axis) - y.mean(axis=axis),
        vectorized=True,
        n_resamples=_PARTITIONS,
        rng=generator(seed, "association test"),
    )
    return float(found.pvalue)


def _pair(groups: dict[str, list[str]]) -> tuple[str, str]:
    first, second = groups
    return first, second
