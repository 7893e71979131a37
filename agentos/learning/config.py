"""The configuration of a society that goes on learning."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    model_validator,
)
from typing_extensions import Self

from agentos.config.field_errors import InvalidConfiguration, explain
from agentos.config.load import find, load_as, read_yaml, set_fields
from agentos.config.run import RunConfig
from agentos.learning.finished_run import is_run, values_of
from agentos.learning.gate import Gate
from agentos.learning.knowledge.config import Knn, KnowledgeConfig
from agentos.learning.knowledge.novelty import ConformalKnn
from agentos.learning.labelling import LABELLERS, Labeller
from agentos.learning.learners import LEARNERS, Learner, Plain
from agentos.learning.streams import STREAMS, Stream
from protocols.errors import ConfigurationError
from protocols.plugins import TrustedPlugins
from protocols.spec import Kinds, Spec, spell_out


class LifeConfig(Spec):
    """A society, the stream that it learns, how it learns, and what lets an update in.

    Example:
        >>> life = LifeConfig.model_validate({"from": "quickstart", "stream": "by_label", "learn": "er"})
        >>> life.learn.kind, life.gate.alpha
        ('er', 0.05)
    """

    model_config = ConfigDict(populate_by_name=True)

    name: str = Field("life", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=60)
    begin: str = Field(
        alias="from",
        min_length=1,
        description="Configuration of the run that the first episode is learnt by: a file or a ready-made "
        "name; or the folder of a finished run, whose encoders go on learning. Each later episode takes as "
        "many rounds.",
    )
    set: dict[str, Any] = Field(
        default_factory=dict, description="Fields of that run to change, by their dotted paths."
    )
    stream: Annotated[Stream, Kinds(STREAMS)] = Field(
        description="Which documents come in which episode."
    )
    novelty: ConformalKnn | None = Field(
        None,
        description="How the share of documents unlike everything before is measured; null: not.",
    )
    label: Annotated[Labeller, Kinds(LABELLERS)] | None = Field(
        None, description="How unlabelled documents get labels; they get none if null."
    )
    learn: Annotated[Learner, Kinds(LEARNERS)] = Field(
        Plain(), description="How an episode is learnt."
    )
    head: Literal["trained", "ridge"] = Field(
        "trained",
        description="Classifier that agents answer by. trained: the one that the labels train, which forgets "
        "if nothing keeps it. ridge: streaming ridge regression on the agent's embeddings, in closed form.",
    )
    labels: int | None = Field(
        None,
        ge=2,
        le=100_000,
        description="Labels to make room for, where files that come later may bring new ones; those of the "
        "text if null.",
    )
    knowledge: KnowledgeConfig | None = Field(
        None, description="What becomes of an episode in a knowledge base; null: there is none."
    )
    use: Annotated[Knn, BeforeValidator(spell_out)] | None = Field(
        None, description="How answers draw on the knowledge base; null: they do not."
    )
    labelled_share: float = Field(
        0.5, gt=0.0, le=4.0, description="Labelled documents in a step, relative to the batch."
    )
    gate: Gate | None = Field(
        Gate(), description="What lets an update in; null lets in all, a control of a study."
    )
    _trusted: TrustedPlugins = PrivateAttr(default=TrustedPlugins())

    @model_validator(mode="after")
    def _something_to_use(self) -> Self:
        if self.use is not None and self.knowledge is None:
            raise ValueError("use draws on a knowledge base, and there is none; set knowledge: {}")
        return self

    @property
    def begin_run(self) -> Path | None:
        """Return the folder of the finished run that the life begins from; None for a configuration."""
        return Path(self.begin) if is_run(self.begin) else None

    def run(self) -> RunConfig:
        """Return the configuration of the run, with its changes.

        Raises:
            ConfigurationError: it cannot be read, or a society cannot go on learning under it.
        """
        folder = self.begin_run
        raw = read_yaml(find(self.begin)) if folder is None else values_of(folder, list(self.set))
        raw = set_fields(raw, self.set)
        try:
            config = RunConfig.model_validate(raw, context=self._trusted)
        except ValidationError as error:
            raise InvalidConfiguration(self.begin, explain(error, RunConfig)) from error
        for field, actual, wanted in (
            ("training.schedule", config.training.schedule, "constant"),
            ("clock", config.clock, None),
            ("data.private_labels", config.data.private_labels, None),
        ):
            if actual != wanted:
                raise ConfigurationError(
                    f"{field} does not fit a society that goes on learning",
                    expected=wanted,
                    actual=actual,
                    hint=f"set {{{field}: {'null' if wanted is None else wanted}}} in the field `set`",
                )
        if self.set.get("data.near_duplicates") is not None:
            raise ConfigurationError(
                "near duplicates of a stream are left out by the stream",
                expected="stream.near_duplicates",
                actual="data.near_duplicates in `set`",
                hint="set stream.near_duplicates in its place",
            )
        # The stream leaves them out itself, so that the report can tell what they would do.
        data = config.data.model_copy(update={"near_duplicates": None})
        config = config.model_copy(update={"data": data})
        if config.training.precision == "auto":  # episodes may be learnt on unlike machines
            training = config.training.model_copy(update={"precision": "fp32"})
            config = config.model_copy(update={"training": training})
        return config


def load_life(
    source: str, overrides: Sequence[str] = (), trusted: Iterable[str] | None = ()
) -> LifeConfig:
    """Read the configuration of a life from a YAML file.

    Args:
        source: path of the file.
        overrides: ``key.path=value`` each, the value in YAML.
        trusted: packages whose classes may be imported as kinds.

    Raises:
        ConfigurationError: the file cannot be read, or an override is malformed.
        InvalidConfiguration: fields are unknown or out of range.
    """
    life = load_as(LifeConfig, source, overrides, trusted)
    life._trusted = TrustedPlugins.of(trusted)
    return life
