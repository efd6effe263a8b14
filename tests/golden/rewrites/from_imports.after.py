from molecule_runtime.config import VALUE
from molecule_runtime.config import VALUE as V, load
from molecule_runtime.config import *
from molecule_runtime.adapters import base
from molecule_runtime.adapters import KIND, deep as d
from molecule_runtime.adapters.deep.leaf import LEAF
from molecule_runtime.adapters.base import (
    BaseAdapter,  # the one
    BaseAdapter as Base,
)
from   molecule_runtime.config   import\
    load as loaded
from \
    molecule_runtime.adapters \
    .deep import leaf; from molecule_runtime.events import NAME
from	molecule_runtime.config	import	VALUE	as	TABBED
from os import path
from collections.abc import Iterator
