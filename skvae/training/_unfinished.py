"""A run that was cut off, with all that it takes to go on in another process."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from skvae.training._acceptance import Start
from skvae.training._state import FlatParameters, Saved


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
    columns : str
        Fingerprint of names, types, categories and origins of the columns, which are
        not in the cells.
    seconds : float
        Time that its epochs have taken.
    """

    saved: Saved
    constants: dict[str, np.ndarray]
    start: Start
    seed: int
    rows: tuple[int, ...]
    columns: str
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
            plan.columns,
            training.clock.seconds,
        )

    def as_value(self) -> dict[str, Any]:
        """Return the same as a value that files hold; `FORM` says what it is.

        All that grows with the number of epochs is an array.
        """
        arrays, facts = self.saved
        kept, history = facts["kept"], _each(facts["history"], _curve)
        kept = {**kept, "losses": _curve(kept["losses"])}
        state = {**facts, "kept": kept, "history": history, "arrays": arrays}
        said = {name: v for name, v in self._asdict().items() if name != "saved"}
        return {**said, "state": state}

    @classmethod
    def of_value(cls, value: Any) -> "Unfinished":
        """Return what such a value says.

        Raises
        ------
        ValueError
            If it is not of that form.
        """
        require_form(value, FORM)
        said = dict(value)
        facts = dict(said.pop("state"))
        arrays = facts.pop("arrays")
        losses = facts["kept"]["losses"].tolist()
        facts["kept"] = {**facts["kept"], "losses": losses}
        facts["history"] = _each(facts["history"], np.ndarray.tolist)
        start = Start(*said.pop("start"))
        return cls(saved=Saved(arrays, facts), start=start, **said)

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
        self._check(state.counters.run, training.plan)
        saved = self.saved.to_torch(training.train.device)
        own = state.arrays()
        kept = {"best": own["theta"]} if "best" in saved.arrays else {}
        require_same(saved.arrays, own | kept)
        state.load(saved)
        training.clock.before = self.seconds

    def _check(self, run: str, plan: Any) -> None:
        if plan.rows != self.rows:
            raise ValueError(
                "A fit can be resumed with its own rows and sample weights only. Got "
                "others. Pass the X and the sample_weight that fit was given."
            )
        if plan.columns != self.columns:
            raise ValueError(
                "A fit can be resumed with its own columns only. Here the columns "
                "differ in their names, types, categories or dates. Pass the X that "
                "fit was given, in the same kind of table."
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
    other.model = copy.deepcopy(training.model)
    other.parameters = FlatParameters(other.model)
    other.parameters.average.copy_(training.parameters.average)
    return other


def _curve(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float64)


def _each(tree: Any, function: Callable[[Any], Any]) -> Any:
    """Return a tree of dicts with a function of each of its leaves."""
    if isinstance(tree, dict):
        return {name: _each(branch, function) for name, branch in tree.items()}
    return function(tree)


class AnyNames(NamedTuple):
    """The form of a dict of any names to values of one form."""

    of: Any


FORM = {
    "constants": AnyNames(np.ndarray),
    "start": (bool, bool, float),
    "seed": int,
    "rows": (int, int),
    "columns": str,
    "seconds": float,
    "state": {
        "arrays": AnyNames(np.ndarray),
        "n_steps": int,
        "n_averaged": int,
        "counters": {
            "run": str,
            "n_epochs": int,
            "first_epoch": int,
            "slowdown": float,
            "weights": AnyNames(object),
            "is_finished": bool,
        },
        "history": {
            "loss": np.ndarray,
            "terms": AnyNames(np.ndarray),
            "validation": np.ndarray,
            "weights": AnyNames(np.ndarray),
        },
        "kept": {
            "best": dict | None,
            "reference": dict | None,
            "n_stale": int,
            "losses": np.ndarray,
            "standard": tuple | None,
            "is_start": bool,
        },
    },
}
"""What `Unfinished.as_value` gives."""


def require_form(value: Any, form: Any) -> None:
    """Raise ValueError unless a value is of a form.

    A form is a type, `AnyNames`, a dict of the keys of the value to forms, or a tuple
    of as many forms.
    """
    if isinstance(form, tuple) and isinstance(value, tuple):
        value, form = (dict(enumerate(sequence)) for sequence in (value, form))
    if isinstance(form, AnyNames):
        form = dict.fromkeys(value, form.of) if isinstance(value, dict) else dict
    if isinstance(form, dict):
        if not isinstance(value, dict) or value.keys() != form.keys():
            raise ValueError(f"A state has {list(form)}. Got {str(value)[:80]}.")
        for name in form:
            require_form(value[name], form[name])
    elif isinstance(form, tuple) or not isinstance(value, form):
        raise ValueError(f"A state has a value that is {form}. Got {str(value)[:80]}.")


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
