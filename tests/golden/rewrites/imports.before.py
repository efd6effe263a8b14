from __future__ import annotations

import os
import config
import config as cfg
import config as config
import adapters.base
import adapters.base as base_module
import adapters.deep.leaf
import os.path, config, sys  # three at once
import events , adapters.deep.leaf as leaf,adapters.deep
import adapters . base
import events \
    as \
    ev
