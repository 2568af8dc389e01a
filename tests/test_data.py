"""Real tables, where they are at hand: the defaults against probabilistic PCA."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skvae import VAETransformer


def load_table(folder, name):
    path = folder / "uci" / f"{name}.csv.gz"
    if not path.exists():
        pytest.skip(f"{path.name} is not in the folder that SKVAE_DATA names")
    return np.genfromtxt(path, delimiter=",", skip_header=1)


def test_defaults_beat_pca_on_held_out_rows(data_folder):
    train, test = train_test_split(load_table(data_folder, "concrete"), random_state=0)
    scaler = StandardScaler().fit(train)
    pca = PCA(2).fit(scaler.transform(train))
    theirs = pca.score(scaler.transform(test)) - np.log(scaler.scale_).sum()
    vae = VAETransformer(2, random_state=0).fit(train)
    assert vae.score(test) > theirs + 1.0


def test_start_on_a_real_table_is_pca_in_raw_units(data_folder):
    X = load_table(data_folder, "wine_white")
    vae = VAETransformer(
        3, hidden_layer_sizes=(), early_stopping=False, max_iter=1, tol=None
    )
    vae.set_params(learning_rate=1e-9, sampler="prior", random_state=0).fit(X)
    scaler = StandardScaler().fit(X)
    standardized = scaler.transform(X)
    theirs = PCA(3).fit(standardized).score_samples(standardized)
    ours = vae.score_samples(X) + np.log(scaler.scale_).sum()
    np.testing.assert_allclose(ours.mean(), theirs.mean(), atol=0.01)
