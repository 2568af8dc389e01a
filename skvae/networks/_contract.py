"""The contract of networks."""

import torch
from sklearn.base import BaseEstimator
from torch import nn


class Network(BaseEstimator):
    """Base of all specs of networks, which `encoder=` and `decoder=` take.

    A module that is built maps (..., n_in) to (..., n_out), rows independently of each
    other. Beside a linear path, all outputs must be zero before training: a module may
    have a method `start_at_zero(random)` for that; the outputs of other modules are
    multiplied by a learned number that starts at zero (Bachlechner et al. 2021,
    https://arxiv.org/abs/2003.04887).
    """

    def resolved(self, n_columns: int) -> "Network":
        """Return the spec with nothing left open that depends on the data.

        Parameters
        ----------
        n_columns : int
            Number of columns of `X`.

        Returns
        -------
        network : Network
        """
        return self

    def mirrored(self) -> "Network":
        """Return the spec of a decoder for an encoder, or the other way round.

        Returns
        -------
        network : Network
        """
        return self

    def build(self, n_in: int, n_out: int, random: torch.Generator) -> nn.Module:
        """Return a module.

        Parameters
        ----------
        n_in, n_out : int
            Numbers of inputs and outputs.
        random : torch.Generator
            Source of the initial parameters.

        Returns
        -------
        module : torch.nn.Module
        """
        raise NotImplementedError
