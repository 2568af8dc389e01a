"""The matrix products of the job and nothing else, through oneDNN."""

import torch

from jobs import N_HIDDEN, Shape


class Job(Shape):
    """Products alone bound the time of any package from below.

    Their operands stay in place, and the heads for mean and log-variance are one
    product. PyTorch's default library, MKL, takes twice as long on some processors;
    `relative_error` shows that oneDNN's products are float32 all the same.
    """

    def fit(self, X, n_epochs, tick):
        torch.set_float32_matmul_precision("medium")
        left, right = torch.randn(256, 784), torch.randn(784, 256)
        exact = left.double() @ right.double()
        error = ((left @ right).double() - exact).norm() / exact.norm()
        self.relative_error = float(error)
        steps, rest = divmod(len(X), self.batch_size)
        products = self._products(self.batch_size) * steps + self._products(rest)
        with torch.inference_mode():
            for _ in range(n_epochs):
                for left, right, out in products:
                    torch.mm(left, right, out=out)
                tick()

    def _products(self, n_rows):
        """Return (left, right, out) of each product of a step."""
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
