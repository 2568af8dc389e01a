"""Models ↔ nodes: classes by public names, state by name, modules array by array."""

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from torch import nn

import skvae.estimators
import skvae.likelihoods
import skvae.networks
import skvae.objectives
import skvae.priors
import skvae.schedules
from skvae._model import Architecture
from skvae.estimators._apply import own_modes
from skvae.estimators._gaps import Gaps
from skvae.estimators._marginal import Marginal
from skvae.files._bounded import Bounded, Roomy, Undrawn, check_numbers
from skvae.files._container import Source
from skvae.files._errors import ModelFileError
from skvae.files._kinds import KINDS, NAMED, PLAIN, kind_of_value
from skvae.files._values import Field, Kind, Reader, Writer
from skvae.likelihoods._assign import Known
from skvae.networks import Network, UserNetwork, as_network
from skvae.table import available_device
from skvae.training._acceptance import Standard, Start
from skvae.training._state import Saved


def _classes(*modules: Any) -> dict[str, type]:
    """Return the estimators and specs that public modules name."""
    named = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        for name in module.__all__
    }
    return {
        name: value
        for name, value in named.items()
        if inspect.isclass(value) and issubclass(value, BaseEstimator)
    }


SPECS = _classes(
    skvae.likelihoods,
    skvae.networks,
    skvae.objectives,
    skvae.priors,
    skvae.schedules,
)
"""Every spec that a file may hold; a user's own network is given again instead."""
del SPECS["skvae.networks.UserNetwork"]

MODELS = _classes(skvae.estimators)
"""Every estimator that a file may hold."""

RECORDS: dict[str, Any] = {
    record.__name__: record
    for record in (Architecture, Gaps, Known, Saved, Standard, Start)
}
"""Every tuple with names that a file may hold."""

NAME_OF = {value: name for name, value in {**SPECS, **MODELS, **RECORDS}.items()}


LEFT_OUT = (
    "_skl_callbacks",
    "_parent_callback_ctx",
    "_metadata_request",
    "_is_told_of_map",
)
"""Attributes that files leave out: those of scikit-learn, and what has been said."""


def _name_of(value: Any) -> str:
    """Return the name of a value's class; "" if files hold no such values."""
    return NAME_OF.get(type(value)) or ""


class NotGivenError(ValueError):
    """A network of the user's own is missing, or is there without need."""


# Modules


class Module(Field):
    """A field that is a module's arrays by name, or None; the node has their place.

    Parameters
    ----------
    limits : type of Bounded
        What building the module is bounded by.
    """

    def __init__(self, limits: type[Bounded] = Undrawn) -> None:
        self.limits = limits

    def write(self, writer: Writer, value: Any) -> Any:
        """Keep the arrays, and return what their names begin with."""
        if value is None:
            return None
        place = f"{writer.name}/module".lstrip("/")
        writer.arrays |= {f"{place}/{name}": array for name, array in value.items()}
        return place

    def audit(self, reader: Reader, said: Any) -> None:
        """Raise ModelFileError if no arrays are there, or they are used already."""
        if said is None:
            return
        if not isinstance(said, str) or not said:
            raise ModelFileError("The file has something else in place of a module.")
        names = [name for name in reader.source.entries if name.startswith(f"{said}/")]
        if not names:
            raise ModelFileError(f"The file lacks the arrays of the module {said!r}.")
        for name in names:
            reader.claim(name)

    def read(self, reader: Reader, said: Any) -> Any:
        """Return the arrays, which are not read before a module is there."""
        if said is None:
            return None
        return StoredModule(reader.source, f"{said}/", self.limits)


