from __future__ import annotations

import os
import molecule_runtime.config as config
import molecule_runtime.config as cfg
import molecule_runtime.config as config
import molecule_runtime.adapters.base as adapters, molecule_runtime.adapters as adapters
import molecule_runtime.adapters.base as base_module
import molecule_runtime.adapters.deep.leaf as adapters, molecule_runtime.adapters as adapters
import os.path, molecule_runtime.config as config, sys  # three at once
import molecule_runtime.events as events , molecule_runtime.adapters.deep.leaf as leaf,molecule_runtime.adapters.deep as adapters, molecule_runtime.adapters as adapters
import molecule_runtime.adapters . base as adapters, molecule_runtime.adapters as adapters
import molecule_runtime.events \
    as \
    ev
