"""The one training loop: batches, model, objective → trained weights and history."""

import math
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from skvae._batches import Batches
from skvae._model import Model
from skvae._optimizers import SOLVERS
from skvae._random import Stream, generator
from skvae._replay import Replayed
from skvae._state import Best, FlatWeights, History, Resumed, Snapshot
from skvae._step import step_for
from skvae._validation import N_VALIDATION_LOSSES, Bar, Check, Validation
from skvae.objectives import Objective, noise_shape
from skvae.schedules import Schedule

N_AVERAGED = 16
"""States of an epoch, at least, that take part in the average, if it has as many."""

LEAST_SLOWDOWN = 1e-4
"""A fit whose loss is not finite even with steps slowed down so much has failed."""

CLIP_PER_FEATURE = 100.0
"""Gradients are clipped to this norm times the number of columns: far above what a fit
shows in good health, so that only an outlier's batch is held back."""


class Plan(NamedTuple):
    """How to train; see the parameters of the estimators."""

    solver: str
    learning_rate_init: float
    learning_rate: Schedule
    alpha: float
    beta: Schedule
    max_iter: int
    tol: float | None
    n_iter_no_change: int
    seed: int
    code_share: float = 0.0
    mask_fraction: float = 0.0
    average: bool = False
    precision: str = "float32"


def _keep_freed_memory() -> None:
    """Make the C library keep what a step frees, for the next step to use.

    glibc gives blocks of over 128 KiB back to the system at once, and a step then
    spends a third of its time on page faults; but having freed a block of up to 32 MiB,
    it keeps all that are smaller (mallopt(3), M_MMAP_THRESHOLD).
    """
    torch.empty(31 << 20, dtype=torch.uint8)


