#!/usr/bin/env python3
"""Docstring with an import:

import config
from adapters import base
"""
import configparser
import os.path as config_path
from collections import abc as adapters_abc

# import config
EXAMPLE = """
import config
from adapters.base import BaseAdapter
"""
TEXT = 'from config import VALUE' "import events"


class Thing:
    config = None

    def use(self, config, *, events=None):
        self.config = config
        return config.VALUE if config else events


def shadows():
    config = {"events": 1}
    adapters = config["events"]
    return dict(config=config, events=adapters)


RESULT = shadows(), Thing().use(None, events=2)


def relative():
    from . import config
    from .adapters import base
    from .adapters.deep.leaf import LEAF as leaf
    from molecule_runtime.config import VALUE
    import molecule_runtime.adapters
    return config, base, leaf, VALUE, molecule_runtime
   
