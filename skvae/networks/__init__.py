"""Encoders and decoders: bodies, and the linear path beside them."""

from skvae.networks._contract import Network
from skvae.networks._linear_path import Branches as Branches
from skvae.networks._linear_path import LinearPath
from skvae.networks._perceptron import ACTIVATIONS as ACTIVATIONS
from skvae.networks._perceptron import Perceptron
from skvae.networks._written import WrittenNetwork as WrittenNetwork

__all__ = ["LinearPath", "Network", "Perceptron"]
