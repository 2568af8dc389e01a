"""Whether total correlation finds the factors that images were made from."""

import numpy as np
import pytest

from skvae import VAETransformer
from skvae.inspection import mutual_information_gap
from skvae.objectives import ELBO, TotalCorrelation
from skvae.schedules import Schedule

SIZE, PLACES, RADIUS = 12, range(2, 9), 2


class Falling(Schedule):
    """From 8 to a value at the half of a fit: wide posteriors, which can turn."""

    def __init__(self, value=1.0):
        self.value = value

    def __call__(self, epoch, n_epochs):
        """Return the value at a moment."""
        return self.value + (8.0 - self.value) * max(0.0, 1.0 - 2.0 * epoch / n_epochs)


def _sprites():
    """Return images of a square at each of 7 x 7 places, flat, and the places."""
    places = np.array([(i, j) for i in PLACES for j in PLACES])
    pixels = np.arange(SIZE)
    inside = abs(pixels - places[..., None]) <= RADIUS
    images = inside[:, 0, :, None] & inside[:, 1, None, :]
    return images.reshape(len(places), -1).astype(float), places


def _fit(objective, beta, seed):
    """Return the reconstruction, in nats per row, and the mutual information gap."""
    X, places = _sprites()
    options = {"likelihood": "bernoulli", "init": "random", "sampler": "prior"}
    options |= {"early_stopping": False, "tol": None, "max_iter": 700}
    options |= {"hidden_layer_sizes": (64, 64), "learning_rate": 0.005}
    options |= {"objective": objective, "beta": Falling(beta), "random_state": seed}
    vae = VAETransformer(4, **options).fit(X)
    loss = np.mean(vae.term_curves_["reconstruction"][-20:])
    # As many bins as there are places: with more, information is overestimated.
    gap = mutual_information_gap(vae.transform(X), places, n_bins=len(PLACES))
    return loss, gap.mean


def _gap_of_the_bound(loss, seed):
    """Return the gap that the bound has at a reconstruction, between two weights."""
    curve = [_fit(ELBO(0.0), beta, seed) for beta in (1.0, 3.0)]
    return np.interp(loss, *np.transpose(curve))


@pytest.mark.filterwarnings("ignore:.*components carry nothing")
def test_total_correlation_raises_the_gap_at_an_equal_reconstruction():
    gains = []
    for seed in range(2):
        loss, gap = _fit(TotalCorrelation(ELBO(0.0), weight=10.0), 1.0, seed)
        gains.append(gap - _gap_of_the_bound(loss, seed))
    assert np.mean(gains) > 0.1
