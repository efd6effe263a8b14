"""A Kubernetes of one real node, for tests and demonstration: built from pinned Go modules, in a network of its own.

`python -m tests.cluster start` for people, fixture `cluster` for tests. Nothing of it is left when it has been stopped.
"""
