from config import VALUE
from config import VALUE as V, load
from config import *
from adapters import base
from adapters import KIND, deep as d
from adapters.deep.leaf import LEAF
from adapters.base import (
    BaseAdapter,  # the one
    BaseAdapter as Base,
)
from   config   import\
    load as loaded
from \
    adapters \
    .deep import leaf; from events import NAME
from	config	import	VALUE	as	TABBED
from os import path
from collections.abc import Iterator
