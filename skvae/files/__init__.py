"""A fitted model ↔ one file that is safe to load, and as an ONNX graph."""

from skvae.files._errors import ModelFileError
from skvae.files._onnx import export_onnx
from skvae.files._onnx_pipeline import register_onnx
from skvae.files._save import load
from skvae.files._save import save as save

__all__ = ["ModelFileError", "export_onnx", "load", "register_onnx"]
