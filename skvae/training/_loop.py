"""The one training loop: batches, model, objective → trained parameters and history."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from skvae._model import Model
from skvae._sklearn import identity
from skvae.objectives import Objective
from skvae.schedules import Progress, Schedule, Weight
from skvae.table import Batch, Batches, Rows
from skvae.training._acceptance import Acceptance, Start
from skvae.training._chance import Chance
from skvae.training._clock import Clock
from skvae.training._modes import Modes
from skvae.training._optimizers import SOLVERS
from skvae.training._posteriors import posteriors_of
from skvae.training._replay import Replayed
from skvae.training._start import start as start_model
from skvae.training._state import FlatParameters, Saved, TrainingState
from skvae.training._step import step_for
from skvae.training._unfinished import Unfinished
from skvae.training._validation import N_VALIDATION_LOSSES, Validation
from skvae.training._warnings import (
    warn_if_improving,
    warn_of_infinite_loss,
    warn_of_start,
    warn_of_weights,
)

N_AVERAGED = 16
"""Steps of an epoch, at least, that count in the average, if it has as many."""

FOLDED = 0.1
"""Size of a linear encoder, relative to PCA, from which neighborhoods unfold.

At full size clusters that PCA does not separate stay on top of each other.
"""

LEAST_SLOWDOWN = 1e-4
"""Least factor of the learning rate; a fit without a finite loss there has failed."""

CLIP_PER_COLUMN = 100.0
"""Gradients are clipped to this norm times the number of columns: far above those of a
healthy fit, so that only batches with outliers are affected."""


class Plan(NamedTuple):
    """How to train; see the parameters of the estimators.

    Attributes
    ----------
    weights : dict of str to Weight
        Weight of each term of the objective.
    """

    objective: Objective
    weights: dict[str, Weight]
    solver: str
    learning_rate: Schedule
    max_iter: int
    tol: float | None
    n_iter_no_change: int
    seed: int
    hidden_fraction: float = 0.0
    rows: tuple[int, ...] = ()
    """Fingerprints of all rows, and of those that are trained on."""
    columns: str = ""
    """Fingerprint of what the columns are."""
    max_time: float | None = None


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
    train : Batches
    held_out : Batches or None
        Rows by whose loss the best state is chosen; the starting state takes part.
    shown : Batches or None
        Training rows whose terms, without hidden cells, are those of the history. None:
        the terms of the steps are.
    plan : Plan
    start : Start
        What the model is before the first step.
    earlier : Saved or None
        The end of an earlier run, which goes on where it was unfinished; otherwise a
        new run goes on from there.
    unfinished : Unfinished or None
        The run that goes on, and no other: ValueError where this is another one.
    """

    def __init__(
        self,
        model: Model,
        train: Batches,
        held_out: Batches | None,
        shown: Batches | None,
        plan: Plan,
        start: Start,
        earlier: Saved | None = None,
        unfinished: Unfinished | None = None,
    ) -> None:
        self.model, self.plan, self.start = model, plan, start
        self.clock = Clock(plan.max_time)
        self.train, self.held_out = train, held_out
        self.names = plan.objective.names
        weights = plan.weights.values()
        self.watches_steps = any(weight.watches == "steps" for weight in weights)
        self.parameters = FlatParameters(model)
        self.optimizer = SOLVERS[plan.solver](self.parameters.theta)
        self.state = TrainingState(self.parameters, self.optimizer)
        self.step = step_for(model, plan.objective, self.parameters)
        self.modes = Modes(model, plan.seed)
        drawn = plan.objective.n_draws, plan.hidden_fraction
        self.chance = Chance(model, plan.seed, *drawn)
        self.fixed: list[Any] = []
        unfolds = plan.objective.neighborhood is not None
        if unfolds and model.encoder.path.has_map and not model.encoder.is_linear:
            self.fixed = [model.encoder.path.weight.grad]
        self.largest_norm = CLIP_PER_COLUMN * model.likelihood.n_features
        self.replayed: Replayed | None = None
        if train.device.type == "cuda" and self.optimizer.can_be_recorded():
            self.replayed = Replayed(self.take_values, self.state.save, self.state.load)
        self.validate = self._validation(train if held_out is None else held_out)
        self.show = None if shown is None else self._check(shown, len(shown), 1)
        self._begin(start, earlier and earlier.to_torch(train.device), unfinished)

    def _validation(self, rows: Batches) -> Validation:
        """Return what checks states: on held-out rows, or on a few of all rows.

        On the latter, only whether the loss is finite matters.
        """
        n_rows = (
            len(rows) if self.held_out is not None else min(rows.batch_size, len(rows))
        )
        n_draws = -(-N_VALIDATION_LOSSES // n_rows) if self.held_out is not None else 1
        return self._check(rows, n_rows, n_draws)

    def _check(self, rows: Batches, n_rows: int, n_draws: int) -> Validation:
        plan = self.plan
        return Validation(self.model, plan.objective, rows, n_rows, n_draws, plan.seed)

    def _begin(
        self, start: Start, earlier: Saved | None, unfinished: Unfinished | None
    ) -> None:
        """Take up an unfinished run, or begin one, which may go on from an earlier."""
        state, plan = self.state, self.plan
        state.counters.weights = {k: w.start() for k, w in plan.weights.items()}
        # How long a run may be, and may wait for improvements, may change.
        fixed = plan._replace(max_iter=0, n_iter_no_change=0, max_time=None)
        state.counters.run = identity((start, self.train.batch_size, fixed))
        self.acceptance = Acceptance(state, self._loss_of, plan.tol)
        if unfinished is not None:
            unfinished.take_up(self)
            return
        if earlier is not None and self._is_unfinished(earlier):
            state.load(earlier)
            return
        if earlier is not None:
            state.follow(earlier)
        if self.held_out is not None:
            self._begin_at(start, is_first=earlier is None)
        if self.fixed and earlier is None:
            self._fold()
        if earlier is not None and state.fits(earlier):
            state.load_arrays(earlier)

    def _is_unfinished(self, earlier: Saved) -> bool:
        """Whether an earlier run was cut off and is taken up, not followed."""
        counters = earlier.facts["counters"]
        return (
            not counters["is_finished"]
            and counters["run"] == self.state.counters.run
            and counters["n_epochs"] < self.plan.max_iter
            and self.state.fits(earlier)
        )

    def _begin_at(self, start: Start, is_first: bool) -> None:
        """Let the state given with the model count in the choice of the best."""
        means = self.validate()
        if is_first:
            self.state.history.validation.append(self._loss_of(means))
        if not self._accepts():
            # Only what a controller has brought to its target is returned.
            return
        self.acceptance.begin(means, self.parameters.theta)
        self.state.kept.is_start = start.is_linear and is_first
        if not start.is_exact:
            return
        # The state that a fit continues from is not refitted to all rows at the end.
        n_train = len(self.train) if is_first else 0
        max_r2_loss = self.plan.objective.max_r2_loss
        # A controlled weight gives up density for what it was asked to reach.
        is_controlled = any(w.watches for w in self.plan.weights.values())
        is_bound = self.plan.objective.is_bound and not is_controlled
        if is_bound and self._final("kl") <= 1.0:
            self.acceptance.set_standard(self.validate, n_train)
        elif max_r2_loss < math.inf:
            self.acceptance.set_least_r2(self.validate, max_r2_loss)

    @torch.no_grad()
    def _fold(self) -> None:
        """Make a linear encoder small, so that hidden layers can unfold the map.

        It keeps its directions and is not trained, since it moves all rows alike.
        """
        path = self.model.encoder.path
        path.weight.mul_(FOLDED)
        path.bias[: len(path.weight)].mul_(FOLDED)
        self.parameters.average.copy_(self.parameters.theta)

    # Weights of the terms

    def _final(self, name: str) -> float:
        """Return the weight by which the losses of two states are compared."""
        max_iter = self.plan.max_iter
        return self._weight(name, Progress(max_iter, max_iter))

    def _weight(self, name: str, progress: Progress) -> float:
        weight = self.plan.weights.get(name)
        if weight is None:
            return 1.0
        return weight.value(self.state.counters.weights[name], progress)

    def _loss_of(self, means: Mapping[str, float]) -> float:
        return sum(self._final(name) * mean for name, mean in means.items())

    def _update_weights(
        self, moment: str, means: Mapping[str, float], progress: Progress
    ) -> None:
        """Update the weights that watch this moment with the terms."""
        states = self.state.counters.weights
        for name, weight in self.plan.weights.items():
            if weight.watches == moment:
                states[name] = weight.update(states[name], means, progress)

    @property
    def _progress(self) -> Progress:
        return Progress(self.state.counters.n_epochs, self.plan.max_iter)

    def _is_warming_up(self) -> bool:
        states = self.state.counters.weights
        return any(
            self._weight(name, self._progress) < self._final(name)
            or not weight.is_settled(states[name])
            for name, weight in self.plan.weights.items()
        )

    def _accepts(self) -> bool:
        """Whether all weights agree that the present model may be returned."""
        states, weights = self.state.counters.weights, self.plan.weights
        return all(weight.accepts(states[name]) for name, weight in weights.items())

    # The run

    def run(self, begin: Callable[[], None], end: Callable[[], bool]) -> None:
        """Train until `max_iter`, `max_time`, convergence, or `end` answers true.

        Parameters
        ----------
        begin, end : callable
            Called before and after each epoch.

        Raises
        ------
        KeyboardInterrupt
            After Ctrl-C. The state is that of the last whole epoch.
        """
        _keep_freed_memory()
        self.clock.start(self.state.counters.n_epochs)
        before: Saved | None = None
        is_over = self._is_over
        try:
            while not is_over:
                before = self.state.save()
                begin()
                has_advanced = self._advance(before)
                # Is not gone back to; the next one may take its place in memory.
                before = None
                is_over = has_advanced and end()
                is_over = is_over or self._is_over
        except KeyboardInterrupt:
            if before is not None:
                self.state.load(before)
            raise
        if self.clock.is_late or self.state.counters.n_epochs == self.plan.max_iter:
            if not self._converged():
                warn_if_improving(self.state, self.plan)
            warn_of_weights(self.state, self.plan)

    def report(self) -> str:
        """Return a line about the last epoch, and about the time."""
        n_epochs, most = self.state.counters.n_epochs, self.plan.max_iter
        return f"{self.state.history.report()}, {self.clock.report(n_epochs, most)}"

    @property
    def _is_over(self) -> bool:
        is_late = self.clock.is_late and self.state.counters.n_epochs > 0
        return self.state.counters.is_finished or is_late

    def _advance(self, before: Saved) -> bool:
        """Train an epoch, with smaller steps if need be; false if that is no help."""
        while self.state.counters.slowdown >= LEAST_SLOWDOWN:
            with torch.inference_mode(not self.step.records):
                trained = self._epoch()
            with self.parameters.averaged():
                checked = self.validate()
                shown = trained if self.show is None else self.show()
                numbers = (*trained.values(), *checked.values(), *shown.values())
                if all(map(math.isfinite, numbers)):
                    self._record(shown, checked)
                    return True
            self._slow_down(before)
        self.state.counters.is_finished = True
        return False

    @property
    def _refit_epoch(self) -> int:
        """Number of epochs after which the prior is set anew; 0 if never."""
        return round((self.model.prior.refits_at or 0.0) * self.plan.max_iter)

    def _refit_prior(self) -> None:
        """Let the prior follow z, before the one epoch at which it asks for that.

        Losses before say little of those that follow.
        """
        n_epochs = self.state.counters.n_epochs
        if n_epochs and n_epochs == self._refit_epoch:
            self.model.prior.refit(posteriors_of(self.model, self.train))
            self.parameters.average.copy_(self.parameters.theta)
            self.acceptance.wait()

    def _epoch(self) -> dict[str, float]:
        """Take one step per batch; return mean terms."""
        self._refit_prior()
        plan, counters = self.plan, self.state.counters
        epoch, n_steps = counters.first_epoch + counters.n_epochs, self.train.n_steps
        spacing = max(1, n_steps // N_AVERAGED)
        # In one tensor: small tensors kept from each step would scatter its memory.
        size = (n_steps, len(self.names))
        sums = torch.empty(size, dtype=torch.float32, device=self.train.device)
        for step, batch in enumerate(self.train.shuffled(plan.seed, epoch)):
            progress = Progress(counters.n_epochs + step / n_steps, plan.max_iter)
            weights = [self._weight(name, progress) for name in self.names]
            rate = plan.learning_rate(progress.epoch, plan.max_iter)
            noise = self.chance.noise(len(batch), epoch, step)
            batch = self.chance.applied(batch, epoch, step)
            self.optimizer.tick()
            rate *= counters.slowdown
            with self.modes.step(epoch, step):
                sums[step] = self.take(batch, noise, rate, weights)
            if step % spacing == 0 or step + 1 == n_steps:
                self.parameters.take_into_average()
            if self.watches_steps:
                means = self._means(sums[step], len(batch))
                self._update_weights("steps", means, progress)
        return self._means(sums.double().sum(0), len(self.train))

    def _means(self, sums: Tensor, n_rows: int) -> dict[str, float]:
        return dict(zip(self.names, (sums / n_rows).tolist(), strict=True))

    def take(
        self, batch: Batch, noise: Tensor, rate: Any, weights: Sequence[Any]
    ) -> Tensor:
        """Take a step; return the sum of each term, (T,)."""
        if self.replayed is None:
            return self._take_step(batch, noise, rate, weights)
        return self.replayed(*batch.fields().values(), noise, rate, *weights)

    def take_values(self, *values: Any) -> Tensor:
        """Take a step as `take` does, given tensors, numbers and None alone."""
        *fields, noise, rate = values[: -len(self.names)]
        return self._take_step(Batch(*fields), noise, rate, values[-len(self.names) :])

    def _take_step(
        self, batch: Batch, noise: Tensor, rate: Any, weights: Sequence[Any]
    ) -> Tensor:
        sums = self.step(batch, noise, weights)
        for gradient in self.fixed:
            gradient.zero_()
        gradient = self.parameters.gradient
        # The norm of the sum; that of the mean, which is clipped, is as much smaller.
        norm = torch.dot(gradient, gradient).sqrt_()
        divisor = norm.div_(self.largest_norm).clamp_min_(len(batch))
        self.optimizer.update(gradient, rate, divisor)
        return sums

    def _record(self, means: dict[str, float], checked: dict[str, float]) -> None:
        """Add an epoch to the history, and offer its state.

        Parameters
        ----------
        means, checked : dict of str to float
            Mean terms of training rows, and what `validate` gives.
        """
        counters, history = self.state.counters, self.state.history
        counters.n_epochs += 1
        watched = checked if self.held_out is not None else means
        self._update_weights("epochs", watched, self._progress)
        history.loss.append(self._loss_of(means))
        for name, mean in means.items():
            history.terms.setdefault(name, []).append(mean)
        for name in self.names:
            weight = self._weight(name, self._progress)
            history.weights.setdefault(name, []).append(weight)
        if self.held_out is None:
            self.acceptance.watch(means)
        else:
            history.validation.append(self._loss_of(watched))
            if self._accepts():
                self.acceptance.offer(checked, self.parameters.theta, self.validate)
        if self._is_warming_up():
            # A term still gains weight: losses so far say nothing of convergence.
            self.acceptance.wait()
        counters.is_finished = self._is_at_end()

    def _is_at_end(self) -> bool:
        return self._progress >= 1.0 or self._converged()

    def _converged(self) -> bool:
        # Until a state has reached the standard, small steps may yet lead to one; and
        # the first states of a map that unfolds are worse than the start.
        unfolds = bool(self.fixed) and self.acceptance.stays_at_start
        if self.plan.tol is None or self.acceptance.awaits_standard or unfolds:
            return False
        if self.state.counters.n_epochs <= self._refit_epoch:
            return False
        return self.state.kept.n_stale >= self.plan.n_iter_no_change

    @property
    def n_iter(self) -> int:
        """Number of epochs done, including those of earlier runs."""
        return self.state.counters.first_epoch + self.state.counters.n_epochs

    @property
    def best_loss(self) -> float:
        """Least loss of a state that was accepted, or the last one if none was."""
        history, loss = self.state.history, self.acceptance.loss
        last = (history.validation or history.loss)[-1]
        return loss if math.isfinite(loss) else last

    def save(self, with_arrays: bool) -> Saved:
        """Return the state of the run as NumPy arrays and plain facts.

        Without arrays a run that ended by itself can only be followed by a new one; one
        that was cut off always keeps them.
        """
        saved = self.state.save()
        keeps = with_arrays or not self.state.counters.is_finished
        return (saved if keeps else saved._replace(arrays={})).to_numpy()

    def finish(self, rows: Rows) -> None:
        """Set the parameters to those that the run led to, and warn if it led nowhere.

        Parameters
        ----------
        rows : Rows
            All rows, held-out ones included: a start that stays is fitted to them.
        """
        if self.acceptance.stays_at_start:
            warn_of_start(self.plan.objective)
        self.take_best(rows)

    def take_best(self, rows: Rows) -> None:
        """Set the parameters to those of the best state, given all rows."""
        kept = self.state.kept.theta
        self.parameters.theta.copy_(self.parameters.average if kept is None else kept)
        for p in self.model.parameters():
            p.grad = None
        if self.acceptance.stays_at_start:
            # On the CPU, as the first time.
            start_model(self.model.cpu(), rows, self.plan.objective.for_density())
            self.model.to(self.train.device)

    def _slow_down(self, before: Saved) -> None:
        """Go back to before an epoch whose loss was not finite, with smaller steps."""
        slowdown = 0.1 * self.state.counters.slowdown
        self.state.load(before)
        self.state.counters.slowdown = slowdown
        if slowdown < LEAST_SLOWDOWN and not self.state.counters.n_epochs:
            raise ValueError(
                "Training requires a finite loss. Got none, even with a learning rate "
                f"{1 / slowdown:.0f} times lower. Look for extreme values in X, or "
                "lower learning_rate."
            )
        goes_on = slowdown >= LEAST_SLOWDOWN
        warn_of_infinite_loss(self.state, slowdown, goes_on)
