"""Reads what an image in a registry holds out of its layers, each of them once, where none of its programs can be run."""

from __future__ import annotations

import asyncio
import tempfile
from typing import Final

from builder.inventory import Inventory
from builder.oci import Descriptor
from builder.remote_store import RemoteStore
from builder.stages.derived_inventory import Entry, derive_inventory, layer_entries
from builder.stores import StoredImage
from builder.wheel import Wheel

LAYERS_AT_ONCE: Final = 2
"""Each is on this machine's disk while it is read."""


class LayerReader:
    """The layers that one run has read, and the inventories that follow from them."""

    def __init__(self, wheel: Wheel) -> None:
        self._wheel = wheel
        self._turns = asyncio.Semaphore(LAYERS_AT_ONCE)
        self._layers: dict[str, asyncio.Task[list[Entry]]] = {}

    async def inventory(self, store: RemoteStore, image: StoredImage) -> Inventory:
        """Return what an image holds; raises NotInventoried when its layers do not say."""
        layers = image.manifest.layers if image.manifest else ()
        read = await asyncio.gather(*(self._layer(store, image, layer) for layer in layers))
        script = self._wheel.scripts[0] if self._wheel.scripts else ""
        return await asyncio.to_thread(
            derive_inventory, read, image.config, package=self._wheel.name, script=script
        )

    async def _layer(self, store: RemoteStore, image: StoredImage, layer: Descriptor) -> list[Entry]:
        """Read a layer once, whichever templates have it."""
        if layer.digest not in self._layers:
            self._layers[layer.digest] = asyncio.create_task(self._read(store, image, layer))
        return await asyncio.shield(self._layers[layer.digest])

    async def _read(self, store: RemoteStore, image: StoredImage, layer: Descriptor) -> list[Entry]:
        async with self._turns:
            with tempfile.TemporaryFile(prefix="wsr-layer-") as file:
                await store.download(image, layer, file)
                file.seek(0)
                return await asyncio.to_thread(layer_entries, file, where=f"layer {layer.digest}")
