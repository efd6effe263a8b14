import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING: from adapters.base import BaseAdapter
if TYPE_CHECKING:
    import events as typed_events

if sys.version_info: import config; first = config.VALUE
else: import adapters.base

try: import adapters.base, config
except ImportError: config = None
else: from config import VALUE
finally: from events import NAME

try:
    from not_installed_anywhere import config as fallback
except ImportError:
    import config as fallback

for _ in range(1): import adapters.deep.leaf
with open(__file__): from adapters import deep

match first:
    case 1: from config import load
    case _:
        import events


def lazily():
    """Import when asked:

    import config
    """
    import config
    from adapters.base import BaseAdapter

    def deeper(): import adapters.deep.leaf; return adapters.deep.leaf.LEAF

    return config.VALUE, BaseAdapter, deeper()


async def later():
    from adapters import base
    return base


class Holder:
    import config
    from adapters.base import BaseAdapter as Base

    def method(self): from config import load; return load()


RESULT = lazily()[2], Holder.config.VALUE, Holder().method()