class Training:
    """A training run with explicit state, advanced epoch by epoch.

    Parameters
    ----------
    model : Model
        Trained in place.
    objective : callable
        (model, x, noise) → `Terms`.
    train : Batches
    held_out : Batches or None
        Rows by whose loss the best state is chosen; the starting state takes part.
    plan : Plan
    resumed : Resumed or None
        The end of an earlier run, which then goes on.
    """

    def __init__(
        self,
        model: Model,
        objective: Objective,
        train: Batches,
        held_out: Batches | None,
        plan: Plan,
        resumed: Resumed | None = None,
    ) -> None:
        self.model, self.objective, self.train, self.plan = (
            model,
            objective,
            train,
            plan,
        )
        self.weights = FlatWeights(model)
        self.step = step_for(model, objective, self.weights, plan.precision)
        self.take: Callable[..., Tensor] = self._take_step
        self.largest_norm = CLIP_PER_FEATURE * model.likelihood.n_features
        self.optimizer = SOLVERS[plan.solver](
            self.weights.data, plan.alpha, self.weights.decayed
        )
        if train.device.type == "cuda" and self.optimizer.can_be_recorded():
            self.take = Replayed(self._take_step, self.snapshot, self._go_back)
        self.first_epoch = 0 if resumed is None else resumed.epoch
        self.n_epochs = 0
        self.history = History() if resumed is None else resumed.history.copy()
        self.best = Best(plan.tol)
        self.bar: Bar | None = None
        self.slowdown = 1.0
        self.holds_out = held_out is not None
        if held_out is None:
            # Its value is not kept; it tells whether an epoch's last step went well.
            n_rows = min(train.batch_size, len(train))
            self.validate = self._validation(train, n_rows, n_draws=1)
        else:
            n_draws = -(-N_VALIDATION_LOSSES // len(held_out))
            self.validate = self._validation(held_out, len(held_out), n_draws)
            self._offer_start(resumed is None)
        if resumed is not None:
            self._restore(resumed)

    def _validation(self, rows: Batches, n_rows: int, n_draws: int) -> Validation:
        plan = self.plan
        beta = plan.beta(plan.max_iter, plan.max_iter)
        loss = (beta, plan.code_share, plan.seed)
        return Validation(self.model, self.objective, rows, n_rows, n_draws, *loss)

    def _offer_start(self, is_first: bool) -> None:
        """Let the state given with the model take part in the choice of the best."""
        check = self.validate()
        self.best.offer(check.loss, self.weights.data)
        if is_first:
            self.history.validation.append(check.loss)
        if self._starts_at_pca():
            # What a fit goes on from is not fitted anew to all rows in the end.
            n_train = len(self.train) if is_first else None
            self.bar = self.validate.bar_at_pca(check, n_train)

    def _may_be_kept(self, check: Check) -> bool:
        return self.bar is None or self.validate.reaches(self.bar, check)

    def _restore(self, resumed: Resumed) -> None:
        """Go on from where an earlier run ended, as far as it is known."""
        if resumed.snapshot is not None and resumed.solver == self.plan.solver:
            snapshot = Snapshot.from_arrays(resumed.snapshot)
            self._go_back(snapshot)

    def _averaged(self) -> AbstractContextManager[None]:
        return self.weights.averaged() if self.plan.average else nullcontext()

    def snapshot(self) -> Snapshot:
        """Return a copy of everything that an epoch changes."""
        return Snapshot.take(self.weights, self.optimizer)

    def _go_back(self, snapshot: Snapshot) -> None:
        snapshot.restore(self.weights, self.optimizer)

    def run(self, begin: Callable[[], None], end: Callable[[], bool]) -> None:
        """Train until `max_iter`, convergence, or until `end` answers true.

        Parameters
        ----------
        begin, end : callable
            Called before and after each epoch.
        """
        _keep_freed_memory()
        stopped = False
        while self.n_epochs < self.plan.max_iter and not stopped:
            n_whole = self.n_epochs
            before = None  # so that the next one may take its place in memory
            before = self.snapshot()
            try:
                begin()
                stopped = not self._advance(before) or end() or self._converged()
            except KeyboardInterrupt:
                if self.n_epochs == n_whole:
                    self._go_back(before)
                warnings.warn(
                    "Training interrupted by user; the last whole epoch is kept.",
                    stacklevel=2,
                )
                break
        if self.n_epochs == self.plan.max_iter and not stopped:
            self._warn_if_improving()

    def _advance(self, before: Snapshot) -> bool:
        """Train an epoch, with smaller steps if need be; false if that is no help."""
        while self.slowdown >= LEAST_SLOWDOWN:
            with torch.inference_mode(not self.step.records):
                losses = self._epoch()
            with self._averaged():
                check = self.validate()
                if all(map(math.isfinite, [*losses, check.loss])):
                    self._record(losses, check)
                    return True
            self._slow_down(before)
        return False

    def _starts_at_pca(self) -> bool:
        """Whether other states are held to the start; not where beta is above 1."""
        return (
            self.model.encoder.linear is not None
            and self.model.likelihood.linear_start_is_exact
            and not self.model.masks
            and self.validate.beta <= 1.0
        )

    @property
    def stays_linear(self) -> bool:
        """Whether no epoch has led to a better held-out state than a linear start."""
        starts_linear = self.model.encoder.linear is not None and not self.first_epoch
        unbeaten = self.holds_out and self.best.loss == self.history.validation[0]
        return starts_linear and unbeaten

    def finish(self) -> None:
        """Set the weights to those that the run led to."""
        if self.best.weights is not None:
            self.weights.data.copy_(self.best.weights)
        elif self.plan.average:
            self.weights.data.copy_(self.weights.average)
        for p in self.model.parameters():
            p.grad = None

    def _epoch(self) -> list[float]:
        """Take one step per batch; return mean loss, reconstruction and KL."""
        plan, epoch = self.plan, self.first_epoch + self.n_epochs
        n_components = len(self.model.order)
        device, n_steps = self.train.device, self.train.n_steps
        spacing = max(1, n_steps // N_AVERAGED)
        # In one place: small tensors kept from each step would scatter its memory.
        terms = torch.empty((n_steps, 2), dtype=torch.float32, device=device)
        betas = []
        for step, (x, weights) in enumerate(self.train.shuffled(plan.seed, epoch)):
            progress = self.n_epochs + step / n_steps
            random = generator(plan.seed, Stream.NOISE, epoch, step, device=device)
            shape = noise_shape(self.objective, x.shape[0], n_components)
            noise = torch.randn(
                shape, generator=random, device=device, dtype=torch.float32
            )
            # Batches are shuffled, so that any rows will do.
            if plan.code_share:
                noise[..., : round(plan.code_share * x.shape[0]), :] = 0.0
            betas.append(plan.beta(progress, plan.max_iter))
            self.optimizer.tick()
            x = self._masked(x, epoch, step)
            terms[step] = self.take(x, weights, noise, betas[-1], self._rate(progress))
            if plan.average and (step % spacing == 0 or step + 1 == n_steps):
                self.weights.take_into_average()
        sums = terms.double()
        loss = sums[:, 0] + sums[:, 1] * torch.tensor(betas, device=device)
        totals = torch.stack((loss.sum(), *sums.sum(0))) / len(self.train)
        return totals.tolist()

    def _masked(self, x: Tensor, epoch: int, step: int) -> Tensor:
        """Return rows with a part of their cells masked at random.

        The part differs from row to row, from none to `mask_fraction`.
        """
        if not self.plan.mask_fraction:
            return x
        random = generator(self.plan.seed, Stream.MASK, epoch, step, device=x.device)
        uniform = torch.rand(
            (len(x), x.shape[1] + 1),
            generator=random,
            device=x.device,
            dtype=torch.float32,
        )
        parts = self.plan.mask_fraction * uniform[:, :1]
        return x.masked_fill(uniform[:, 1:] < parts, torch.nan)

    def _take_step(
        self, x: Tensor, row_weights: Tensor, noise: Tensor, beta: Any, rate: Any
    ) -> Tensor:
        """Change the weights by one step; return the loss's two terms, summed."""
        terms = self.step(x, row_weights, noise, beta)
        gradient = self.weights.gradient
        # The norm of the sum; that of the mean, which is clipped, is as much smaller.
        norm = torch.dot(gradient, gradient).sqrt_()
        divisor = norm.div_(self.largest_norm).clamp_min_(x.shape[0])
        self.optimizer.update(gradient, rate, divisor)
        return terms

    def _rate(self, progress: float) -> float:
        factor = self.plan.learning_rate(progress, self.plan.max_iter)
        return factor * self.plan.learning_rate_init * self.slowdown

    def _record(self, losses: list[float], check: Check) -> None:
        """Add an epoch to the history."""
        self.n_epochs += 1
        loss, reconstruction, kl = losses
        self.history.loss.append(loss)
        self.history.reconstruction.append(reconstruction)
        self.history.kl.append(kl)
        if self.holds_out:
            self.history.validation.append(check.loss)
            self.best.offer(
                check.loss, self.weights.data, lambda: self._may_be_kept(check)
            )
        else:
            self.best.offer(loss)
        if self._is_warming_up():
            # The KL term still gains weight: losses so far say nothing of convergence,
            # and training losses cannot be compared with those to come.
            self.best.n_stale = 0
            if not self.holds_out:
                self.best = Best(self.plan.tol)

    def _slow_down(self, before: Snapshot) -> None:
        """Go back to before an epoch whose loss was not finite, with smaller steps."""
        self._go_back(before)
        self.slowdown *= 0.1
        rate = self.slowdown * self.plan.learning_rate_init
        if self.slowdown < LEAST_SLOWDOWN and not self.n_epochs:
            raise ValueError(
                "Training requires a finite loss. Got none, even with the learning "
                f"rate lowered to {rate:.1g}. Look for extreme values in X, or lower "
                "learning_rate_init."
            )
        goes_on = f"goes on from there with the learning rate lowered to {rate:.1g}"
        what = goes_on if self.slowdown >= LEAST_SLOWDOWN else "ends there"
        warnings.warn(
            f"The loss was not finite in epoch {self.n_epochs + 1}. The epoch before "
            f"is restored, and training {what}. Lower learning_rate_init to avoid "
            "this.",
            ConvergenceWarning,
            stacklevel=2,
        )

    def _is_warming_up(self) -> bool:
        return self.plan.beta(self.n_epochs, self.plan.max_iter) < self.validate.beta

    def _converged(self) -> bool:
        # Until a state has reached the bar, small steps at the end may yet lead to one.
        if self.plan.tol is None or (self.bar is not None and self.stays_linear):
            return False
        return self.best.n_stale >= self.plan.n_iter_no_change

    def _warn_if_improving(self) -> None:
        """Warn where the last tenth of the epochs still improved by more than `tol`."""
        curve = self.best.losses
        window = max(1, self.plan.max_iter // 10)
        if self.plan.tol is None or len(curve) <= window:
            return
        gain = min(curve[:-window]) - min(curve[-window:])
        if gain > self.plan.tol * window:
            warnings.warn(
                f"Maximum iterations ({self.plan.max_iter}) reached and the loss still "
                f"improves: by {gain:.2g} nats per row in the last {window} epochs. "
                "Raise max_iter, or tol if this is good enough.",
                ConvergenceWarning,
                stacklevel=2,
            )
