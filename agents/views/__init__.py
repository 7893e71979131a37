"""Views: random variants of a document, and the table that names them."""

from __future__ import annotations

from agents.views.base import Setting, View, compose
from agents.views.spans import Crop, Dropout

VIEWS: dict[str, type[View]] = {"crop": Crop, "dropout": Dropout}

__all__ = ["VIEWS", "Crop", "Dropout", "Setting", "View", "compose"]
