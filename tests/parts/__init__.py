"""The real parts that tests, demo and benches run against: engine, registry, package indexes, base image.

Nothing here imitates a part: each module starts the real program, waits until it answers, and ends exactly what it
started. A part that cannot be had raises `PartError`, so that a test fails instead of skipping.
"""
