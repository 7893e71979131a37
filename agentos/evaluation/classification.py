"""Classification metrics that linear probes report."""

from __future__ import annotations

from collections.abc import Sequence

from agentos.evaluation.base import Metric


def classification_metrics(prefix: str, what: str) -> tuple[Metric, ...]:
    """Return the metrics of a probe, in the order of `classification_scores`.

    Args:
        prefix: prefix of their names.
        what: the probe, for the help.
    """
    help_of = {
        "accuracy": f"Share of held-out documents whose label {what} reads correctly.",
        "macro_f1": f"F1 of {what}, averaged over labels however rare.",
        "macro_precision": f"Share of the documents that {what} assigns to a label and that have it, "
        "averaged over labels.",
        "macro_recall": f"Share of the documents of a label that {what} finds, averaged over labels.",
    }
    kind = prefix.replace("_", "-").capitalize()
    return tuple(
        Metric(
            name=f"{prefix}_{name}",
            label=f"{kind} {name.replace('_f1', '-F1').replace('_', ' ')}",
            higher_is_better=True,
            help=help,
            percent=True,
            minor=name not in ("accuracy", "macro_f1"),
        )
        for name, help in help_of.items()
    )


def classification_scores(truth: Sequence[str], guess: Sequence[str]) -> dict[str, float]:
    """Return accuracy, and macro F1, precision and recall, all in [0, 1].

    A label that is never predicted has precision 0.

    Example:
        >>> classification_scores(["x", "x", "y", "y"], ["x", "y", "y", "y"])["macro_recall"]
        0.75
    """
    from sklearn import metrics  # not at the top: reading a configuration imports this module

    precision, recall, macro_f1, _ = metrics.precision_recall_fscore_support(
        truth, guess, average="macro", zero_division=0.0
    )
    return {
        "accuracy": float(metrics.accuracy_score(truth, guess)),
        "macro_f1": float(macro_f1),
        "macro_precision": float(precision),
        "macro_recall": float(recall),
    }
