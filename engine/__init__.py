"""The engine: pictures and episodes in, enlarged pictures and episodes out. Knows nothing of the service."""

__version__ = "0.1.0"
