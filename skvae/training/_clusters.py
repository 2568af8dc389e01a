"""Clusters of rows, and principal axes within them, where z has categories."""

from typing import NamedTuple

import numpy as np

from skvae._model import Model
from skvae.table import Rows
from skvae.training._axes import Clusters, Inputs, PrincipalAxes, principal_axes

MOST_AXES = 64
"""Principal axes along which clusters are sought."""

MOST_POINTS = 10_000
"""Rows among which centers are sought; all rows then go to the nearest."""

N_STARTS, N_ITERATIONS = 10, 100
"""Starts of k-means, of which the best is taken, and most iterations of each."""

SHARPNESS = 0.3
"""Size of the encoder's first logits, relative to those that are exact for equal normal
distributions. Smaller ones let more rows change their cluster."""

LEAST_VARIANCE = 1e-6
"""What is added to variances within clusters, relative to the sum of all."""


class Points(NamedTuple):
    """Points (n, A) with weights (n,) that sum to one."""

    points: np.ndarray
    weights: np.ndarray

    def covariance(self) -> np.ndarray:
        """Return the covariance, (A, A), of points whose mean is zero."""
        return (self.points.T * self.weights) @ self.points

    def nearest(self, centers: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the nearest center of each point, and the mean squared distance."""
        squares = np.square(centers).sum(1) - 2.0 * self.points @ centers.T
        distances = squares.min(1) + np.square(self.points).sum(1)
        return squares.argmin(1), float(self.weights @ distances)

    def means(self, labels: np.ndarray, centers: np.ndarray) -> np.ndarray:
        """Return the means of clusters, or the center of one that is empty."""
        members = (labels == np.arange(len(centers))[:, None]) * self.weights
        counts = members.sum(1, keepdims=True)
        means = members @ self.points / np.where(counts > 0.0, counts, 1.0)
        return np.where(counts > 0.0, means, centers)

    def seeds(self, n: int, random: np.random.Generator) -> np.ndarray:
        """Return n first centers, far from each other (Arthur & Vassilvitskii 2007)."""
        chosen = [random.choice(len(self.points), p=self.weights)]
        distances = np.full(len(self.points), np.inf)
        while len(chosen) < n:
            last = np.square(self.points - self.points[chosen[-1]]).sum(1)
            distances = np.minimum(distances, last)
            # Even where all points are alike there is one to choose.
            odds = self.weights * (distances + np.finfo(float).tiny)
            chosen.append(random.choice(len(odds), p=odds / odds.sum()))
        return self.points[chosen]

    def k_means(self, n: int, random: np.random.Generator) -> tuple[float, np.ndarray]:
        """Return the mean squared distance and the centers that one start leads to."""
        centers, before = self.seeds(n, random), np.inf
        for _ in range(N_ITERATIONS):
            labels, error = self.nearest(centers)
            if error >= before:
                break
            centers, before = self.means(labels, centers), error
        return before, centers

    def some(self) -> "Points":
        """Return so many of the points as centers are sought among, evenly spaced."""
        step = -(-len(self.points) // MOST_POINTS)
        weights = self.weights[::step]
        return Points(self.points[::step], weights / weights.sum())

    def clustered(self, n: int) -> tuple[np.ndarray, "Points"]:
        """Return the centers of n clusters (n, A), and points relative to theirs."""
        random, some = np.random.default_rng(0), self.some()
        runs = [some.k_means(n, random) for _ in range(N_STARTS)]
        _, centers = min(runs, key=lambda run: run[0])
        labels, _ = self.nearest(centers)
        return centers, self._replace(points=self.points - centers[labels])


def clustered_axes(model: Model, rows: Rows) -> PrincipalAxes:
    r"""Return clusters of the encoder's inputs, and the principal axes within them.

    Each categorical variable is a clustering by k-means, of the rows or of what the
    variables before it leave of them. Its logits are those of normal distributions with
    the covariance S of what all leave,
    :math:`h^T S^{-1} m_c - \tfrac12 m_c^T S^{-1} m_c`, but `SHARPNESS` times as large.
    """
    axes = principal_axes(model, rows, MOST_AXES)
    points = rest = _coordinates(Inputs(model, rows), axes)
    centers = []
    for n_categories in model.posterior.categories:
        found, rest = rest.clustered(n_categories)
        centers.append(found)
    whole, within = points.covariance(), rest.covariance()
    stacked = np.concatenate(centers)
    n_real = model.posterior.n_real(model.n_components)
    values, vectors = (a[..., ::-1][..., :n_real] for a in np.linalg.eigh(within))
    # Relative to that of all rows: clusters may leave nothing.
    least = max(LEAST_VARIANCE * np.trace(whole), np.finfo(float).tiny)
    directions = (
        SHARPNESS * np.linalg.solve(within + least * np.eye(len(within)), stacked.T).T
    )
    clusters = Clusters(
        centers=stacked @ axes.vectors.T,
        directions=directions @ axes.vectors.T,
        offsets=-0.5 * (directions * stacked).sum(1),
        variance=float(np.linalg.eigvalsh(whole).max(initial=0.0)),
    )
    left = whole - within
    explained = np.einsum("ja,ab,jb->j", axes.vectors, left, axes.vectors)
    return PrincipalAxes(
        center=axes.center,
        values=values.clip(min=0.0),
        vectors=axes.vectors @ vectors,
        variances=(axes.variances - explained).clip(min=0.0),
        clusters=clusters,
    )


def _coordinates(inputs: Inputs, axes: PrincipalAxes) -> Points:
    """Return the inputs in the coordinates of principal axes."""

    def project(h: np.ndarray, weights: np.ndarray) -> list:
        return [((h - axes.center) @ axes.vectors, weights)]

    chunks = inputs.reduce(project)
    return Points(*(np.concatenate(each) for each in zip(*chunks, strict=True)))
