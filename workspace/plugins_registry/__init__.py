"""Code of the workspace's owner that runs around each turn."""
