"""One job, as each package does it: what the benchmark of speed times.

Rows of D columns in [0, 1], D-256-ReLU-(mean, log-variance of K)-256-ReLU-D with a
sigmoid, trained by Adam with step size 1e-3 on the sum of cross-entropy and KL term.
Each file is written as the documentation of its package says; where the package leaves
a choice, the faster one is taken. A file imports its package at the top, since the
import is timed, too.
"""

import numpy as np

N_HIDDEN = 256
STEP_SIZE = 1e-3


class Shape:
    """Base class of the jobs: what each is made for.

    `fit(X, n_epochs, tick)` calls `tick()` at the end of each epoch. `encode(X)`,
    `decode(Z)` and `sample(n)` take and return NumPy arrays.
    """

    def __init__(self, n_columns, n_components, batch_size):
        self.n_columns = n_columns
        self.n_components = n_components
        self.batch_size = batch_size

    def sample(self, n):
        shape = n, self.n_components
        return self.decode(np.random.default_rng().standard_normal(shape, np.float32))
