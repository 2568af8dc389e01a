"""Trials of a user's module: what it must do before it is trained."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

N_ROWS = 3
"""Rows that a module is tried on."""

TOLERANCE = 1e-3
"""Largest difference, relative to the outputs, that may come from rounding."""

REMEDY = (
    "BatchNorm does that; LayerNorm and GroupNorm, which see one row at a time, do not."
)


class Trial:
    """Calls a module on a few rows, and says in words what it must do but does not.

    Parameters
    ----------
    module : nn.Module
        In the end it is in evaluation mode.
    name : str
        Of the function that returned it.
    n_in, n_out : int
    """

    def __init__(self, module: nn.Module, name: str, n_in: int, n_out: int) -> None:
        self.module, self.sizes = module, (n_in, n_out)
        self.said = f"The module that {name}({n_in}, {n_out}) returns"
        random = torch.Generator().manual_seed(0)
        shape = (N_ROWS, n_in)
        self.rows = torch.randn(shape, generator=random, dtype=torch.float32)

    def run(self) -> None:
        """Raise ValueError unless the module does all that it must."""
        with torch.no_grad():
            self._check_training_mode()
            outputs = self._check_outputs()
            self._check_repeats(outputs)
            self._check_rows_are_alone(outputs)
            self._check_float64(outputs)
        self._check_gradient()

    def refuse(self, must: str, got: str, remedy: str) -> ValueError:
        """Return the error."""
        return ValueError(f"{self.said} must {must}. Got {got}. {remedy}")

    def _call(self, module: nn.Module, rows: Tensor) -> Any:
        try:
            return module(rows)
        except Exception as error:
            n_in, n_out = self.sizes
            raise self.refuse(
                f"map rows (B, {n_in}) to (B, {n_out}), B any number",
                f"{type(error).__name__} for {len(rows)} rows of {rows.dtype}: {error}",
                "Its first layer takes n_in values and its last gives n_out; numbers "
                "that it keeps are parameters or buffers.",
            ) from error

    def _check_training_mode(self) -> None:
        """Refuse what remembers rows in training mode; it may drop units."""
        self.module.train()
        before = {name: b.clone() for name, b in self.module.named_buffers()}
        self._call(self.module, self.rows.clone())
        changed = [
            name
            for name, buffer in self.module.named_buffers()
            if name in before and not torch.equal(buffer, before[name])
        ]
        self.module.eval()
        if changed:
            raise self.refuse(
                "not change its buffers when it is called, since they are not "
                "parameters that a fit can go back to",
                f"another {changed[0]!r} after a call",
                REMEDY,
            )

    def _check_outputs(self) -> Tensor:
        """Return outputs: finite float32, of the right shape, from a spared input."""
        given, expected = self.rows.clone(), (N_ROWS, self.sizes[1])
        outputs = self._call(self.module, given)
        if not isinstance(outputs, Tensor) or outputs.shape != expected:
            shape = getattr(outputs, "shape", None)
            got = type(outputs).__name__ if shape is None else f"shape {tuple(shape)}"
            remedy = "Its last layer must have n_out outputs, and forward return them."
            raise self.refuse(f"return a tensor of shape {expected}", got, remedy)
        if outputs.dtype != torch.float32 or not outputs.isfinite().all():
            finite = "" if outputs.isfinite().all() else ", not all of it finite"
            must = "return finite float32 numbers for float32 rows"
            remedy = "Convert to the type of the input, and bound what may overflow."
            raise self.refuse(must, f"{outputs.dtype}{finite}", remedy)
        if not torch.equal(given, self.rows):
            must, got = "leave its input as it is", "other values in it after a call"
            raise self.refuse(must, got, "Write inplace=False in its first layers.")
        return outputs

    def _check_repeats(self, outputs: Tensor) -> None:
        """Refuse draws in evaluation mode."""
        if not torch.equal(self._call(self.module, self.rows.clone()), outputs):
            raise self.refuse(
                "give the same rows the same outputs in evaluation mode",
                "others in a second call",
                "Use nn.Dropout, or F.dropout(h, training=self.training).",
            )

    def _check_rows_are_alone(self, outputs: Tensor) -> None:
        """Refuse outputs that depend on the rows beside a row."""
        for part in (slice(1, 3), slice(0, 2), slice(0, 1)):
            answers = self._call(self.module, self.rows[part].clone())
            if not _are_close(answers, outputs[part]):
                must = "give a row the same outputs whatever rows are beside it"
                raise self.refuse(must, "others beside fewer rows", REMEDY)

    def _check_float64(self, outputs: Tensor) -> None:
        """Refuse what has no copy that answers float64 rows in float64."""
        remedy = "Keep numbers in parameters or buffers, and in no other tensor."
        must = "have a copy (copy.deepcopy) in float64 that gives the same outputs"
        try:
            double = copy.deepcopy(self.module).double()
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            raise self.refuse(must, got, remedy) from error
        answers = self._call(double, self.rows.double())
        if answers.dtype != torch.float64 or not _are_close(answers, outputs.double()):
            raise self.refuse(must, f"{answers.dtype}, or other numbers", remedy)

    def _check_gradient(self) -> None:
        """Refuse what passes no gradient from its outputs to its inputs."""
        rows = self.rows.clone().requires_grad_()
        outputs = self._call(copy.deepcopy(self.module), rows * 1.0)
        try:
            (gradient,) = torch.autograd.grad(outputs.sum(), rows)
            got = "" if gradient.isfinite().all() else "one that is not finite"
        except RuntimeError as error:
            got = str(error)
        if got:
            must = "pass a finite gradient from its outputs to its inputs"
            remedy = "It may neither detach them nor change them in place."
            raise self.refuse(must, got, remedy)


def _are_close(a: Tensor, b: Tensor) -> bool:
    """Return whether outputs are the same up to rounding."""
    size = b.abs().max().clamp_min(1e-6)
    return a.shape == b.shape and bool((a - b).abs().max() <= TOLERANCE * size)
