"""Densities of binary images under the bounds and priors of papers, by their protocol.

Burda, Grosse & Salakhutdinov (2016): pixels are drawn anew at each step. Tomczak &
Welling (2018): they were drawn once and for all.
"""

import data
import numpy as np
from harness import Method, scalars

DRAWN, KEPT = "drawn anew", "drawn once"
CASES = [("mnist", DRAWN), ("mnist_binarized", KEPT)]
N_SEEDS, N_THREADS = 3, 1
N_TEST, N_DRAWS = 1000, 5000

DRAWS = {"1 draw": 1, "5 draws": 5, "50 draws": 50}
PRIORS = {"standard normal": "normal", "mixture": "mixture", "VampPrior": "vamp"}
PRIORS |= {"flow": "flow"}
SHORT, LONG = 50, 400
"""Epochs: those of the comparison, and what a minute or so on a GPU allows."""


def _draws(n_draws, max_iter):
    settings = {"n_draws": n_draws, "n_components": 50, "size": 200, "prior": "normal"}
    return Method("images:own", settings | {"max_iter": max_iter}, splits=(DRAWN,))


def _prior(prior, max_iter):
    settings = {"n_draws": 1, "n_components": 40, "size": 300, "prior": prior}
    return Method("images:own", settings | {"max_iter": max_iter}, splits=(KEPT,))


METHODS = {
    f"{name}, {epochs} epochs": make(value, epochs)
    for epochs in (SHORT, LONG)
    for make, values in ((_draws, DRAWS), (_prior, PRIORS))
    for name, value in values.items()
}


def problem(case, max_rows):
    """Return training rows, and the first test rows as zeros and ones."""
    random = np.random.default_rng(case.seed)
    if case.split == DRAWN:
        train, test = data.images("mnist")
        test = random.random(test[:N_TEST].shape) < test[:N_TEST]
    else:
        train, test = data.binary_images()
        # They are sorted by digit.
        test = test[random.permutation(len(test))[:N_TEST]]
    rows = {"X": train[:max_rows], "X_test": test.astype(np.float32)}
    return rows | {"seed": case.seed, "draws_cells": case.split == DRAWN}


def own(problem):
    """Fit a model for a given number of epochs, and score test rows."""
    from skvae import VAETransformer
    from skvae.likelihoods import Bernoulli
    from skvae.objectives import IWAE

    model = VAETransformer(
        problem.n_components,
        likelihood=Bernoulli(draw_cells=problem.draws_cells),
        prior=problem.prior,
        sampler="prior",
        objective="elbo" if problem.n_draws == 1 else IWAE(problem.n_draws),
        beta=1.0,
        hidden_layer_sizes=(problem.size, problem.size),
        batch_size=100,
        max_iter=problem.max_iter,
        tol=None,
        random_state=problem.seed,
    ).fit(problem.X)
    scores = model.score_samples(problem.X_test, n_draws=N_DRAWS)
    return {"nll": -scores.mean(), "n_epochs": np.array(model.n_iter_)}


def measure(case, problem, answer):
    """Return the negative log-likelihood of a test row, in nats."""
    return scalars(answer)
