"""The Kubernetes side of the engine: objects, Secrets and status of a cluster, one daemon for each object."""
