"""A task of mteb as an evaluation task, on data that is on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from agentos.evaluation.base import HeldOut, Metric, Task
from agentos.evaluation.mteb_adapter import MtebEncoder
from agents.models.text_encoder import TextEncoder
from protocols.errors import ConfigurationError, DataError

_BATCH = 64


class Mteb(Task):
    """The main score of one task of mteb, a mean over its subsets; it needs no held-out documents.

    Nothing is downloaded: the data must be in the local cache of Hugging Face datasets.

    Source: Muennighoff et al., MTEB: Massive Text Embedding Benchmark, 2023.
    """

    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric(
            name="mteb_main_score",
            label="Main score of mteb",
            higher_is_better=True,
            help="The main score of the task, as mteb defines it; a mean over its subsets.",
        ),
    )

    kind: Literal["mteb"] = "mteb"
    name: str = Field(
        min_length=1, description="Name of the task, such as Banking77Classification."
    )

    def check(self, heldout: HeldOut) -> None:
        """Accept any held-out documents: the task brings its own."""

    def read(self) -> Any:
        """Return mteb's task, with its data.

        Raises:
            ConfigurationError: mteb is not installed, or knows no such task.
            DataError: the data is not on this machine.
        """
        try:
            import mteb
        except ImportError as error:
            raise ConfigurationError(
                "tasks of mteb need the package mteb", actual=str(error), hint="pip install mteb"
            ) from error
        try:
            task = mteb.get_task(self.name)
        except KeyError as error:
            raise ConfigurationError(
                f"mteb has no task {self.name!r}",
                expected="a name of mteb.get_tasks()",
                hint=" ".join(str(error.args[0]).split())[:200] if error.args else "check the name",
            ) from error
        try:
            with _offline():
                task.load_data()
        except Exception as error:  # of many libraries, each with errors of its own
            raise DataError(
                f"the data of mteb's task {self.name} is not on this machine",
                expected="a copy in the cache of Hugging Face datasets",
                actual=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
                hint=f"load it once where there is a network: mteb.get_task({self.name!r}).load_data()",
            ) from error
        return task

    def evaluate(self, encoder: TextEncoder, heldout: HeldOut, seed: int) -> dict[str, float]:
        """Return ``mteb_main_score``, usually in [0, 1], on the first of the task's test splits."""
        task = self.files
        scores = task.evaluate(
            MtebEncoder(encoder),
            task.metadata.eval_splits[0],
            encode_kwargs={"batch_size": _BATCH, "show_progress_bar": False},
        )
        return {"mteb_main_score": float(np.mean([each["main_score"] for each in scores.values()]))}


@contextmanager
def _offline() -> Iterator[None]:
    """Let no library of Hugging Face reach the network."""
    import datasets
    import huggingface_hub

    places = [(huggingface_hub.constants, "HF_HUB_OFFLINE"), (datasets.config, "HF_HUB_OFFLINE")]
    before = [getattr(module, name) for module, name in places]
    for module, name in places:
        setattr(module, name, True)
    try:
        yield
    finally:
        for (module, name), value in zip(places, before, strict=True):
            setattr(module, name, value)
