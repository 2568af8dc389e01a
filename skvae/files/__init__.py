"""A fitted model as an ONNX graph."""

from skvae.files._onnx import export_onnx
from skvae.files._onnx_pipeline import register_onnx

__all__ = ["export_onnx", "register_onnx"]
