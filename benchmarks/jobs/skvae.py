"""The job in skvae, with its settings in place of the defaults."""

import time

from jobs import N_HIDDEN, STEP_SIZE, Shape
from skvae import VAETransformer
from skvae.schedules import Constant

CLASSIC = {
    "init": "random",
    "hidden_layer_sizes": (N_HIDDEN,),
    "activation": "relu",
    "learning_rate": Constant(STEP_SIZE),
    "early_stopping": False,
    "tol": None,
    "beta": 1.0,
}


class Callback:
    """What scikit-learn's protocol asks of a callback, without doing anything."""

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass


class EpochEnds(Callback):
    """Calls `tick()` after each epoch."""

    def __init__(self, tick):
        self.tick = tick

    def on_fit_task_end(self, estimator, context):
        if context.task_name == "epoch":
            self.tick()


class Quality(Callback):
    """Keeps (seconds of training, `bound_of` the model) of each epoch.

    The clock stands still from `stop()`, the end of an epoch, to the end of the bound.
    """

    def __init__(self, bound_of):
        self.bound_of, self.curve, self.paused = bound_of, [], 0.0
        self.began = time.perf_counter()

    def stop(self):
        self.stopped = time.perf_counter()

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            seconds = self.stopped - self.began - self.paused
            self.curve.append((seconds, self.bound_of(fitted_estimator)))
            self.paused += time.perf_counter() - self.stopped


def model_of(n_components, **settings):
    """Return a model of images, on the CPU."""
    known = {"likelihood": "bernoulli", "device": "cpu", "random_state": 0}
    return VAETransformer(n_components, objective="elbo", **known, **settings)


class Job(Shape):
    def fit(self, X, n_epochs, tick):
        sizes = {"batch_size": self.batch_size, "max_iter": n_epochs}
        self.model = model_of(self.n_components, **CLASSIC, **sizes)
        self.model.set_callbacks(EpochEnds(tick)).fit(X)

    def encode(self, X):
        return self.model.transform(X)

    def decode(self, Z):
        return self.model.inverse_transform(Z)

    def sample(self, n):
        return self.model.sample(n, kind="mean", random_state=0)
