"""Arguments of ``agentos eval``, resolved to encoders, tasks and documents."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import ValidationError

from agentos.config.field_errors import InvalidConfiguration, explain
from agentos.config.load import load
from agentos.config.run import RunConfig
from agentos.data.sources.opening import ending
from agentos.data.tokenization.sentences import split_sentences
from agentos.data.yaml_values import parse_value
from agentos.evaluation import TASKS, HeldOut, Task
from agentos.evaluation.assess import (
    Assessment,
    Documents,
    TrainingText,
    assess,
    default_tasks,
    exported_encoders,
    loaded_encoders,
    with_joint,
)
from agentos.evaluation.centering import MapFitter, Whitening
from agentos.evaluation.joint.joint_config import JointConfig, suits_joint
from agentos.evaluation.joint.joint_plan import JointPanels
from agentos.evaluation.mteb_task import Mteb
from agentos.evaluation.task_files import FORMATS, read_documents
from agentos.events import Listener
from agentos.records.identity.digests import of_encoders, of_text
from agentos.records.identity.fingerprint import Fingerprint, read_fingerprints
from agentos.simulation.preparation import heldout_of, joint_panels, prepare_corpus
from agents.models.text_encoder import TextEncoder
from protocols.errors import ConfigurationError, DataError
from protocols.plugins import REFERENCE, TrustedPlugins
from protocols.seeding import generator
from protocols.spec import Kinds, Spec

logger = logging.getLogger(__name__)

_CONFIG = "config.yaml"
_FITTED_ON = {"mean": 512, "whitening": 4096}
"""Texts that a mean is fitted on, at most, and a whitening, which needs several for each direction."""
_PARAMETERS = re.compile(r""",(?=[A-Za-z_]\w*=)(?=(?:[^"]*"[^"]*")*[^"]*$)""")
"""Commas before the name of a parameter, outside double quotes; any other belongs to a path or a value."""


@dataclass(frozen=True)
class Request:
    """Arguments of an evaluation.

    Attributes:
        target: a run folder, a model folder, or a name in the local Hugging Face cache.
        tasks: each a kind, optionally with parameters: ``probe``, ``sts:pairs.jsonl``, ``knn:k=5``. If
            empty, those of the run, or for a model, those that need no file.
        data: a file of documents; or a run folder or configuration, for its held-out documents. If
            None, the target's own.
        agents: the run's agents; all if empty.
        max_length: tokens of a text; the limit of each folder if None.
        seed: seed of the tasks' random draws; the run's own, or 0, if None.
        changed_data_ok: whether a run's text or encoders may have changed since it read them.
        center_on: a file of texts; or a run folder or configuration, for its training text: the mean of
            embeddings is fitted on it. If None, the mean stored with each encoder is used, if any.
        whiten: whether to whiten on that text, too.
        width: directions that whitening keeps; all if None.
        joint: whether the run's joint embeddings are evaluated, too.
        among: agents that each asks, by the kinds of `JointConfig.agents`; the run's own, or all, if None.
        pca: width of the joint embedding; 0 for no reduction; the run's own if None.
        trusted: packages whose classes may be imported as kinds.
    """

    target: str
    tasks: Sequence[str] = ()
    data: str | None = None
    agents: Sequence[int] = ()
    max_length: int | None = None
    seed: int | None = None
    changed_data_ok: bool = False
    center_on: str | None = None
    whiten: bool = False
    width: int | None = None
    joint: bool = False
    among: str | None = None
    pca: int | None = None
    trusted: Sequence[str] = ()


def assessed(request: Request, progress: Callable[[str], None] = lambda _: None) -> Assessment:
    """Evaluate every encoder of a run folder, or one model.

    Args:
        request: encoders, tasks and documents.
        progress: called with a message at each step.

    Raises:
        AgentOSError: an argument cannot be used.
    """
    target = request.target
    run = run_config(target, request.trusted)
    chosen = {text: parse_task(text, request.trusted) for text in request.tasks}
    if run is None:
        _check_model(request)
    else:
        adapted = [group.encoder for group in run.agents.resolved if group.encoder.lora]
        require_same(of_encoders(adapted), Path(target), request.changed_data_ok)
    _check_whitening(request)
    if not chosen and run is not None and request.data is None:
        chosen = {task.kind: task for task in run.evaluation.tasks}
        if request.joint:
            chosen = {kind: task for kind, task in chosen.items() if suits_joint(task)}
    encoders = _encoders(request, run, chosen, progress)  # finds the folders; loads nothing yet
    progress("Reading documents")
    heldout = _heldout(request, run)
    seed = request.seed
    if seed is None:
        seed = 0 if run is None else run.seed
    return assess(
        encoders,
        chosen or default_tasks(heldout),
        Documents(heldout, request.data or f"held-out documents of {target}"),
        seed,
        _training_text(request),
    )


def _encoders(
    request: Request,
    run: RunConfig | None,
    chosen: Mapping[str, Task],
    progress: Callable[[str], None],
) -> Iterator[tuple[str, TextEncoder]]:
    """Return the encoders of a request by name, those of joint embeddings after their members."""
    folder = Path(request.target)
    if run is None:
        return loaded_encoders({folder.name: request.target}, request.max_length, progress)
    folders = exported_encoders(folder, request.agents)
    if not request.joint:
        return loaded_encoders(folders, request.max_length, progress)
    _require_embeddings_alone(chosen)
    plan = joint_request(run, request)
    asking = request.agents or range(len(plan.panels))
    members = {member for agent in asking for member in plan.panels[agent]}
    folders = exported_encoders(folder, sorted({*members, *request.agents}))
    loaded = loaded_encoders(folders, request.max_length, progress)
    return with_joint(loaded, plan, request.agents)


def _check_model(request: Request) -> None:
    """Refuse what asks for a run where there is a model."""
    target = request.target
    if request.data is None:
        missing = "" if Path(target).is_dir() else f"there is no folder {target}; "
        raise ConfigurationError(
            f"{missing}{target} is taken for a model, and no documents are named to evaluate it on",
            expected="a run folder, or --data with a file of documents, a run or its configuration",
            hint="correct the path of the run, or give --data, such as --data documents.jsonl",
        )
    if request.joint:
        raise ConfigurationError(
            f"{target} is one model, and --joint puts several agents of a run side by side",
            expected="a run folder",
            actual=target,
            hint="leave out --joint, or name a folder that 'agentos run' wrote",
        )


def _check_whitening(request: Request) -> None:
    if request.whiten and request.center_on is None:
        raise ConfigurationError(
            "--whiten has no text to whiten on",
            expected="--center-on with a file of documents, a run or its configuration",
            hint="add --center-on; a run's encoders store what evaluation.whitening fitted",
        )
    if request.width is not None and not request.whiten:
        raise ConfigurationError(
            "--width is of whitening, which is not asked for",
            hint="add --whiten, or leave out --width",
        )


def _training_text(request: Request) -> TrainingText | None:
    """Return the text to fit maps of embeddings on; None to use those stored with the encoders."""
    if request.center_on is None:
        return None
    whitening = Whitening(width=request.width) if request.whiten else None
    documents = _FITTED_ON["whitening" if request.whiten else "mean"]
    fitter = MapFitter(True, whitening, documents)
    if ending(request.center_on) in FORMATS:
        return TrainingText(read_documents(request.center_on).texts, fitter)
    run = _configured(request.center_on, request.trusted)
    corpus = prepare_corpus(run, Listener())
    drawn = generator(run.seed, "embedding maps").permutation(corpus.train)[: 4 * documents]
    texts = corpus.texts(drawn)
    if run.evaluation.center_text == "sentences":
        texts = [split_sentences(text)[0] for text in texts]
    return TrainingText(tuple(texts), fitter)


def joint_request(run: RunConfig, request: Request) -> JointPanels:
    """Return which agents of a run answer together: as its configuration says, or the request.

    Raises:
        ConfigurationError: an option does not fit the run.
        DataError: the text of the run has changed, where a PCA or copies need it.
    """
    changes: dict[str, Any] = {} if request.among is None else {"agents": request.among}
    if request.pca is not None:
        changes["pca"] = request.pca or None
    try:
        known = (run.evaluation.joint or JointConfig()).model_dump()
        joint = JointConfig.model_validate({**known, **changes})
        joint.check(run.agents.total, run.data.anchors)
    except ValidationError as error:
        raise InvalidConfiguration("the options of --joint", explain(error, JointConfig)) from error
    except ValueError as error:
        raise ConfigurationError(str(error), hint="change --pca") from error
    corpus = prepare_corpus(run, Listener()) if joint.needs_text else None
    if corpus is not None:
        require_same(of_text(corpus), Path(request.target), request.changed_data_ok)
    return joint_panels(run, joint, corpus)


def _require_embeddings_alone(tasks: Mapping[str, Task]) -> None:
    for task in tasks.values():
        if not suits_joint(task):
            raise ConfigurationError(
                f"the task {task.kind!r} needs a language-model head, and a joint embedding has none",
                hint="leave out this --task, or --joint",
            )


def parse_task(text: str, trusted: Sequence[str] = ()) -> Task:
    """Return the task that ``KIND``, ``KIND:PATH`` or ``KIND:NAME=VALUE,...`` names.

    A kind may be ``package.module:Class``, where the package is trusted; ``mteb:NAME`` is a task of mteb.

    Raises:
        InvalidConfiguration: the kind or a parameter is unknown, or a value out of range.

    Example:
        >>> parse_task("knn:k=5").k
        5
        >>> parse_task("sts:pairs.csv,score=similarity").path
        'pairs.csv'
        >>> parse_task("sts:pairs [1], b.csv").path
        'pairs [1], b.csv'
    """
    kind, _, rest = text.partition(":")
    if kind == "mteb" and rest:  # a table of its own, with hundreds of tasks
        return Mteb(name=rest)
    own = None if kind in TASKS else re.match(rf"{REFERENCE}(?=$|[:,])", text)
    if own:  # the place of a user's own class
        kind, rest = own[0], text[own.end() + 1 :]
    values: dict[str, Any] = {"kind": kind}
    for place, part in enumerate(filter(None, _PARAMETERS.split(rest))):
        name, equals, value = part.partition("=")
        if equals and name.isidentifier():
            values[name] = parse_value(value)
        elif place == 0:
            values["path"] = part
    try:
        context = TrustedPlugins.of(trusted)
        return _OneTask.model_validate({"task": values}, context=context).task
    except ValidationError as error:
        raise InvalidConfiguration(f"--task {text}", explain(error, _OneTask)) from error


class _OneTask(Spec):
    task: Annotated[Task, Kinds(TASKS)]


def run_config(target: str, trusted: Sequence[str] = ()) -> RunConfig | None:
    """Return the configuration of a run folder; None for anything else."""
    path = Path(target) / _CONFIG
    return load(str(path), (), trusted) if path.is_file() else None


def _configured(source: str, trusted: Sequence[str]) -> RunConfig:
    """Return the configuration of a run folder, a file or a ready-made run."""
    return run_config(source, trusted) or load(source, (), trusted)


def _heldout(request: Request, run: RunConfig | None) -> HeldOut:
    """Return the documents of a file, or the held-out documents of a run."""
    data = request.data
    if data is not None and ending(data) in FORMATS:
        return read_documents(data)
    if data is not None:
        run = _configured(data, request.trusted)
    assert run is not None  # a model without data has been refused
    corpus = prepare_corpus(run, Listener())
    require_same(of_text(corpus), Path(data or request.target), request.changed_data_ok)
    return heldout_of(run, corpus)


def require_same(found: Fingerprint, run: Path, changed_data_ok: bool) -> None:
    """Refuse data that is not what a run read, if it is one: it may have been trained on what is held out."""
    try:
        found.require(read_fingerprints(run), run)
    except DataError as error:
        if not changed_data_ok:
            raise
        logger.warning("%s: %s", error.message, error.actual)
