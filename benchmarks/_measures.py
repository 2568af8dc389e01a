"""What the quality benchmark measures of a method's answer."""

import numpy as np
from scipy.spatial import procrustes
from sklearn.manifold import trustworthiness
from sklearn.neighbors import KNeighborsClassifier

N_NEIGHBORS = 12
MOST_MAP_ROWS = 2000


def r2(case, back):
    """Return 1 - error / variance, summed over columns that each have variance one."""
    mean, scale = case.X_train.mean(0), case.X_train.std(0)
    error = np.square((case.X_test - back) / scale).sum()
    return float(1 - error / np.square((case.X_test - mean) / scale).sum())


def density_gain(density, linear):
    """Return the mean density, its gain over a linear model's and that one's error."""
    gain = density - linear
    return {
        "loglik": float(density.mean()),
        "gain": float(gain.mean()),
        "gain_se": float(gain.std(ddof=1) / np.sqrt(len(gain))),
        "gain_median": float(np.median(gain)),
    }


def neighborhoods(case, code):
    """Return trustworthiness and continuity of a map of test rows."""
    scale = case.X_train.std(0)
    rows, code = case.X_test[:MOST_MAP_ROWS] / scale, code[:MOST_MAP_ROWS]
    k = min(N_NEIGHBORS, (len(rows) - 1) // 2)
    return {
        "trustworthiness": float(trustworthiness(rows, code, n_neighbors=k)),
        "continuity": float(trustworthiness(code, rows, n_neighbors=k)),
    }


def agreement(code, other):
    """Return the Procrustes R2 of two maps of the same rows; 0 if one is a point."""
    if min(np.ptp(code), np.ptp(other)) == 0:
        return 0.0
    return float(1 - procrustes(code, other)[2])


def measure(case, k, answer, linear):
    """Return all measures of an answer.

    Parameters
    ----------
    case : Case
    k : int
    answer : Answer
    linear : ndarray
        Log-density of each test row under probabilistic PCA.
    """
    row = {"seconds": answer.seconds}
    if answer.density is not None:
        row |= density_gain(answer.density, linear)
    if answer.back is not None:
        row["r2"] = r2(case, answer.back)
    if k == 2:
        row |= neighborhoods(case, answer.test)
    if case.y_train is not None:
        neighbors = KNeighborsClassifier(5).fit(answer.train, case.y_train)
        row["knn"] = float(neighbors.score(answer.test, case.y_test))
    for name, value in answer.extra.items():
        if name == "back_posterior":
            row["r2_posterior"] = r2(case, value)
        elif name == "code_of_other_seed":
            row["procrustes"] = agreement(answer.test, value)
        else:
            row[name] = value
    return row