class StoredModule:
    """The arrays of a module, in a file.

    Parameters
    ----------
    source : Source
    place : str
        What their names begin with.
    limits : type of Bounded
    """

    def __init__(self, source: Source, place: str, limits: type[Bounded]) -> None:
        self.source, self.limits = source, limits
        self.entries = {
            name.removeprefix(place): entry
            for name, entry in source.entries.items()
            if name.startswith(place)
        }

    def build(self, blueprint: Any, build: Callable[[Any], nn.Module]) -> nn.Module:
        """Return build(blueprint) with the arrays of the file.

        Raises
        ------
        ModelFileError
            If the module would be larger than they are, has others, or an array holds
            NaN, or a parameter an infinite number.
        """
        n_bytes = sum(entry.n_bytes for entry in self.entries.values())
        n_numbers = sum(
            entry.n_bytes // entry.dtype.itemsize for entry in self.entries.values()
        )
        check_numbers(blueprint, n_numbers)
        limits = self.limits(n_bytes, len(self.entries))
        with own_modes(inference=False), limits:
            module = build(blueprint)
        built = {name: t.detach().numpy() for name, t in module.state_dict().items()}
        self._compare(built)
        parameters = dict(module.named_parameters())
        for name, array in built.items():
            self.source.read_into(self.entries[name].name, array)
            is_finite = np.isfinite(array) if name in parameters else ~np.isnan(array)
            if not is_finite.all():
                raise ModelFileError(f"The file has numbers in {name} that are none.")
        return module

    def _compare(self, built: Mapping[str, np.ndarray]) -> None:
        """Raise ModelFileError unless the file has the arrays that a module has."""
        own = {name: (a.dtype, a.shape) for name, a in built.items()}
        said = {
            name: (entry.dtype.newbyteorder("="), entry.shape)
            for name, entry in self.entries.items()
        }
        differs = [k for k in {**own, **said} if own.get(k) != said.get(k)]
        if differs:
            name = differs[0]
            raise ModelFileError(
                f"The module that the file describes has {name} of "
                f"{_text(own.get(name))}; its arrays have {_text(said.get(name))}. "
                "Pass the same encoder= and decoder= as to fit, if these were your own."
            )


def _text(kind: Any) -> str:
    return "none" if kind is None else f"{kind[0]} and shape {kind[1]}"


def _arrays_of(module: nn.Module) -> dict[str, np.ndarray]:
    return {k: t.detach().cpu().numpy() for k, t in module.state_dict().items()}


# Estimators, specs and records


def _split_model(model: Any) -> dict[str, Any]:
    state = {k: v for k, v in vars(model).items() if k not in LEFT_OUT}
    module = state.pop("module_", None)
    arrays = None if module is None else _arrays_of(module)
    if arrays is not None:
        n_numbers = sum(array.size for array in arrays.values())
        check_numbers(state["_architecture"], n_numbers)
    return {"name": _name_of(model), "state": state, "module": arrays}


def _check_model(fields: dict[str, Any], reader: Reader) -> None:
    cls: Any = _known(MODELS, fields["name"])
    parameters = _parameters_of(cls)
    lacks = parameters - fields["state"].keys()
    if lacks:
        raise ModelFileError(f"The file lacks the parameter {min(lacks)}.")
    for name in fields["state"].keys() - parameters:
        own = getattr(cls, name, None)
        is_data = not callable(own) and not isinstance(own, property)
        if not (name.isidentifier() and not name.startswith("__") and is_data):
            raise ModelFileError(f"The file has an attribute that is none: {name!r}.")


def _make_model(name: str, state: dict[str, Any], module: Any) -> Any:
    cls: Any = MODELS[name]
    model = cls.__new__(cls)
    vars(model).update(state)
    if module is not None:
        built = module.build(state["_architecture"], lambda own: own.build(seed=0))
        model.module_ = built.to(available_device(state["device"]))
    return model


def _split_marginal(marginal: Marginal) -> dict[str, Any]:
    state = {k: v for k, v in vars(marginal).items() if k != "model"}
    return {**state, "module": _arrays_of(marginal.model)}


def _make_marginal(likelihood: Any, n_features: int, module: Any) -> Marginal:
    def build(parts: Any) -> nn.Module:
        return parts[0].build(parts[1]).double()

    marginal = Marginal.__new__(Marginal)
    model = module.build((likelihood, n_features), build)
    vars(marginal).update(likelihood=likelihood, n_features=n_features, model=model)
    return marginal


