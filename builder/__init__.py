"""Makes artifacts: packages, images, publications; knows nothing of who drives it."""

__version__ = "0.1.0"
