"""Makes artifacts: packages, images, publications; knows nothing of who drives it."""
