"""The run: one frozen value that holds every default and every constraint."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticSerializationError
from typing_extensions import Self

from agentos.config.agents import AgentsConfig
from agentos.config.unwritable_fields import unwritable
from agentos.data.config import DataConfig
from agentos.evaluation.config import EvaluationConfig
from agentos.evaluation.own_labels import OwnLabels
from agentos.events.trackers import TRACKERS, Tracker
from agentos.preflight.inputs import require_inputs
from agentos.preflight.protocol_plan import ProtocolPlan
from agentos.records.checkpoint_config import CheckpointConfig
from agentos.rounds.clock.config import Asynchronous, ClockConfig
from agentos.rounds.clock.requirements import check_asynchronous
from agentos.rounds.faults import FAULTS, Fault
from agentos.rounds.faults.policies import PolicyConfig
from agentos.rounds.health.collapse import HealthConfig
from agentos.runtime import RUNTIMES
from agentos.runtime.base import Runtime
from agentos.runtime.ray.runtime import RayRuntime
from agents.config import EncoderConfig
from agents.exchange import EXCHANGES, Exchange, Society
from agents.exchange.anchors.anchor_contrast import AnchorContrast
from agents.exchange.parameters.averaging import ParameterExchange
from agents.exchange.parameters.breakdown import check_breakdown
from agents.objectives import OBJECTIVES, Objective
from agents.objectives.info_nce import InfoNCE
from agents.objectives.labelled import Labelled
from agents.training.config import TrainingConfig
from agents.views import views_of
from protocols.errors import TopologyError
from protocols.messages import Weights
from protocols.spec import Kinds, Spec, written
from protocols.topologies import TOPOLOGIES, Network, Topology
from protocols.topologies.peer import Ring


class BaselineConfig(Spec):
    """The baselines of a run: what its agents reach without each other."""

    isolated: bool = Field(
        True, description="Also train every agent alone, for the same number of optimizer steps."
    )
    anchors_as_text: bool = Field(
        True, description="The lone agents read the public anchors as text, as often as in the run."
    )
    saved_encoders: bool = Field(
        True,
        description="Save the encoders of the lone agents, too, which 'agentos audit' compares.",
    )
    self_training: bool = Field(
        False,
        description="Also let every agent learn from its own messages in place of its neighbours', with the "
        "same loss. Only exchanges about anchors have this baseline.",
    )


class RunConfig(Spec):
    """A run of a society of agents.

    Example:
        >>> config = RunConfig.model_validate({"name": "demo", "topology": {"kind": "ring", "hops": 2}})
        >>> config.topology.kind, config.agents.total
        ('ring', 6)
    """

    name: str = Field("run", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)
    seed: int = Field(
        0, ge=0, lt=2**63, description="Every random number of the run derives from it."
    )
    data: DataConfig = Field(default_factory=DataConfig)
    agents: AgentsConfig = Field(default_factory=AgentsConfig)
    topology: Annotated[Topology, Kinds(TOPOLOGIES)] = Field(
        default_factory=Ring, description="Who may talk to whom."
    )
    objectives: tuple[Annotated[Objective, Kinds(OBJECTIVES)], ...] = Field(
        default_factory=lambda: (InfoNCE(),),
        min_length=1,
        description="What agents learn from their own text; their weighted losses are added.",
    )
    exchange: Annotated[Exchange, Kinds(EXCHANGES)] = Field(
        default_factory=AnchorContrast,
        description="What agents send each other, and how they learn from it.",
    )
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = Field(default_factory=EvaluationConfig)
    saved_encoders: int | None = Field(
        None, ge=0, description="Agents whose encoders are saved at the end; unset: every one."
    )
    health: HealthConfig = Field(default_factory=HealthConfig)
    baseline: BaselineConfig = Field(default_factory=BaselineConfig)
    checkpoints: CheckpointConfig = Field(default_factory=CheckpointConfig)
    clock: ClockConfig | None = Field(
        None,
        description="How long the run would take elsewhere, in simulated seconds; null for no clock.",
    )
    policy: PolicyConfig = Field(default_factory=PolicyConfig)
    faults: tuple[Annotated[Fault, Kinds(FAULTS)], ...] = Field(
        (),
        description="What is to go wrong, by kind; it does so again in every run of the same seed.",
    )
    runtime: Annotated[Runtime, Kinds(RUNTIMES)] = Field(
        default_factory=RayRuntime, description="Where agents live."
    )
    trackers: tuple[Annotated[Tracker, Kinds(TRACKERS)], ...] = Field(
        (), description="Programs that show the run's curves, in addition to TensorBoard."
    )

    @model_validator(mode="after")
    def _topology_fits(self) -> Self:
        try:
            self.network()
        except TopologyError as error:
            raise ValueError(f"topology: {error}") from error
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        society = self.society()
        self.exchange.check(society)
        for objective in self.objectives:
            for encoder in society.encoders:
                if objective.relies_on_dropout and encoder.dropout == 0.0:
                    raise ValueError(
                        f"objective {objective.kind} tells its views apart by dropout alone, and "
                        "encoder.dropout is 0; set it to 0.1, or use info_nce with the view 'crop'"
                    )
                _check_language_model(objective, encoder)
        return self

    @model_validator(mode="after")
    def _joint_fits(self) -> Self:
        if self.evaluation.joint is not None:
            self.evaluation.joint.check(self.agents.total, self.data.anchors)
        return self

    @model_validator(mode="after")
    def _faults_name_agents(self) -> Self:
        for index, fault in enumerate(self.faults):
            strangers = [agent for agent in fault.named() if agent >= self.agents.total]
            if strangers:
                raise ValueError(
                    f"faults.{index} ({fault.kind}) names agent {strangers[0]}, and the agents are numbered "
                    f"from 0 to {self.agents.total - 1}"
                )
        return self

    @model_validator(mode="after")
    def _fusions_withstand_the_faults(self) -> Self:
        network = self.network()
        for round in sorted({fault.rounds[0] if fault.rounds else 1 for fault in self.faults}):
            active = [fault for fault in self.faults if fault.is_on(round)]
            altering = (fault for fault in active if fault.alters(Weights))
            poisoned = {agent for fault in altering for agent in fault.named()}
            for part in self.exchange.parts:
                if isinstance(part, ParameterExchange):
                    check_breakdown(part.fusion, network, poisoned)
        return self

    @model_validator(mode="after")
    def _neighbours_speak(self) -> Self:
        offering = [kind for kind, cls in EXCHANGES.items() if cls.offers_neighbours]
        for objective in self.objectives:
            offered = any(part.offers_neighbours for part in self.exchange.parts)
            if objective.wants_neighbours and not offered:
                raise ValueError(
                    f"objective {objective.kind} wants neighbours' embeddings of anchors for negatives, and "
                    f"exchange.kind={self.exchange.kind} brings none; set exchange.kind to "
                    f"{' or '.join(offering)}, or neighbours of the objective to false"
                )
        return self

    @model_validator(mode="after")
    def _own_labels_are_learnt(self) -> Self:
        learnt = [each.classes for each in self.objectives if isinstance(each, Labelled)]
        tasks = [each.kind for each in self.evaluation.tasks if isinstance(each, OwnLabels)]
        wanted = {part.wants_own_labels for part in self.exchange.parts} - {0}
        for name, wants in (
            ("exchange.labels is own", wanted),
            ("evaluation.tasks asks for own_labels", tasks),
        ):
            if wants and not learnt:
                raise ValueError(
                    f"{name}, and no objective learns labels; add {{kind: labelled, classes: ...}} to "
                    "objectives"
                )
        if wanted - set(learnt):
            raise ValueError(
                f"exchange.classes is {max(wanted)}, and the objective labelled has {learnt[0]} classes; "
                "give both the number of labels in the data"
            )
        if bool(learnt) != (self.data.private_labels is not None):
            raise ValueError(
                "the objective labelled learns the labels of data.private_labels; set both, or neither"
            )
        return self

    @model_validator(mode="after")
    def _parameters_come_back(self) -> Self:
        wanting = [each.kind for each in self.objectives if each.wants_reference]
        offered = any(part.offers_reference for part in self.exchange.parts)
        if wanting and not offered:
            offering = [kind for kind, cls in EXCHANGES.items() if cls.offers_reference]
            raise ValueError(
                f"objective {wanting[0]} looks back at parameters that came from others, and "
                f"exchange.kind={self.exchange.kind} brings none; set exchange.kind to "
                f"{' or '.join(offering)}, or drop the objective"
            )
        if len(wanting) == len(self.objectives):
            raise ValueError(
                f"objective {wanting[0]} learns nothing before the first exchange; add another objective, "
                "such as info_nce"
            )
        return self

    @model_validator(mode="after")
    def _blanks_are_filled(self) -> Self:
        masked = any(objective.language_model == "masked" for objective in self.objectives)
        for objective in self.objectives:
            if not masked and any(view.needs_infilling for view in views_of(objective)):
                raise ValueError(
                    f"objective {objective.kind} has words replaced by the agent's own masked language "
                    "model, and no objective trains one; add {kind: masked_lm} to objectives, or use the "
                    "source thesaurus"
                )
        return self

    @model_validator(mode="after")
    def _nobody_waits(self) -> Self:
        if self.clock is not None and isinstance(self.clock.mode, Asynchronous):
            check_asynchronous(self.exchange, self.network(), self.faults, self.policy)
        return self

    def society(self) -> Society:
        """Return what an exchange strategy may ask about the run."""
        encoders = [group.encoder for group in self.agents.resolved for _ in range(group.count)]
        return Society(
            encoders=tuple(encoders),
            anchors=self.data.anchors,
            batch_size=self.training.batch_size,
            local_steps=self.training.local_steps,
            accumulate=self.training.accumulate,
            network=self.network(),
        )

    @property
    def round_tokens(self) -> int:
        """Tokens that an agent trains on in a round, at most: with every text as long as it may be."""
        training = self.training
        views = sum(objective.views_per_document for objective in self.objectives)
        batches = training.local_steps * training.accumulate
        return batches * training.batch_size * views * training.max_length

    @property
    def health_interval(self) -> int:
        """Rounds from one check of the agents' health to the next; 0 for never."""
        embedded = min(self.health.texts, self.data.anchors) * self.evaluation.max_length
        return self.health.interval(embedded, self.round_tokens)

    def protocol(self) -> ProtocolPlan:
        """Return what the dry run of this run's protocol needs."""
        return ProtocolPlan(
            exchange=self.exchange,
            society=self.society(),
            objectives=self.objectives,
            rounds=self.training.rounds,
            vocabulary_size=self.data.tokenizer.vocabulary_size,
        )

    def require_inputs(self) -> None:
        """Refuse what a look at the files shows to be impossible; see `require_inputs`."""
        for tracker in self.trackers:
            tracker.require()
        require_inputs(
            self.data,
            self.agents.total,
            self.evaluation,
            self.objectives,
            self.exchange.wants_labels,
        )

    def network(self) -> Network:
        """Build the network of this run; the same every time."""
        return self.topology.build(self.agents.total, self.seed)

    def resolved(self) -> dict[str, Any]:
        """Return the run as plain values, every default filled in; it validates to an equal run.

        A kind from outside AgentOS is named by the place of its class, which must then be trusted.

        Raises:
            ConfigurationError: a field of a user's own class cannot be written.
        """
        try:
            return written(self)
        except PydanticSerializationError as error:
            raise unwritable(self, error) from error


def _check_language_model(objective: Objective, encoder: EncoderConfig) -> None:
    """Refuse a masked language model that is a decoder, and a causal one that sees both sides."""
    wanted, found = objective.language_model, encoder.language_model
    if wanted is None or found is None or wanted == found:
        return
    preset = str(encoder.preset).removesuffix("-decoder")
    hint = (
        f"preset {preset}, or the objective causal_lm"
        if found == "causal"
        else f"preset {preset}-decoder, or the objective masked_lm"
    )
    raise ValueError(
        f"objective {objective.kind} needs a {wanted} language model, and the preset "
        f"{encoder.preset} is a {found} one; use {hint}"
    )
