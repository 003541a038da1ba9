"""Remora rides along with a served model: the kernel, and the words that all parts speak."""

__version__ = "0.1.0"
