"""The engine: pictures and episodes in, enlarged pictures and episodes out. Knows neither the service nor the training."""

__version__ = "0.1.0"
