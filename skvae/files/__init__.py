"""A fitted model as an ONNX graph."""

from skvae.files._onnx import export_onnx

__all__ = ["export_onnx"]
