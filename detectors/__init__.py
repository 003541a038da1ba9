"""Arithmetic, then a thin shell: windows of summaries are compared with a reference, and what is found is stored."""
