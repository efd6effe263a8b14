"""Makes the images of operator and builder without an engine: the same sources give the same bytes.

`python -m tools.images --to REGISTRY/FOLDER --tag TAG` makes and pushes them; `make images` is the same.
"""
