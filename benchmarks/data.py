"""Data sets, and how they are split into training and test rows."""

import os
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn import datasets as bundled
from sklearn.model_selection import train_test_split

MOST_TEST_ROWS = 10_000


def folder():
    """Return the folder of the data that scikit-learn does not bundle."""
    return Path(os.environ.get("SKVAE_DATA", "data"))


def arrays(file):
    """Return the arrays of an .npz file by name."""
    with np.load(folder() / f"{file}.npz") as stored:
        return {name: stored[name] for name in stored.files}


def _npz(file, rows=("X",), classes=()):
    """Return arrays of rows and arrays of classes, each joined to one."""
    stored = arrays(file)
    X = np.concatenate([stored[name] for name in rows])
    y = np.concatenate([stored[name] for name in classes]) if classes else None
    return X.reshape(len(X), -1), y


def _bundled(name):
    return getattr(bundled, f"load_{name}")(return_X_y=True)


def _made(name):
    return getattr(bundled, f"make_{name}")(n_samples=2000, random_state=0)[0], None


def _patches(image):
    """Return the gray 8 x 8 squares that a photograph is made of, side by side."""
    gray = bundled.load_sample_image(image).mean(axis=-1)
    height, width = (size // 8 for size in gray.shape)
    squares = gray[: 8 * height, : 8 * width].reshape(height, 8, width, 8)
    return squares.swapaxes(1, 2).reshape(-1, 64), None


def _table(name, target=None):
    table = pd.read_csv(folder() / "uci" / f"{name}.csv.gz")
    y = None if target is None else table.pop(target).to_numpy()
    return table.select_dtypes("number").to_numpy(float), y


def _hivae(name):
    """Return the columns of numbers, and the last column as classes."""
    stored = arrays(f"hivae/{name}")
    numbers = np.isin(stored["type"], ("pos", "real", "count"))
    return stored["x"][:, numbers], stored["x"][:, -1].astype(int)


ANOMALY = (
    *("breastw", "WDBC", "Pima", "cardio", "thyroid", "musk", "satimage-2"),
    *("satellite", "pendigits", "annthyroid", "mammography", "magic.gamma"),
)
"""Tables of ADBench, whose classes tell which rows are anomalies."""

BOTH = ("x_train", "x_test")
SOURCES = (
    (_bundled, ("iris", "wine", "breast_cancer", "digits")),
    (_made, ("swiss_roll", "s_curve")),
    (_table, ("yacht", "energy", "concrete", "yeast", "wine_red", "wine_white")),
    (_table, ("kin8nm",)),
    (lambda name: _npz(f"anomaly/{name}", classes=("y",)), ANOMALY),
    (lambda name: _npz(f"multilabel/{name}", BOTH), ("emotions", "scene")),
    (lambda name: _npz(name, BOTH, ("y_train", "y_test")), ("mnist", "fashion_mnist")),
    (_hivae, ("spam",)),
)
LOADERS = {
    "diabetes": lambda: (_bundled("diabetes")[0], None),
    "banknote": partial(_table, "banknote", "class"),
    "adult": partial(_table, "adult", "income"),
    "credit": partial(_hivae, "defaultCredit"),
    "tmc2007": partial(_npz, "multilabel/tmc2007-500", BOTH),
    "frey_faces": partial(_npz, "frey_faces", ("x",)),
    "omniglot": partial(_npz, "omniglot28_small", ("x",)),
    "starmap": partial(_npz, "counts/starmap_mpfc", classes=("labels",)),
    "china_patches": partial(_patches, "china.jpg"),
    **{name: partial(read, name) for read, names in SOURCES for name in names},
}
"""A function per data set that returns its rows and its classes or None."""


@lru_cache(maxsize=1)
def load(name):
    """Return the rows of a data set in raw units, and its classes or None."""
    X, y = LOADERS[name]()
    return np.asarray(X, float), y


def standardized(name):
    """Return rows with columns of mean zero and variance one, and the classes."""
    X, y = load(name)
    scale = X.std(axis=0)
    return (X - X.mean(axis=0)) / np.where(scale > 0.0, scale, 1.0), y


def images(name):
    """Return training and test images as rows of intensities in [0, 1]."""
    stored = arrays(name)
    pairs = (stored[key] for key in BOTH)
    return tuple(x.reshape(len(x), -1).astype(np.float32) / 255 for x in pairs)


def binary_images():
    """Return training and test rows of MNIST whose pixels were drawn once.

    The 10,000 rows that are kept for validation elsewhere are rows to train on here.
    """
    stored = arrays("mnist_binarized_larochelle")
    train = np.concatenate([stored["x_train"], stored["x_valid"]])
    return train.astype(np.float32), stored["x_test"].astype(np.float32)


@lru_cache(maxsize=2)
def split(name, seed, max_rows=None):
    """Return training and test rows and classes, by name.

    Columns that are constant in the training rows are left out: their density is
    unbounded, so that they alone would decide a comparison of densities.
    """
    X, y = load(name)
    n_test = min(round(0.25 * len(X)), MOST_TEST_ROWS)
    train, test = train_test_split(
        np.arange(len(X)), test_size=n_test, random_state=seed
    )
    train = train[:max_rows]
    varies = np.ptp(X[train], axis=0) > 0
    rows = {"X": X[train][:, varies], "X_test": X[test][:, varies]}
    return rows | ({} if y is None else {"y": y[train], "y_test": y[test]})
