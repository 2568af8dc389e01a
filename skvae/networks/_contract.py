"""The contract of networks."""

import torch
from sklearn.base import BaseEstimator
from torch import Tensor, nn


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

    def build_for_columns(
        self, columns: Tensor | None, n_in: int, n_out: int, random: torch.Generator
    ) -> nn.Module:
        """Return a module, given the columns of what lies outside.

        Networks to which the order of columns means something replace this.

        Parameters
        ----------
        columns : Tensor of shape (n_in,) or (n_out,), or None
            The column of `X` that each input of an encoder, or each output of a
            decoder, is of; None if they are not of columns.
        n_in, n_out : int
            Numbers of inputs and outputs.
        random : torch.Generator
            Source of the initial parameters.

        Returns
        -------
        module : torch.nn.Module
        """
        return self.build(n_in, n_out, random)
