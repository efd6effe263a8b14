import importlib
import importlib.util as finder
import runpy
import sys
from importlib import import_module, resources
from unittest import mock
from unittest.mock import patch


def certain(name):
    importlib.import_module("molecule_runtime.config")
    import_module('molecule_runtime.adapters.base')
    import_module(r"""molecule_runtime.adapters.deep.leaf""")
    import_module("molecule_runtime.adapters" ".base")
    importlib.import_module(f"molecule_runtime.adapters.{name}")
    importlib.import_module("molecule_runtime.adapters." + name)
    importlib.import_module("molecule_runtime.adapters.%s" % name)
    importlib.import_module("molecule_runtime.adapters.{}".format(name))
    importlib.import_module(".base", package="molecule_runtime.adapters")
    importlib.import_module("os.path")
    finder.find_spec("molecule_runtime.adapters.not_there")
    resources.files("molecule_runtime.adapters").joinpath("x")
    __import__("molecule_runtime.config", fromlist=("__name__",))
    __import__("molecule_runtime.adapters.base", fromlist=["BaseAdapter"])
    runpy.run_module("molecule_runtime.main", run_name="__main__")
    sys.modules["molecule_runtime.config"]
    sys.modules.get("molecule_runtime.adapters.base")
    "molecule_runtime.events" in sys.modules
    sys.modules.pop(f"molecule_runtime.adapters.{name}", None)
    with patch("molecule_runtime.config.load"), mock.patch("molecule_runtime.adapters.base.BaseAdapter"):
        pass
    with patch.dict(sys.modules, {"molecule_runtime.events": None, "os": None}):
        pass
    return [sys.executable, "-m", "molecule_runtime.main", "config"], ("python3", "-I", "-m", "molecule_runtime.adapters.deep.leaf")


def uncertain(name, loader, importlib_like):
    importlib.import_module(name)
    importlib.import_module(f"adapt{name}")
    loader.import_module("config")
    kind = "adapters.base:BaseAdapter"
    attribute = "config.load"
    shell = "cd / && python -m main --help"
    return kind, attribute, shell


NOT_REFERENCES = ["config", "config.yaml", "config.nothing_there", "git commit -m config", {"events": "adapters"}]
