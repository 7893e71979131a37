"""Weights and gradients of several agents, side by side.

The agents' states stay where they are: the layers' weights, a small part of a small encoder, are copied
before each step, and words are looked up in each agent's own table.

Legend: A agents, P parameters, B texts, T tokens, W width, V size of the vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from agents.models.flat_parameters import Layout, Slot
from agents.training.stacked.stacked_layers import StackedLayers

BACKBONE = "backbone."


class StackedWeights:
    """Weights of the layers, `[A, ...]` each, copied from the agents' flat buffers.

    Args:
        layout: layout of the buffers.
        layers: its embedding tables are left out.
        gradients: `[A, P]`.

    Attributes:
        views: weights by their names in the backbone, each a leaf of the graph.
    """

    def __init__(self, layout: Layout, layers: StackedLayers, gradients: Tensor) -> None:
        tables = {f"{BACKBONE}{name}" for name in (layers.words, layers.positions, layers.types)}
        slots = [
            slot
            for slot in layout.slots
            if slot.name.startswith(BACKBONE) and slot.name not in tables
        ]
        self._ranges = _ranges(slots)
        size = sum(end - start for start, end in self._ranges)
        self._buffer = gradients.new_empty(len(gradients), size)
        self.views: dict[str, Tensor] = {}
        self._gradients: list[Tensor] = []
        for slot in slots:
            at = self._place(slot.start)
            view = self._buffer[:, at : at + slot.length].view(-1, *slot.shape)
            self.views[slot.name.removeprefix(BACKBONE)] = view.detach().requires_grad_()
            self._gradients.append(_rows(gradients, slot))

    def read(self, buffers: Sequence[Tensor]) -> None:
        """Copy the weights from the agents' flat buffers `[P]`."""
        at = 0
        for start, end in self._ranges:
            rows = self._buffer[:, at : at + end - start].unbind()
            torch._foreach_copy_(rows, [buffer[start:end] for buffer in buffers])
            at += end - start

    def add(self, gradients: Sequence[Tensor]) -> None:
        """Add gradients of `views`, in their order, to the agents'."""
        for total, gradient in zip(self._gradients, gradients, strict=True):
            total.add_(gradient)

    def _place(self, start: int) -> int:
        """Return the place in the buffer of an element of the flat buffers."""
        at = 0
        for begin, end in self._ranges:
            if begin <= start < end:
                return at + start - begin
            at += end - begin
        raise KeyError(start)


class StackedEmbeddings:
    """Embedding tables of several agents, each in its own flat buffer.

    Args:
        layout: layout of the buffers.
        layers: names the tables.
        buffers: the agents' flat buffers, `[P]` each.
        gradients: `[A, P]`.
        padding_id: token whose embedding takes no gradient; None for none.
    """

    def __init__(
        self,
        layout: Layout,
        layers: StackedLayers,
        buffers: Sequence[Tensor],
        gradients: Tensor,
        padding_id: int | None,
    ) -> None:
        slots = {slot.name.removeprefix(BACKBONE): slot for slot in layout.slots}
        words = slots[layers.words]
        self._width = words.shape[1]
        self._padding_id = padding_id
        self._words = [words.view(buffer) for buffer in buffers]
        self._word_gradients = [words.view(gradient) for gradient in gradients]
        names = (layers.positions, layers.types)
        added = [slots[name] for name in names if name is not None]
        self._added = [[slot.view(buffer) for buffer in buffers] for slot in added]
        self._added_gradients = [_rows(gradients, slot) for slot in added]

    def look_up(self, ids_ABT: Tensor) -> Tensor:
        """Return the sums of the embeddings, `[A, B, T, W]`, without a graph; every type is 0."""
        embedded_ABTW = ids_ABT.new_empty((*ids_ABT.shape, self._width), dtype=torch.float32)
        rows_AN = ids_ABT.flatten(1)
        with torch.no_grad():
            for out, table_VW, ids_N in zip(
                embedded_ABTW.flatten(1, 2), self._words, rows_AN, strict=True
            ):
                torch.index_select(table_VW, 0, ids_N, out=out)
            for tables, rows in zip(self._added, self._rows(ids_ABT), strict=True):
                embedded_ABTW += torch.stack([table[:rows] for table in tables])[:, None]
        return embedded_ABTW

    def add(self, gradient_ABTW: Tensor, ids_ABT: Tensor) -> None:
        """Add the gradient of `look_up` to the agents'."""
        over_texts_ATW = gradient_ABTW.sum(dim=1)
        for total, rows in zip(self._added_gradients, self._rows(ids_ABT), strict=True):
            total[:, :rows] += over_texts_ATW if rows > 1 else over_texts_ATW.sum(1, keepdim=True)
        if self._padding_id is not None:
            padding_ABT1 = (ids_ABT == self._padding_id).unsqueeze(-1)
            gradient_ABTW = gradient_ABTW.masked_fill(padding_ABT1, 0.0)
        for total, ids_N, gradient_NW in zip(
            self._word_gradients, ids_ABT.flatten(1), gradient_ABTW.flatten(1, 2), strict=True
        ):
            total.index_add_(0, ids_N, gradient_NW)

    def _rows(self, ids_ABT: Tensor) -> list[int]:
        """Return the rows in use of the table of positions, and of that of types."""
        return [ids_ABT.shape[-1], 1][: len(self._added)]


def _rows(gradients_AP: Tensor, slot: Slot) -> Tensor:
    return gradients_AP[:, slot.start : slot.start + slot.length].view(-1, *slot.shape)


def _ranges(slots: Sequence[Slot]) -> list[tuple[int, int]]:
    """Return the ranges of a flat buffer that some parameters fill, the padding between them included."""
    ranges: list[tuple[int, int]] = []
    for slot in slots:
        end = slot.start + slot.length
        # Parameters begin on a cache line, so fewer elements than that lie between neighbours.
        if ranges and 0 <= slot.start - ranges[-1][1] < 16:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((slot.start, end))
    return ranges
