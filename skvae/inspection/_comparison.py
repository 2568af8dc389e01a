"""How generated rows differ from real ones."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skvae.inspection._distances import associations, binned, column_distance, outside
from skvae.inspection._encoded import Encoder
from skvae.inspection._predictions import skill, two_sample_auc
from skvae.table import library_of, table_of

LEAST_ROWS = 10
"""With fewer rows a classifier has nothing to learn from."""


@dataclass(kw_only=True, eq=False, repr=False)
class RowComparison:  # numpydoc ignore=PR02
    """How generated rows differ from real ones, as `compare_rows` measures it.

    `print` it. Where training rows were given, the same is known of them, as if they
    had been generated: no model can be expected to do better.

    Parameters
    ----------
    auc, auc_train : float, and float or None
        Area under the ROC curve of a classifier that tells generated rows from real
        ones, cross-validated [1]_; 0.5 if it cannot, 1 if it always can.
    columns : dict of str to sequence, or DataFrame
        One row per column, by name or position: `"column"`; `"distance"` from real
        cells, and `"distance_train"` where there are training rows; `"outside"`, which
        fraction of the generated cells is beyond the range, or among none of the
        categories, of real rows and training rows; `"missing"`, which fraction of the
        generated cells is missing, and `"missing_real"`.
    pairs : ndarray of shape (n_features, n_features)
        How strongly two columns go together in generated rows, less the same in real
        rows, both from 0 to 1.
    closest, closest_real : ndarray of shape (n_rows,)
        Distance of each generated row, and of each real one, to the nearest training
        row. Without training rows these are the real ones, none its own neighbor.
    copies, copies_real : float
        Fraction of the rows that equal one of these in each cell.
    skill, skill_train : float or None
        How well a model fitted to generated rows, or to training rows, predicts a
        column of real rows: R2, or area under the ROC curve less 0.5. None where no
        target was given.

    See Also
    --------
    compare_rows : Measures it.
    skvae.RowComparisonDisplay : Draws it.

    References
    ----------
    .. [1] Lopez-Paz & Oquab (2017). Revisiting classifier two-sample tests. ICLR.
       https://arxiv.org/abs/1610.06545
    """

    auc: float
    auc_train: float | None
    columns: Any
    pairs: np.ndarray
    closest: np.ndarray
    closest_real: np.ndarray
    copies: float
    copies_real: float
    skill: float | None
    skill_train: float | None

    @property
    def closest_ratio(self) -> float:
        """Median of `closest` over that of `closest_real`: far below 1 for copies."""
        usual = float(np.median(self.closest_real))
        median = float(np.median(self.closest))
        return median / usual if usual else np.nan

    def __str__(self) -> str:
        distances = np.asarray(self.columns["distance"], dtype=float)
        worst = np.argsort(-np.nan_to_num(distances), kind="stable")[:3]
        names = list(self.columns["column"])
        shown = ", ".join(f"{names[j]} {distances[j]:.2f}" for j in worst)
        beyond = float(np.mean(np.asarray(self.columns["outside"], dtype=float)))
        lines = [
            ("told from real rows, AUC", _pair(self.auc, self.auc_train)),
            ("distance of columns", f"{np.nanmean(distances):.3f}  most: {shown}"),
            ("cells outside", f"{beyond:.3f}"),
            ("distance of pairs", f"{_off_diagonal(self.pairs):.3f}"),
            ("closest training row", f"{self.closest_ratio:.2f} times as far as real"),
            ("copies", f"{self.copies:.3f}  real rows: {self.copies_real:.3f}"),
        ]
        if self.skill is not None:
            lines.append(("skill on real rows", _pair(self.skill, self.skill_train)))
        return "\n".join(f"{name:26}{value}" for name, value in lines)


def compare_rows(
    real: Any,
    generated: Any,
    *,
    train: Any = None,
    target: Any = None,
    random_state: int = 0,
) -> RowComparison:
    """Measure how generated rows differ from real ones.

    Categories, texts, booleans, dates and missing cells are compared, too. Give real
    rows that the model was not fitted to: of the rows that it was fitted to, a model
    that copies them would seem perfect.

    Parameters
    ----------
    real : DataFrame or array-like of shape (n_real, n_features)
        Rows to resemble, at least 10.
    generated : DataFrame or array-like of shape (n_generated, n_features)
        Such as those of `VAETransformer.sample`, at least 10.
    train : DataFrame or array-like of shape (n_train, n_features), default=None
        Rows that the model was fitted to. With them, the measures that need a standard
        have one, and copies are looked for among them.
    target : str or int, default=None
        Name or position of a column that models predict from the others, to see
        whether generated rows can take the place of training rows, which must be
        given. Columns of categories or booleans, and those of at most 20 different
        whole numbers, are classes.
    random_state : int, default=0
        Seed of splits and of choices of rows.

    Returns
    -------
    comparison : RowComparison

    Raises
    ------
    ValueError
        If columns do not agree, there are too few rows, or a target is given without
        training rows.

    See Also
    --------
    skvae.RowComparisonDisplay : Draws what this returns.

    Notes
    -----
    The classifier is :class:`sklearn.ensemble.HistGradientBoostingClassifier` with 60
    iterations, which sees as many generated as real rows. Distances of columns are
    those of Kolmogorov and Smirnov, or total variation distances of categories. How
    strongly columns go together follows from the mutual information of their values in
    8 bins. Distances of rows are Euclidean, in standard deviations of the training
    rows; categories that differ are at distance 1.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> from skvae.inspection import compare_rows
    >>> X = load_iris().data
    >>> vae = VAETransformer(max_iter=50, tol=None, random_state=0).fit(X[::2])
    >>> generated = vae.sample(200, random_state=0)
    >>> comparison = compare_rows(X[1::2], generated, train=X[::2])
    >>> comparison.auc > comparison.auc_train
    True
    >>> comparison.pairs.shape
    (4, 4)
    """
    if target is not None and train is None:
        raise ValueError(
            "train must be given where target is: models fitted to generated rows are "
            f"compared with models fitted to training rows. Got target={target!r} and "
            "train=None. Pass the rows that the model was fitted to."
        )
    encoder = Encoder(real if train is None else train)
    a, b = encoder(real), encoder(generated)
    _check_rows(real=a, generated=b)
    known = None if train is None else encoder.first
    is_coded = encoder.is_coded
    closest, copies = _closest(encoder, b, encoder.first, is_among=False)
    closest_real, copies_real = _closest(encoder, a, encoder.first, train is None)
    predicted: list[Any] = [None, None]
    if target is not None:
        column = _position(target, encoder)
        sets = (b, encoder.first)
        predicted = [skill(rows, a, column, is_coded, random_state) for rows in sets]
    columns = _columns(encoder, a, b, known)
    seed = random_state
    return RowComparison(
        auc=two_sample_auc(a, b, is_coded, seed),
        auc_train=None if known is None else two_sample_auc(a, known, is_coded, seed),
        columns=table_of(library_of(real), columns),
        pairs=_pairs(a, b, is_coded),
        closest=closest,
        closest_real=closest_real,
        copies=copies,
        copies_real=copies_real,
        skill=predicted[0],
        skill_train=predicted[1],
    )


def _check_rows(**given: np.ndarray) -> None:
    for name, rows in given.items():
        if len(rows) < LEAST_ROWS:
            raise ValueError(
                f"{name} must have at least {LEAST_ROWS} rows. Got {len(rows)}. "
                "Generate more rows, or hold more rows out."
            )


def _position(target: Any, encoder: Encoder) -> int:
    """Return the position of the target among the columns."""
    names = [column.name for column in encoder.layout.columns]
    if target in names:
        return names.index(target)
    raise ValueError(f"target must be a column of the rows: {names}. Got {target!r}.")


def _columns(
    encoder: Encoder, a: np.ndarray, b: np.ndarray, known: np.ndarray | None
) -> dict[str, list]:
    """Return what `RowComparison.columns` says, of real rows and generated ones."""
    reference = a if known is None else np.concatenate((a, known))
    found: dict[str, list] = {
        "column": [column.name for column in encoder.layout.columns],
        "distance": _distances(a, b, encoder.is_coded),
    }
    if known is not None:
        found["distance_train"] = _distances(a, known, encoder.is_coded)
    each = zip(b.T, reference.T, encoder.is_coded, strict=True)
    return found | {
        "outside": [outside(*column) for column in each],
        "missing": np.isnan(b).mean(0).tolist(),
        "missing_real": np.isnan(a).mean(0).tolist(),
    }


def _distances(a: np.ndarray, b: np.ndarray, is_coded: np.ndarray) -> list[float]:
    each = zip(a.T, b.T, is_coded, strict=True)
    return [column_distance(*column) for column in each]


def _pairs(a: np.ndarray, b: np.ndarray, is_coded: np.ndarray) -> np.ndarray:
    """Return how much more strongly columns go together in `b` than in `a`."""
    strengths = [associations(binned(rows, a, is_coded)) for rows in (a, b)]
    return strengths[1] - strengths[0]


def _closest(
    encoder: Encoder, rows: np.ndarray, others: np.ndarray, is_among: bool
) -> tuple[np.ndarray, float]:
    """Return the distance of each row to the nearest other, and which fraction is zero.

    Parameters
    ----------
    encoder : Encoder
    rows, others : ndarray
        Encoded.
    is_among : bool
        Whether the rows are the others, of which none is its own neighbor.
    """
    from sklearn.neighbors import NearestNeighbors

    points, targets = encoder.points(rows), encoder.points(others)
    search = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(targets)
    asked = None if is_among else points
    nearest = search.kneighbors(asked, return_distance=False)[:, 0]
    # The search goes by products of points, which round.
    apart = points - targets[nearest]
    distances = np.sqrt(np.asarray(apart.multiply(apart).sum(axis=1)).ravel())
    same = (rows == others[nearest]) | (np.isnan(rows) & np.isnan(others[nearest]))
    return distances, float(same.all(axis=1).mean())


def _off_diagonal(pairs: np.ndarray) -> float:
    """Return the mean size of the entries beside the diagonal."""
    n = len(pairs)
    return float(np.abs(pairs).sum() / max(1, n * (n - 1)))


def _pair(value: float, of_train: float | None) -> str:
    said = f"{value:.3f}"
    return said if of_train is None else f"{said}  training rows: {of_train:.3f}"
