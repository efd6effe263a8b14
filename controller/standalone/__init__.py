"""The file-backed side of the engine: one machine, no Kubernetes."""
