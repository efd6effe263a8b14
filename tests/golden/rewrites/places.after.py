import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING: from molecule_runtime.adapters.base import BaseAdapter
if TYPE_CHECKING:
    import molecule_runtime.events as typed_events

if sys.version_info: import molecule_runtime.config as config; first = config.VALUE
else: import molecule_runtime.adapters.base as adapters, molecule_runtime.adapters as adapters

try: import molecule_runtime.adapters.base as adapters, molecule_runtime.adapters as adapters, molecule_runtime.config as config
except ImportError: config = None
else: from molecule_runtime.config import VALUE
finally: from molecule_runtime.events import NAME

try:
    from not_installed_anywhere import config as fallback
except ImportError:
    import molecule_runtime.config as fallback

for _ in range(1): import molecule_runtime.adapters.deep.leaf as adapters, molecule_runtime.adapters as adapters
with open(__file__): from molecule_runtime.adapters import deep

match first:
    case 1: from molecule_runtime.config import load
    case _:
        import molecule_runtime.events as events


def lazily():
    """Import when asked:

    import config
    """
    import molecule_runtime.config as config
    from molecule_runtime.adapters.base import BaseAdapter

    def deeper(): import molecule_runtime.adapters.deep.leaf as adapters, molecule_runtime.adapters as adapters; return adapters.deep.leaf.LEAF

    return config.VALUE, BaseAdapter, deeper()


async def later():
    from molecule_runtime.adapters import base
    return base


class Holder:
    import molecule_runtime.config as config
    from molecule_runtime.adapters.base import BaseAdapter as Base

    def method(self): from molecule_runtime.config import load; return load()


RESULT = lazily()[2], Holder.config.VALUE, Holder().method()
