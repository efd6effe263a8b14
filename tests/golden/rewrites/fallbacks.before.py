try:
    import config
except ImportError:
    import third_party.config as config
try: from config import VALUE, load
except ImportError: from third_party.config import VALUE, load
try:
    from third_party import adapters
    import third_party.events as events
except (ImportError, AttributeError):
    import adapters.base
    from events import NAME as events
try:
    from . import config as settings
except ImportError:
    import config as settings  # run as a script
if len(VALUE) > 3:
    from third_party.adapters.base import BaseAdapter
elif VALUE: from adapters.base import BaseAdapter
else:
    BaseAdapter = None
try:
    import adapters.deep.leaf, third_party.adapters.deep.leaf as other
except ModuleNotFoundError as error:
    if error.name != "third_party": raise
    import adapters.deep.leaf
with_suppress = __import__("contextlib").suppress(ImportError)
with with_suppress: import third_party, config
