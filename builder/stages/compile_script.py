"""Run by every other Python on the machine, alone: compiles the files of a package and tells what does not compile."""

import json
import pickle
import platform
import sys
import warnings
from pathlib import Path


def told(files: "dict[str, bytes]") -> "list[list[object]]":
    """Return path, line and cause for each file that does not compile."""
    warnings.simplefilter("ignore")
    complaints: list[list[object]] = []
    for path, content in files.items():
        try:
            compile(content, path, "exec", dont_inherit=True, optimize=0)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            complaints.append([path, getattr(error, "lineno", None) or 1, str(getattr(error, "msg", error))])
    return complaints


if __name__ == "__main__":
    major, minor, *_ = sys.version_info
    sys.stdout.write(f"{platform.python_implementation()} {major}.{minor}\n")
    sys.stdout.flush()  # said first, so that a Python that dies over the files is known to be one
    json.dump(told(pickle.loads(Path(sys.argv[1]).read_bytes())), sys.stdout)  # noqa: S301 -- written by who runs this
