"""Networks that a user's function builds."""

import copy
import inspect
import pickle
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from skvae._random import seeded_layers
from skvae.networks._contract import Network
from skvae.networks._perceptron import Perceptron
from skvae.networks._trial import Trial

Function = Callable[[int, int], nn.Module]

EXAMPLE = "def make(n_in, n_out): return nn.Sequential(...)"


def name_of(function: Function) -> str:
    """Return what a user calls a function."""
    function = getattr(function, "func", function)
    return getattr(function, "__name__", type(function).__name__)


class UserModel(nn.Module):
    """A user's module, called with rows (B, n_in), in evaluation mode.

    Parameters
    ----------
    module : nn.Module
    width : int
        Most values of a row that one of its layers gives.
    """

    has_modes = True

    def __init__(self, module: nn.Module, width: int) -> None:
        super().__init__()
        self.module, self.width = module, width
        self.eval()

    def forward(self, h: Tensor) -> Tensor:
        outputs = self.module(h.reshape(-1, h.shape[-1]))
        return outputs.reshape(*h.shape[:-1], outputs.shape[-1])


class UserNetwork(Network):
    """A network that a function builds: `function(n_in, n_out)` returns a module.

    What `encoder=` or `decoder=` makes of a function or a class. Torch's global
    generator is seeded for the call and put back after it. The module maps rows
    (B, n_in) to (B, n_out), each by itself, whatever its layers; it is tried on a few
    rows first. It is in training mode during steps alone, so that dropout does not
    reach answers. Beside a linear path its outputs are multiplied by a learned number
    that starts at zero.

    Parameters
    ----------
    function : callable
        Called as `function(n_in, n_out)`, returns a new `torch.nn.Module`. To be
        pickled with its estimator it must be defined in a module, by `def` or `class`.

    Raises
    ------
    ValueError
        When it is built, if the function or its module does not do what it must.

    See Also
    --------
    Perceptron : What the other network is by default.

    Examples
    --------
    >>> from torch import nn
    >>> def make(n_in, n_out):
    ...     return nn.Sequential(nn.Linear(n_in, 32), nn.Tanh(), nn.Linear(32, n_out))
    >>> UserNetwork(make)
    UserNetwork(make)
    >>> UserNetwork(make).mirrored()
    Perceptron()
    """

    def __init__(self, function: Function) -> None:
        self.function = function

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        return f"{type(self).__name__}({name_of(self.function)})"

    def mirrored(self) -> Network:
        """Return a default perceptron: a function has no mirror image.

        Returns
        -------
        network : Perceptron
        """
        return Perceptron()

    def build(self, n_in: int, n_out: int, random: torch.Generator) -> nn.Module:
        """Return the module of the function, after a trial.

        Parameters
        ----------
        n_in, n_out : int
            Numbers of inputs and outputs.
        random : torch.Generator
            Seeds torch's global generator during the call.

        Returns
        -------
        module : torch.nn.Module

        Raises
        ------
        ValueError
            If the function or its module does not do what it must.
        """
        name = name_of(self.function)
        self._check_signature(name)
        seed = torch.randint(2**62, (), generator=random)
        with seeded_layers(int(seed)):
            module = self.function(n_in, n_out)
            if not isinstance(module, nn.Module):
                raise ValueError(
                    f"{name}(n_in, n_out) must return a torch.nn.Module. Got "
                    f"{type(module).__name__}. Write, for example: {EXAMPLE}."
                )
            # Lazy layers take their sizes in a trial.
            module = module.to(device="cpu", dtype=torch.float32)
            with _Widths(module, n_in) as widths:
                Trial(module, name, n_in, n_out).run()
            # A function may return the same module twice; fits must not share it.
            return UserModel(copy.deepcopy(module), widths.most)

    def _check_signature(self, name: str) -> None:
        """Raise ValueError unless two arguments are enough."""
        try:
            inspect.signature(self.function).bind(1, 1)
        except TypeError as error:
            raise ValueError(
                f"{name} must take two arguments, n_in and n_out. Got one for which "
                f"that fails: {error}. Write, for example: {EXAMPLE}; or set others "
                "with functools.partial."
            ) from error
        except ValueError:  # Some callables do not say.
            return


class _Widths:
    """Notes the most values of a row that a layer gives, while in this context."""

    def __init__(self, module: nn.Module, least: int) -> None:
        self.module, self.most = module, least

    def __enter__(self) -> "_Widths":
        modules = list(self.module.modules())
        self.hooks = [module.register_forward_hook(self._note) for module in modules]
        return self

    def _note(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        if isinstance(outputs, Tensor) and outputs.dim() and len(outputs):
            self.most = max(self.most, outputs.numel() // len(outputs))

    def __exit__(self, *error: Any) -> None:
        for hook in self.hooks:
            hook.remove()


def as_network(value: Any, name: str) -> Network | None:
    """Return the spec that a value of `encoder=` or `decoder=` stands for.

    Raises
    ------
    ValueError
        If it is a module, which fits would share, or a class of specs.
    """
    if value is None or isinstance(value, Network):
        return value
    if isinstance(value, nn.Module):
        raise ValueError(
            f"{name} must be a Network, or a function or class that builds a new "
            f"module for each fit. Got a module, {type(value).__name__}, which fits "
            f"would share. Write {EXAMPLE} and pass {name}=make."
        )
    if isinstance(value, type) and issubclass(value, Network):
        raise ValueError(
            f"{name} must be a Network, not a class of them. Got {value.__name__}. "
            f"Write {name}={value.__name__}(...)."
        )
    return UserNetwork(value)


def notes_for_pickle(*networks: Any) -> list[Any]:
    """Return what makes pickle say, of functions that it cannot find, what to do.

    Pickle names the function that it fails at. A function of such a name, pickled
    before, is the only way to words of one's own that leaves those alone who pickle
    functions by value, as parallel searches do.
    """
    functions = [getattr(network, "function", network) for network in networks]
    return [_note(name_of(function)) for function in functions if _fails(function)]


def _fails(function: Any) -> bool:
    """Return whether a function, if it is one, cannot be pickled."""
    if function is None or not callable(function):
        return False
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError):
        return True
    return False


def _note(name: str) -> Callable[[], None]:
    def note() -> None:
        pass

    note.__qualname__ = note.__name__ = (
        f"{name} of encoder= or decoder=; define it in a module, by def or class, so "
        "that pickle can find it"
    ).replace(".", " ")
    return note
