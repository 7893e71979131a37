"""A society that writes: decoders of one vocabulary, and how they are weighed.

Legend: J agents, T tokens of a text, V tokens of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from agentos.rounds.clock.timing import timing_of
from agentos.tasks.config import GenerateTask
from agentos.tasks.cooperation.joint_writing import JointWriting
from agentos.tasks.cooperation.setting import Setting
from agentos.tasks.cooperation.traffic import Traffic
from agentos.tasks.library import ModelCard
from agentos.tasks.society.fitted_society import SINGLE
from agentos.tasks.society.hosted_decoders import Decoders, Expected, loaded
from agentos.tasks.society.joint_writer import Writer
from agents.answering.answers import Labels, Rows
from agents.answering.writing.continuation import Continuation, write
from agents.answering.writing.mixture import MIXTURES, Mixture, check_vocabularies, log_prior
from agents.models.next_token import NextToken
from protocols.errors import ConfigurationError, HostLost
from protocols.topologies.peer import Complete

_LONGEST = 1 << 20
"""Tokens of a prompt that no positions limit."""
_CELLS = 1 << 26
"""Probabilities of one agent that are in memory at once."""


@dataclass(frozen=True)
class Scored:
    """Texts as decoders expected them together.

    Attributes:
        logs: log-probabilities `[J, T]` of the tokens of each text, as the asker received them.
        traffic: messages, costs and losses.
        seconds: of the decoders, on their hosts.
    """

    logs: tuple[Rows, ...]
    traffic: Traffic
    seconds: float


@dataclass(frozen=True)
class Written:
    """A prompt, continued.

    Attributes:
        continuation: the text that was added.
        weights: share of each agent after the last token, by name.
        flops, payload_bytes: spent on it.
    """

    continuation: str
    weights: dict[str, float]
    flops: float
    payload_bytes: float


@dataclass(frozen=True)
class WritingSociety:
    """Decoders that write together.

    Attributes:
        config: the configuration that it was made under.
        cards: their cards; agent 0 draws the tokens.
        best: place of the decoder that writes best alone.
        chosen: the way that answers: `SINGLE`, or a mixture.
    """

    config: GenerateTask
    cards: tuple[ModelCard, ...]
    best: int = 0
    chosen: str = SINGLE

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways to write: the best decoder alone, and the mixtures."""
        return (SINGLE,) if len(self.cards) == 1 else (SINGLE, *sorted(MIXTURES))

    def choosing(self, way: str, best: int) -> WritingSociety:
        """Return the society in which another way answers, and another decoder works alone."""
        return replace(self, chosen=way, best=best)

    def decoders(self) -> list[NextToken]:
        """Return the decoders, loaded in this process.

        Raises:
            ModelError: a model is no decoder.
            ConfigurationError: their vocabularies differ, or a text can be longer than their positions.
        """
        found = [loaded(card.path, card.origin) for card in self.cards]
        check_vocabularies([each.vocabulary for each in found])
        longest = self.config.task.max_length
        fewest = min(each.positions or longest for each in found)
        if fewest < longest:
            raise ConfigurationError(
                "texts are longer than a decoder's positions",
                expected=f"task.max_length of at most {fewest}",
                actual=longest,
                hint="lower task.max_length",
            )
        return found

    def expected(self, texts: Sequence[Labels], hosted: Decoders, faulty: bool) -> Scored:
        """Let the decoders expect texts token by token, each told what the token was.

        Args:
            texts: framed tokens of each text, at least two.
            hosted: the decoders on their hosts.
            faulty: whether the fault script strikes.

        Raises:
            HostLost: no decoder is left.
        """
        (first, *_), agents = self.decoders(), len(self.cards)
        talk = Traffic(np.arange(len(texts)), self.setting(faulty))
        alive = self._alive(talk)
        origins = [self.cards[agent].origin for agent in alive]
        joint = JointWriting(talk, alive, origins, first.vocabulary, self.config.task.sent)
        size, seconds = len(first.tokenizer), 0.0
        logs = [np.full((agents, len(ids) - 1), -np.log(size)) for ids in texts]
        step = max(1, _CELLS // (size * self.config.task.max_length * agents))
        for start in range(0, len(texts), step):
            part = {text: texts[text] for text in range(start, min(start + step, len(texts)))}
            found = hosted.distributions(alive, list(part.values()))
            seconds += sum(each.seconds for each in found.values())
            _expect(joint, found, part, logs)
        return Scored(tuple(logs), talk, seconds)

    def write(self, prompt: str, text: int) -> Written:
        """Continue a prompt by the chosen way.

        Args:
            prompt: its beginning.
            text: number of the text; another number draws another text.

        Raises:
            ConfigurationError: the prompt is empty, or longer than the decoders' positions.
        """
        task, decoders = self.config.task, self.decoders()
        alone = self.chosen == SINGLE
        agents = [self.best] if alone else list(range(len(decoders)))
        ids = _prompt(decoders[0], prompt, task.new_tokens)
        talk = Traffic(np.zeros(1, dtype=np.int64), self.setting(False))
        origins = [self.cards[agent].origin for agent in agents]
        joint = JointWriting(talk, agents, origins, decoders[0].vocabulary, task.sent)
        # The best decoder alone sends nothing to itself.
        writers = [
            Writer(decoders[agent], agent, None if alone else joint, talk) for agent in agents
        ]
        mixture = rule("uniform" if alone else self.chosen)
        how = Continuation(
            mixture=mixture, max_new_tokens=task.new_tokens, temperature=task.temperature
        )
        added = write(writers, ids, how, text=text, seed=self.config.seed)
        known = np.array([each.known for each in writers])
        shares = np.exp(mixture.log_weights(known, log_prior(origins)))
        return Written(
            str(decoders[0].tokenizer.decode(added.tolist(), skip_special_tokens=True)),
            {self.cards[a].name: float(w) for a, w in zip(agents, shares, strict=True)},
            float(talk.flops.sum()),
            float(talk.payload_bytes.sum()),
        )

    def setting(self, faulty: bool) -> Setting:
        """Return where the decoders work.

        Args:
            faulty: whether the fault script strikes.
        """
        config, agents = self.config, len(self.cards)
        network = (config.topology if agents > 1 else Complete()).build(agents, config.seed)
        timing = timing_of(config.clock, network, config.seed, {}, config.task.max_length)
        faults = config.faults if faulty else ()
        return Setting(network, timing, config.name, config.seed, faults, config.deadline_s)

    def _alive(self, talk: Traffic) -> list[int]:
        dead = talk.victims()
        talk.lost += [f"agent {agent} did not write: its host died" for agent in sorted(dead)]
        alive = [agent for agent in range(len(self.cards)) if agent not in dead]
        if not alive:
            raise HostLost("no agent is left to write", hint="see the fault script")
        return alive


def _expect(
    joint: JointWriting, found: dict[int, Expected], texts: dict[int, Labels], logs: list[Rows]
) -> None:
    """Send what agents expect of some texts, token by token; fill in the logarithms of what was received."""
    rows = {agent: dict(zip(texts, each.texts, strict=True)) for agent, each in found.items()}
    tokens = sum(len(ids) - 1 for ids in texts.values())
    for step in range(max(len(ids) for ids in texts.values()) - 1):
        active = [text for text, ids in texts.items() if len(ids) > step + 1]
        ids = np.array(active)
        following = np.array([texts[text][step + 1] for text in active])
        for agent, each in found.items():
            mine = np.stack([rows[agent][text][step] for text in active])
            spent = each.flops / tokens * len(active)
            received = joint.expect(agent, mine, ids, step, spent)
            chances = np.log(received[np.arange(len(active)), following])
            for text, chance in zip(active, chances.tolist(), strict=True):
                logs[text][agent, step] = chance
        joint.decide(following, ids, mine.shape[1])


def _prompt(decoder: NextToken, prompt: str, new_tokens: int) -> Labels:
    """Return the tokens of a prompt.

    Raises:
        ConfigurationError: there are none, or too many.
    """
    most = (decoder.positions or _LONGEST) - new_tokens
    ids = decoder.framed(prompt, _LONGEST, ends=False)
    if not 0 < len(ids) <= most:
        raise ConfigurationError(
            "a prompt does not fit the decoders",
            expected=f"1 to {most} tokens, for {new_tokens} to follow",
            actual=len(ids),
            hint="give a shorter prompt that is not empty, or lower task.new_tokens",
        )
    return ids


def rule(way: str) -> Mixture:
    """Return the rule of a mixture by its name."""
    return MIXTURES[way].model_validate({})
