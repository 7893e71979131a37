"""The knowledge base of a life: opened for as long as the life writes, without what was interrupted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from agentos.learning.knowledge.storage.claim_log import LOG
from agentos.learning.knowledge.storage.knowledge_base import KnowledgeBase
from agentos.learning.knowledge.storage.lance_store import LanceStore

logger = logging.getLogger(__name__)


@contextmanager
def opened(
    folder: Path | None, episode: int, confirmed: int, tables: str | None = None
) -> Iterator[KnowledgeBase | None]:
    """Open the base of a life for as long as the life writes; None where it keeps none.

    What an episode wrote that the life's record does not know of was interrupted, and is dropped: the episode
    is learnt again, and writes the same.

    Args:
        folder: the base; None for none.
        episode: the next episode to learn.
        confirmed: records that the life knows of.
        tables: address of its tables in object storage; None for a folder next to the log.

    Raises:
        RecordError: the base is missing, foreign, damaged, or behind the life.
    """
    if folder is None:
        yield None
        return
    new = confirmed == 0 and not (folder / LOG).exists()
    store = None if tables is None else lambda default: LanceStore(tables)
    open_or_create = KnowledgeBase.create if new else KnowledgeBase.open
    with open_or_create(folder, store) as base:
        if dropped := base.cut_from(mark_of(episode)):
            logger.warning("%s: %d records of an interrupted episode are dropped", folder, dropped)
        base.require(confirmed)
        yield base


def mark_of(episode: int) -> str:
    """Return the name of the mark before what an episode taught."""
    return f"episode {episode}"
