"""`remora version`."""

from remora import __version__

__all__ = ["version"]


def version() -> None:
    """Print the version."""
    print(f"remora {__version__}")
