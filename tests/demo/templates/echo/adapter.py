"""The smallest template: it answers with what it was told, and is as busy as it is told to be (`sleep 20: hello`)."""

from molecule_runtime.adapters.echo import EchoAdapter

Adapter = EchoAdapter
