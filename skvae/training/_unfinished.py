"""A run that was cut off, with all that it takes to go on in another process."""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from skvae.training._acceptance import Start
from skvae.training._state import Saved

STATE, MODEL, CURVE = "state.", "model.", "curve."
"""Beginnings of the names of arrays: of the state of a run, of what training leaves as
it is, and of the curves of a history, (number of epochs,) each."""

LOSSES, LOSS, VALIDATION = "losses", "loss", "validation"
TERMS, WEIGHTS = "terms.", "weights."
"""Names of curves, and beginnings of names: each term has two."""


class Unfinished(NamedTuple):
    """A run that was cut off after an epoch, or has just ended.

    The model at the start, the split of the rows and their neighbors follow from the
    settings, the seed and the rows, and are made anew. Numbers that depend on how a
    machine adds up are kept, so that another one goes on from the same.

    Attributes
    ----------
    saved : Saved
        The state of the run.
    constants : dict of str to ndarray
        Tensors of the model that training does not change, by name.
    start : Start
        What the run started from.
    seed : int
        Seed of all its draws.
    rows : tuple of int
        Fingerprints of all rows, and of those that are trained on.
    seconds : float
        Time that its epochs have taken.
    """

    saved: Saved
    constants: dict[str, np.ndarray]
    start: Start
    seed: int
    rows: tuple[int, ...]
    seconds: float

    @classmethod
    def of(cls, training: Any) -> "Unfinished":
        """Return the present state of a training, as copies."""
        model, plan = training.model, training.plan
        constants = constants_of(model).items()
        return cls(
            training.save(with_arrays=True),
            {name: t.cpu().numpy().copy() for name, t in constants},
            training.start,
            plan.seed,
            plan.rows,
            training.clock.seconds,
        )

    def parts(self) -> Saved:
        """Return the same as named arrays, and facts that do not grow with epochs.

        Facts are plain values, of which numbers may be infinite.
        """
        state = {**self.saved.facts, "kept": {**self.saved.facts["kept"]}}
        curves = _curves(state.pop("history"), state["kept"].pop("losses"))
        arrays = {STATE + name: array for name, array in self.saved.arrays.items()}
        arrays |= {MODEL + name: array for name, array in self.constants.items()}
        arrays |= {CURVE + name: np.asarray(curve, float) for name, curve in curves}
        facts = {
            "state": state,
            "start": list(self.start),
            "seed": self.seed,
            "rows": list(self.rows),
            "seconds": self.seconds,
        }
        return Saved(arrays, facts)

    @classmethod
    def of_parts(cls, arrays: dict[str, np.ndarray], facts: Any) -> "Unfinished":
        """Return what such arrays and facts say.

        Raises
        ------
        KeyError, TypeError, ValueError
            If they are not those of a run.
        """
        groups = {name: _beginning_with(name, arrays) for name in (STATE, MODEL, CURVE)}
        if sum(map(len, groups.values())) != len(arrays):
            raise ValueError(f"There are arrays beside those of {list(groups)}.")
        curves = {name: array.tolist() for name, array in groups[CURVE].items()}
        state, counters = facts["state"], facts["state"]["counters"]
        # States of weights are made of tuples, which files may not tell from lists.
        weights = {name: _with_tuples(v) for name, v in counters["weights"].items()}
        state = {
            **state,
            "counters": {**counters, "weights": weights},
            "kept": {**state["kept"], "losses": curves[LOSSES]},
            "history": _history(curves),
        }
        is_linear, is_exact, strength = facts["start"]
        return cls(
            Saved(groups[STATE], state),
            groups[MODEL],
            Start(bool(is_linear), bool(is_exact), float(strength)),
            int(facts["seed"]),
            tuple(int(number) for number in facts["rows"]),
            float(facts["seconds"]),
        )

    def restore(self, model: nn.Module) -> None:
        """Set the tensors of a model at its start that training does not change."""
        given = {name: torch.from_numpy(a) for name, a in self.constants.items()}
        require_same(given, constants_of(model))
        model.load_state_dict(given, strict=False)

    def take_up(self, training: Any) -> None:
        """Let a training go on from here.

        Raises
        ------
        ValueError
            If it is another run.
        """
        state = training.state
        self._check(state.counters.run, training.plan.rows)
        saved = self.saved.to_torch(training.train.device)
        own = state.arrays()
        kept = {"best": own["theta"]} if "best" in saved.arrays else {}
        require_same(saved.arrays, own | kept)
        state.load(saved)
        training.clock.before = self.seconds

    def _check(self, run: str, rows: tuple[int, ...]) -> None:
        if rows != self.rows:
            raise ValueError(
                "A fit can be resumed with its own rows and sample weights only. Got "
                "others. Pass the X and the sample_weight that fit was given."
            )
        if run != self.saved.facts["counters"]["run"]:
            raise ValueError(
                "A fit can be resumed with its own settings only. Here they lead to "
                "another fit. Resume it with the version of skvae that began it, or "
                "fit again."
            )


def copied(training: Any) -> Any:
    """Return a training with a model of its own, which `finish` may change."""
    other = copy.copy(training)
    # Together: the parameters of the model are parts of the flat ones.
    both = copy.deepcopy((training.model, training.parameters))
    other.model, other.parameters = both
    return other


def _curves(history: dict[str, Any], losses: list[float]) -> list[Any]:
    """Return (name, curve) of all that grows with the number of epochs."""
    named = [(LOSSES, losses)]
    named += [(name, history[name]) for name in (LOSS, VALIDATION)]
    named += [(TERMS + name, curve) for name, curve in history["terms"].items()]
    return named + [(WEIGHTS + k, curve) for k, curve in history["weights"].items()]


def _history(curves: dict[str, list[float]]) -> dict[str, Any]:
    return {
        "loss": curves[LOSS],
        "validation": curves[VALIDATION],
        "terms": _beginning_with(TERMS, curves),
        "weights": _beginning_with(WEIGHTS, curves),
    }


def _beginning_with(prefix: str, named: dict[str, Any]) -> dict[str, Any]:
    """Return what has names that begin with a text, by the rest of the name."""
    own = (name for name in named if name.startswith(prefix))
    return {name.removeprefix(prefix): named[name] for name in own}


def _with_tuples(value: Any) -> Any:
    """Return a plain value with tuples in place of lists."""
    is_sequence = isinstance(value, list | tuple)
    return tuple(map(_with_tuples, value)) if is_sequence else value


def constants_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return the tensors of a model that training does not change, by name."""
    moved = {name for name, p in model.named_parameters() if p.requires_grad}
    tensors = model.state_dict()
    return {name: tensors[name] for name in tensors if name not in moved}


def require_same(given: dict[str, Any], own: dict[str, Any]) -> None:
    """Raise ValueError unless tensors have the names, shapes and types of others."""
    one, other = (
        {(name, t.shape, t.dtype) for name, t in tensors.items()}
        for tensors in (given, own)
    )
    if one != other:
        names = sorted({name for name, *_ in one ^ other})
        raise ValueError(
            "A fit can be resumed with its own model only. Here another one is made, "
            f"which differs in {', '.join(names[:3])}. Resume the fit with the version "
            "of skvae that began it, or fit again."
        )
