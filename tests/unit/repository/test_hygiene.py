"""The repository holds for every machine, and its documents speak of what exists."""

import configparser
import itertools
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import click
import pytest

from controller.api.load import load
from controller.cli.main import wsr

ROOT = Path(__file__).resolve().parents[3]
# Written apart, so that this file does not hold what it looks for.
PUBLIC_INDEXES = {"pypi" + ".org", "files.python" + "hosted.org"}
# Where every container has a folder, a checkout or a home may be too.
COMMON_PLACES = {"/", "/app", "/tmp", "/workspace"}  # noqa: S108
MACHINE_PLACES = {str(ROOT), str(Path.home()), "/" + "root", "/" + "work"} - COMMON_PLACES
DOCUMENTS = [
    "README.md",
    "CHANGELOG.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "docs/gate.md",
    "docs/releasing.md",
    "docs/migrating.md",
]
MACHINE_PATH = re.compile(rf"(?<![\w.$}}~-])(?:{'|'.join(map(re.escape, MACHINE_PLACES))})/\w")


def tracked() -> list[Path]:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        if path.name != "uv.lock":
            yield str(path.relative_to(ROOT)), path.read_text(errors="replace")


def indexes_of_this_machine() -> set[str]:
    urls = [value for name, value in os.environ.items() if re.match(r"(PIP|UV)_.*(INDEX|URL)", name)]
    for file in (Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"):
        config = configparser.ConfigParser(interpolation=None)
        config.read(file)
        urls += [value for section in config.values() for key, value in section.items() if "index-url" in key]
    return {host for url in urls for host in [urlsplit(url).hostname] if host}


def makefile_targets() -> dict[str, str]:
    return dict(re.findall(r"^([a-z-]+):.*## (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def shell_lines(document: str) -> list[list[str]]:
    text = (ROOT / document).read_text()
    blocks = re.findall(r"^```(?:sh|bash|console)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    whole = [block.replace("\\\n", " ") for block in blocks]  # a line may go on in the next one
    lines = [line.removeprefix("$ ") for block in whole for line in block.splitlines()]
    lines += re.findall(r"`(wsr [^`\n]+)`", text)
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def words_after(command: str, document: str) -> Iterator[list[str]]:
    """The arguments of each call of a command in a document, variables set in front of it left out."""
    for words in shell_lines(document):
        call = list(itertools.dropwhile(lambda word: re.fullmatch(r"[A-Z_]+=.*", word), words))
        if call and Path(call[0]).name == command:
            yield call[1:]


def test_no_file_names_a_place_of_one_machine() -> None:
    found = [(name, match.group()) for name, text in texts() for match in MACHINE_PATH.finditer(text)]
    assert found == []


def test_index_hosts_stand_in_the_lock_file_only() -> None:
    hosts = PUBLIC_INDEXES | indexes_of_this_machine()
    assert [(name, host) for name, text in texts() for host in hosts if host in text] == []


def test_scripts_can_be_run() -> None:
    # Golden texts are read and compared, not run.
    scripts = [path for path in tracked() if path.read_bytes()[:2] == b"#!" and "golden" not in path.parts]
    assert scripts
    assert [path for path in scripts if not os.access(path, os.X_OK)] == []


def test_every_target_says_what_it_does_and_stands_in_the_readme() -> None:
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert declared is not None
    assert set(declared.group(1).split()) == set(makefile_targets())
    readme = (ROOT / "README.md").read_text()
    assert [name for name in makefile_targets() if name != "help" and f"`make {name}`" not in readme] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_make_what_the_makefile_has(document: str) -> None:
    targets = {words[0] for words in words_after("make", document) if words}
    targets |= set(re.findall(r"`make ([a-z-]+)", (ROOT / document).read_text()))
    assert targets <= set(makefile_targets())


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_call_verbs_and_options_that_wsr_has(document: str) -> None:
    for call in words_after("wsr", document):
        verb: click.Command | None = wsr
        for word in call:
            if not isinstance(verb, click.Group):
                break
            verb = verb.get_command(click.Context(verb), word)
        assert verb is not None, call
        options = {option for parameter in verb.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in call if word.startswith("-")} <= options, call


def test_the_document_in_the_readme_is_a_valid_one() -> None:
    blocks = re.findall(
        r"^```yaml\n(.*?)^```", (ROOT / "README.md").read_text(), flags=re.MULTILINE | re.DOTALL
    )
    assert blocks
    for block in blocks:
        load(block, file="README.md")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", (ROOT / document).read_text())
    assert [link for link in links if not ((ROOT / document).parent / link).exists()] == []
