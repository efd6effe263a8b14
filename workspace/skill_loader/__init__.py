"""Read the skills that config.yaml names."""
