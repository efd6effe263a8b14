"""Makes byte code whose bytes depend on source and interpreter only; also runs inside images, as text.

In an image it reads `{path: source}` (JSON, base64) from the file it is given and prints `{path: byte code}` alike.
Standard library only, syntax of Python 3.8.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import marshal
import sys
from types import CodeType
from typing import Any

UNCHECKED_HASH = 1
"""PEP 552 flags: hash-based, source not looked at again; a changed clock or copied file costs no recompilation."""


def byte_code(source: bytes, path: str) -> bytes:
    """Return the content of the `.pyc` file of a module that will lie at `path`; raises SyntaxError.

    Since Python 3.11 marshal's output no longer depends on what else the process has loaded (bpo-34093, bpo-37596), but
    for strings that exist once in the whole process: whether anybody interned them shows. They are the characters of
    Latin-1, and the names of code that has none (`<module>`, `<lambda>`).
    """
    for number in range(256):
        sys.intern(chr(number))
    code = _interned(compile(source, path, "exec", dont_inherit=True, optimize=0))
    header = importlib.util.MAGIC_NUMBER + UNCHECKED_HASH.to_bytes(4, "little")
    return header + importlib.util.source_hash(source) + marshal.dumps(code)


def _interned(code: CodeType) -> CodeType:
    """Return the same code, and the same in it, whose names are all interned."""
    constants = tuple(_interned(each) if isinstance(each, CodeType) else each for each in code.co_consts)
    names: dict[str, Any] = {
        name: sys.intern(getattr(code, name)) for name in ("co_name", "co_qualname") if hasattr(code, name)
    }
    return code.replace(co_consts=constants, **names)


def main(file: str) -> None:
    """Compile what the file lists."""
    with open(file, "rb") as opened:  # noqa: PTH123 -- a path of the image is text here
        sources = json.load(opened)
    compiled = {path: byte_code(base64.b64decode(source), path) for path, source in sources.items()}
    json.dump({path: base64.b64encode(data).decode() for path, data in compiled.items()}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
