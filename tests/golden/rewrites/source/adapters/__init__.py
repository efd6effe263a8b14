"""Adapters."""

KIND = "package"
