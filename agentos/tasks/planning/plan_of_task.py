"""The plan of a task, from its analysis: which agents, which parts, who does what when.

Only texts of the split ``fit`` are embedded; of those to answer, tokens are counted.

Legend: N texts to answer, M models, A chosen agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agentos.rounds.clock.timing import Timing
from agentos.tasks.decomposition import Decomposition, Division, Undivided, WholeTask
from agentos.tasks.decomposition.part_heads import PartFitness, capable, fitness
from agentos.tasks.planning.part_work import Worker
from agentos.tasks.planning.work_plan import Rules, WorkPlan, everyone_answers, plan_work
from agentos.tasks.scheduling import Scheduler
from agentos.tasks.selection import Candidates, Selection
from agents.answering import Adaptation, Answers, Examples, out_of_fold
from agents.answering.answers import Labels
from protocols.errors import ConfigurationError


@dataclass(frozen=True)
class Candidate:
    """A model that may work on a task.

    Attributes:
        worker: its card, and the tokens of each text to answer.
        examples: its embeddings of the split ``fit``.
    """

    worker: Worker
    examples: Examples


@dataclass(frozen=True)
class Planner:
    """Settings of a task's plan.

    Attributes:
        select, adapt, decompose, schedule: the kinds that were chosen.
        seed: the run's seed.
        task: name of the task in messages.
    """

    select: Selection
    adapt: Adaptation
    decompose: Decomposition
    schedule: Scheduler
    seed: int = 0
    task: str = "task"

    def chosen(self, candidates: Sequence[Candidate], labels: Labels) -> list[Candidate]:
        """Return the models that work, the most accurate out of fold first; it is the master."""
        known = Candidates(
            origins=tuple(each.worker.card.origin for each in candidates),
            parameters=tuple(each.worker.card.parameters for each in candidates),
            embeddings=tuple(each.examples.embeddings for each in candidates),
            labels=labels,
        )
        models = self.select.choose(known, self.seed).models
        classes = int(labels.max()) + 1
        answers = {m: self._out_of_fold(candidates[m], labels, classes) for m in models}
        accuracy = {model: float(found.right(labels).mean()) for model, found in answers.items()}
        return [candidates[m] for m in sorted(models, key=lambda m: (-accuracy[m], m))]

    def divided(
        self, agents: Sequence[Candidate], classes: Sequence[str], timing: Timing
    ) -> Division:
        """Return the parts; the work of a text is the tokens that the first agent reads of it.

        Args:
            agents: A agents that were chosen, the most accurate first.
            classes: name of each class.
            timing: with the speed of each agent.
        """
        lengths = agents[0].worker.lengths.astype(np.float64)
        speeds = tuple(
            timing.speeds[number] / agent.worker.card.flops_per_token
            for number, agent in enumerate(agents)
        )
        return self.decompose.divide(WholeTask(tuple(classes), lengths, speeds))

    def plan(
        self, agents: Sequence[Candidate], labels: Labels, classes: Sequence[str], timing: Timing
    ) -> tuple[WorkPlan, Division]:
        """Return who does which part when, and the parts.

        A part goes to agents that are about as good at it as the best. Without a division every agent
        answers all texts, and the master fuses the answers.

        Raises:
            ConfigurationError: speeds are missing, or a part is left without an agent.
        """
        if len(timing.speeds) != len(agents) or timing.work != "flops":
            raise ConfigurationError(
                "the clock does not fit the plan",
                expected=f"speeds of {len(agents)} agents in FLOPs a second",
                actual=f"{len(timing.speeds)} speeds in {timing.work}",
                hint="set clock.work to flops, and give a speed for each selected model",
            )
        workers = [agent.worker for agent in agents]
        division = self.divided(agents, classes, timing)
        if isinstance(self.decompose, Undivided):
            parts = everyone_answers(len(classes), workers)
            rules = Rules(self.schedule, seed=self.seed, task=self.task)
            return plan_work(parts, workers, timing, rules), division
        rules = self.rules(division, self.fitness(division, agents, labels).accuracy, workers)
        return plan_work(division, workers, timing, rules), division

    def fitness(
        self, division: Division, agents: Sequence[Candidate], labels: Labels
    ) -> PartFitness:
        """Return the out-of-fold accuracy `[P, A]` of each agent at each of the P parts, and its cost."""
        examples = [agent.examples for agent in agents]
        return fitness(division, self.adapt, examples, labels, self.seed)

    def rules(
        self,
        division: Division,
        measured: NDArray[np.float64],
        workers: Sequence[Worker],
        master: int = 0,
    ) -> Rules:
        """Return the rules of a plan: a part goes to agents about as good at it as the best, while they live.

        Args:
            division: P parts.
            measured: `[P, A]`, accuracy of each agent at each part.
            workers: the A agents.
            master: agent that hands out the texts.
        """
        names = [worker.card.name for worker in workers]
        able = capable(division, measured, names, self.decompose.slack)
        return Rules(self.schedule, able, measured, self.seed, master, self.task)

    def _out_of_fold(self, agent: Candidate, labels: Labels, classes: int) -> Answers:
        origin = agent.worker.card.origin
        held = out_of_fold(self.adapt, agent.examples, labels, classes, origin, seed=self.seed)
        return held.answers
