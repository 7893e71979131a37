"""Streams of text: which documents come in which episode, and what each is used for."""

from agentos.learning.streams.base import Stream, StreamText
from agentos.learning.streams.episodes import Episode, cut
from agentos.learning.streams.folder_stream import Folder
from agentos.learning.streams.label_stream import ByLabel
from agentos.learning.streams.source_stream import BySource
from agentos.learning.streams.time_stream import ByTime

STREAMS: dict[str, type[Stream]] = {
    "by_label": ByLabel,
    "by_time": ByTime,
    "by_source": BySource,
    "folder": Folder,
}
"""Every kind of stream. To add one, write its class in its own file and add a line here."""

__all__ = [
    "ByLabel",
    "BySource",
    "ByTime",
    "Episode",
    "Folder",
    "STREAMS",
    "Stream",
    "StreamText",
    "cut",
]
