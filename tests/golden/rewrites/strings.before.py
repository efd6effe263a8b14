import importlib
import importlib.util as finder
import runpy
import sys
from importlib import import_module, resources
from unittest import mock
from unittest.mock import patch


def certain(name):
    importlib.import_module("config")
    import_module('adapters.base')
    import_module(r"""adapters.deep.leaf""")
    import_module("adapters" ".base")
    importlib.import_module(f"adapters.{name}")
    importlib.import_module("adapters." + name)
    importlib.import_module("adapters.%s" % name)
    importlib.import_module("adapters.{}".format(name))
    importlib.import_module(".base", package="adapters")
    importlib.import_module("os.path")
    finder.find_spec("adapters.not_there")
    resources.files("adapters").joinpath("x")
    __import__("config")
    __import__("adapters.base", fromlist=["BaseAdapter"])
    runpy.run_module("main", run_name="__main__")
    sys.modules["config"]
    sys.modules.get("adapters.base")
    "events" in sys.modules
    sys.modules.pop(f"adapters.{name}", None)
    with patch("config.load"), mock.patch("adapters.base.BaseAdapter"):
        pass
    with patch.dict(sys.modules, {"events": None, "os": None}):
        pass
    return [sys.executable, "-m", "main", "config"], ("python3", "-I", "-m", "adapters.deep.leaf")


def uncertain(name, loader, importlib_like):
    importlib.import_module(name)
    importlib.import_module(f"adapt{name}")
    loader.import_module("config")
    kind = "adapters.base:BaseAdapter"
    attribute = "config.load"
    shell = "cd / && python -m main --help"
    return kind, attribute, shell


NOT_REFERENCES = ["config", "config.yaml", "config.nothing_there", "git commit -m config", {"events": "adapters"}]
