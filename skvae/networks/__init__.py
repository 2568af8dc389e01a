"""Encoders and decoders: bodies, and the linear path beside them."""

from skvae.networks._contract import Network
from skvae.networks._convolutional import ConvolutionalDecoder, ConvolutionalEncoder
from skvae.networks._linear_path import Branches as Branches
from skvae.networks._linear_path import LinearPath
from skvae.networks._perceptron import ACTIVATIONS as ACTIVATIONS
from skvae.networks._perceptron import Perceptron
from skvae.networks._residual import ResidualPerceptron
from skvae.networks._user import UserNetwork
from skvae.networks._user import as_network as as_network
from skvae.networks._user import notes_for_pickle as notes_for_pickle
from skvae.networks._written import WrittenNetwork as WrittenNetwork

__all__ = [
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
    "LinearPath",
    "Network",
    "Perceptron",
    "ResidualPerceptron",
    "UserNetwork",
]
