"""Clusters of texts by cheap features that need neither labels nor training.

Hashed word counts, weighted by inverse document frequency, projected on their leading singular
vectors (latent semantic analysis; Deerwester et al., "Indexing by Latent Semantic Analysis", 1990).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from protocols.errors import ConfigurationError
from protocols.seeding import generator

IntArray = npt.NDArray[np.int64]
BUCKETS = 2**15
FIT_DOCUMENTS = 20_000  # clusters are fitted on a sample of this size at most, to bound memory
BATCH_DOCUMENTS = 256
TEXT_CHARACTERS = 20_000  # the beginning of a long document suffices to assign it


def cluster(texts: Sequence[str], clusters: int, seed: int, *, dimension: int = 32) -> IntArray:
    """Return the cluster of each text; the same arguments give the same clusters.

    Args:
        texts: N texts.
        clusters: number of clusters, at most N.
        seed: seed of the projection and of k-means.
        dimension: width of the features.

    Returns:
        [N], int64, from 0. A cluster may be empty if texts are identical.

    Raises:
        ConfigurationError: there are fewer texts than clusters.

    Example:
        >>> codes = cluster(["red wine", "red wine glass", "linear algebra", "algebra"], 2, seed=0)
        >>> bool(codes[0] == codes[1] != codes[2] == codes[3])
        True
    """
    return cluster_rows(
        lambda rows: [texts[row] for row in rows], len(texts), clusters, seed, dimension=dimension
    )


def cluster_rows(
    texts: Callable[[IntArray], list[str]],
    documents: int,
    clusters: int,
    seed: int,
    *,
    dimension: int = 32,
) -> IntArray:
    """Return the cluster of each document, reading texts a batch at a time; see `cluster`."""
    if documents < clusters:
        raise ConfigurationError(
            "there are fewer texts than clusters", expected=f"at least {clusters}", actual=documents
        )
    everything: IntArray = np.arange(documents, dtype=np.int64)
    rows = everything
    if documents > FIT_DOCUMENTS:
        chosen = generator(seed, "features").choice(documents, FIT_DOCUMENTS, replace=False)
        rows = np.sort(chosen).astype(np.int64)
    # Threads would add in no fixed order, and clusters must not depend on the machine.
    with threadpool_limits(limits=1), warnings.catch_warnings():
        # Fewer distinct texts than clusters: some clusters stay empty, as documented.
        warnings.filterwarnings("ignore", message="Number of distinct clusters")
        sample = _counts(texts, rows)
        embed, fitted = _projection(sample, dimension, seed)
        model = _k_means(fitted, clusters, seed)
        if rows is everything:
            return np.asarray(model.labels_, dtype=np.int64)
        parts = [model.predict(embed(_counts(texts, r))) for r in _batches(everything)]
    codes: IntArray = np.concatenate(parts).astype(np.int64)
    return codes


def _k_means(features: npt.NDArray[np.float64], clusters: int, seed: int) -> Any:
    from sklearn.cluster import KMeans

    return KMeans(clusters, n_init=3, random_state=seed).fit(features)


def _projection(
    counts: Any, dimension: int, seed: int
) -> tuple[Callable[[Any], npt.NDArray[np.float64]], npt.NDArray[np.float64]]:
    """Fit the features; return the function that computes them, and the sample's features."""
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.preprocessing import normalize
    from sklearn.utils.extmath import randomized_svd

    weights = TfidfTransformer(sublinear_tf=True)
    weighted = weights.fit_transform(counts)
    width = max(1, min(dimension, weighted.shape[0] - 1))
    # TruncatedSVD does the same and then divides by the variance, which may be zero.
    _, _, directions_DV = randomized_svd(weighted, width, n_iter=5, random_state=seed)

    def embed(counts: Any) -> npt.NDArray[np.float64]:
        return np.asarray(normalize(weights.transform(counts) @ directions_DV.T))

    return embed, embed(counts)


def _counts(texts: Callable[[IntArray], list[str]], rows: IntArray) -> Any:
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        n_features=BUCKETS, alternate_sign=False, norm=None, stop_words="english"
    )
    stream = (text[:TEXT_CHARACTERS] for batch in _batches(rows) for text in texts(batch))
    return hashing.transform(stream)


def _batches(rows: IntArray) -> Iterator[IntArray]:
    for start in range(0, len(rows), BATCH_DOCUMENTS):
        yield rows[start : start + BATCH_DOCUMENTS]
