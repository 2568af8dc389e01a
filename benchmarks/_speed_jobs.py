"""One job, as each package does it: what `speed.py` times.

Rows x of D columns in [0, 1], D-256-ReLU-(mean, log-variance of K)-256-ReLU-D with a
sigmoid, trained by Adam with step size 1e-3 on the sum of cross-entropy and KL term.
Each class is written as the documentation of its package says; where a package leaves
a choice, the faster one is taken. Packages are imported where they are used, since
each lives in an environment of its own.
"""

from typing import ClassVar

N_HIDDEN = 256
STEP_SIZE = 1e-3


class Job:
    """A package at work; a subclass fits and, where the package can, answers.

    `fit(X, n_epochs, tick)` calls `tick()` at the end of each epoch. `encode(X)`,
    `decode(Z)` and `sample(n)` take and give NumPy arrays.
    """

    modules: ClassVar[tuple[str, ...]] = ()
    answers: ClassVar[tuple[str, ...]] = ("encode", "decode", "sample")

    def __init__(self, n_columns, n_components, batch_size):
        self.n_columns = n_columns
        self.n_components = n_components
        self.batch_size = batch_size


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


class Skvae(Job):
    """This package, told to do the job in place of its defaults."""

    modules = ("skvae",)

    def fit(self, X, n_epochs, tick):
        from skvae import VAETransformer

        self.model = VAETransformer(
            self.n_components,
            likelihood="bernoulli",
            init="random",
            hidden_layer_sizes=(N_HIDDEN,),
            activation="relu",
            learning_rate="constant",
            learning_rate_init=STEP_SIZE,
            batch_size=self.batch_size,
            max_iter=n_epochs,
            early_stopping=False,
            average=False,
            tol=None,
            beta=1.0,
            device="cpu",
            random_state=0,
        )
        self.model.set_callbacks(EpochEnds(tick)).fit(X)

    def encode(self, X):
        return self.model.transform(X)

    def decode(self, Z):
        return self.model.inverse_transform(Z)

    def sample(self, n):
        return self.model.sample(n, kind="mean", random_state=0)


class Floor(Job):
    """The matrix products of the job and nothing else, through oneDNN.

    Products alone bound the time of any package from below. Their operands stay in
    place, and the heads for mean and log-variance are one product. PyTorch's default
    library, MKL, takes twice as long on some processors; `relative_error` shows that
    oneDNN's products are float32 ones all the same.
    """

    modules = ("torch",)
    answers = ()

    def fit(self, X, n_epochs, tick):
        import torch

        torch.set_float32_matmul_precision("medium")
        self.relative_error = _error_of_products()
        steps, rest = divmod(len(X), self.batch_size)
        whole = self._products(self.batch_size)
        last = self._products(rest)
        with torch.inference_mode():
            for _ in range(n_epochs):
                for _ in range(steps):
                    for left, right, out in whole:
                        torch.mm(left, right, out=out)
                for left, right, out in last:
                    torch.mm(left, right, out=out)
                tick()

    def _products(self, n_rows):
        """Return (left, right, out) of each product of a step."""
        import torch

        if not n_rows:
            return []
        d, k, h = self.n_columns, self.n_components, N_HIDDEN
        layers = [(d, h), (h, 2 * k), (k, h), (h, d)]
        shapes = [(n_rows, i, o) for i, o in layers]  # outputs
        shapes += [(i, n_rows, o) for i, o in layers]  # gradients of weights
        shapes += [(n_rows, o, i) for i, o in layers[1:]]  # gradients of inputs
        return [
            (torch.randn(a, b), torch.randn(b, c), torch.empty(a, c))
            for a, b, c in shapes
        ]


def _error_of_products():
    """Return the relative error of a product under the precision that is set."""
    import torch

    left, right = torch.randn(256, 784), torch.randn(784, 256)
    exact = left.double() @ right.double()
    return float(((left @ right).double() - exact).norm() / exact.norm())


JOBS = {
    "skvae": ("_speed_jobs", "Skvae"),
    "keras_jax": ("_speed_jax", "Keras"),
    "jax": ("_speed_jax", "Jax"),
    "torch": ("_speed_torch", "TorchLoop"),
    "lightning": ("_speed_torch", "Lightning"),
    "skorch": ("_speed_torch", "Skorch"),
    "pythae": ("_speed_torch", "Pythae"),
    "pyod": ("_speed_torch", "Pyod"),
    "keras_torch": ("_speed_jax", "Keras"),
    "floor": ("_speed_jobs", "Floor"),
}
"""The file and class of each job, by the name of its environment."""
