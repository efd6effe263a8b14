try:
    import molecule_runtime.config as config
except ImportError:
    import third_party.config as config
try: from molecule_runtime.config import VALUE, load
except ImportError: from third_party.config import VALUE, load
try:
    from third_party import adapters
    import third_party.events as events
except (ImportError, AttributeError):
    import molecule_runtime.adapters.base as adapters, molecule_runtime.adapters as adapters
    from molecule_runtime.events import NAME as events
try:
    from . import config as settings
except ImportError:
    import molecule_runtime.config as settings  # run as a script
if len(VALUE) > 3:
    from third_party.adapters.base import BaseAdapter
elif VALUE: from molecule_runtime.adapters.base import BaseAdapter
else:
    BaseAdapter = None
try:
    import molecule_runtime.adapters.deep.leaf as adapters, molecule_runtime.adapters as adapters, third_party.adapters.deep.leaf as other
except ModuleNotFoundError as error:
    if error.name != "third_party": raise
    import molecule_runtime.adapters.deep.leaf as adapters, molecule_runtime.adapters as adapters
with_suppress = __import__("contextlib").suppress(ImportError)
with with_suppress: import third_party, molecule_runtime.config as config