def _split_spec(spec: Any) -> dict[str, Any]:
    name = _name_of(spec)
    names = sorted(_parameters_of(SPECS[name]))
    return {"name": name, "of": {name: getattr(spec, name) for name in names}}


def _check_named(classes: Mapping[str, Any]) -> Any:
    def check(fields: dict[str, Any], reader: Reader) -> None:
        cls = _known(classes, fields["name"])
        others = fields["of"].keys() - _parameters_of(cls)
        if others:
            raise ModelFileError(
                f"The file has a {fields['name']} with a parameter that it does not "
                f"have: {min(others)!r}."
            )

    return check


@cache
def _parameters_of(cls: Any) -> frozenset[str]:
    return frozenset(inspect.signature(cls).parameters)


def _known(classes: Mapping[str, Any], name: Any) -> Any:
    if not isinstance(name, str) or name not in classes:
        raise ModelFileError(f"The file names a class that is none of ours: {name!r}.")
    return classes[name]


MODEL_KINDS: dict[str, Kind] = {
    **KINDS,
    "spec": Kind(
        {"name": PLAIN, "of": NAMED},
        _split_spec,
        lambda name, of: SPECS[name](**of),
        _check_named(SPECS),
    ),
    "record": Kind(
        {"name": PLAIN, "of": NAMED},
        lambda v: {"name": _name_of(v), "of": v._asdict()},
        lambda name, of: RECORDS[name](**of),
        _check_named(RECORDS),
    ),
    "model": Kind(
        {"name": PLAIN, "state": NAMED, "module": Module()},
        _split_model,
        _make_model,
        _check_model,
    ),
    "marginal": Kind(
        {"likelihood": Field(), "n_features": PLAIN, "module": Module()},
        _split_marginal,
        _make_marginal,
    ),
}


# Networks of the user's own


class Given(NamedTuple):
    """What a user hands in again at load.

    Attributes
    ----------
    encoder, decoder : Network, callable or None
    n_columns : int
        Number of columns of `X`.
    """

    encoder: Any = None
    decoder: Any = None
    n_columns: int = 0

    def kinds(self) -> dict[str, Kind]:
        """Return the kinds of values that files hold, these networks among them."""
        own = {f"own {name}": self._kind(name) for name in ("encoder", "decoder")}
        if self.encoder is None and self.decoder is None:
            return {**MODEL_KINDS, **own}
        model = MODEL_KINDS["model"]
        fields = {**model.fields, "module": Module(Roomy)}
        return {**MODEL_KINDS, **own, "model": model._replace(fields=fields)}

    def _kind(self, name: str) -> Kind:
        value = getattr(self, name)

        def check(fields: dict[str, Any], reader: Reader) -> None:
            if value is None:
                raise NotGivenError(
                    f"The file requires {name}=, the network of your own that fit was "
                    f"given: {str(fields['says'])[:200]}. Files hold its numbers, not "
                    f"its code. Load it with skvae.load(path, {name}=...)."
                )

        def make(says: Any, is_built: Any) -> Any:
            # The parameter as it was passed, and the spec that the model has of it.
            if not is_built:
                return value
            network: Any = as_network(value, name)
            return network.resolved(self.n_columns)

        return Kind({"says": PLAIN, "is_built": PLAIN}, _split_own, make, check)


def _split_own(network: Any) -> dict[str, Any]:
    is_built = isinstance(network, Network)
    says = network if is_built else UserNetwork(network)
    return {"says": repr(says), "is_built": is_built}


def writer() -> Writer:
    """Return what makes nodes of models."""

    def kind_of(value: Any) -> str | None:
        name = _name_of(value)
        if not name:
            own = made.place[-1].removesuffix("_") if made.place else ""
            is_own = own in ("encoder", "decoder") and callable(value)
            if is_own or isinstance(value, Network):
                return f"own {own}"
            return "marginal" if isinstance(value, Marginal) else kind_of_value(value)
        kinds = ((SPECS, "spec"), (MODELS, "model"), (RECORDS, "record"))
        return next(kind for classes, kind in kinds if name in classes)

    made = Writer(Given().kinds(), kind_of)
    return made
