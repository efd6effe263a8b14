"""Every verb explains itself with an example, at once, and refuses wrong use with exit 2."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from controller.cli.main import VERBS

WSR = Path(sys.executable).parent / "wsr"
SLOW = ("aiohttp", "asyncio", "docker", "pydantic", "requests", "rich", "yaml")


def wsr(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(WSR), *arguments], capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help_with_an_example_of_itself(verb: str) -> None:
    help_ = wsr(verb, "--help")
    assert help_.returncode == 0
    example = help_.stdout.partition("Example: ")[2].partition("Options:")[0]
    assert f"wsr {verb} " in example


def test_the_help_of_all_lists_every_verb_and_the_exit_codes() -> None:
    help_ = wsr("--help")
    assert help_.returncode == 0
    assert "Exit codes: 0 done, 1 failed, 2 wrong use, 3 not yet." in help_.stdout
    assert [verb for verb in VERBS if f"\n  {verb} " not in help_.stdout] == []


@pytest.mark.parametrize("verb", ["", *sorted(VERBS)])
def test_help_imports_nothing_that_only_the_work_needs(verb: str) -> None:
    program = (
        "import sys\n"
        "from controller.cli.main import main\n"
        f"sys.argv = ['wsr', *{[verb] if verb else []!r}, '--help']\n"
        "try:\n    main()\nfinally:\n"
        "    print('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(SLOW) & set(done.stdout.splitlines()) == set()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rollout"], "No such command 'rollout'"),
        (["run"], "Missing option '-f' / '--file'"),
        (["plan"], "Only -f FILE can be previewed"),
        (
            ["status", "runtime", "-f", "x.yaml"],
            "-f names a document of this machine; NAME, -n and --context",
        ),
        (["resume", "-n", "agents", "-f", "x.yaml"], "Give one of the two."),
        (
            ["hold", "-f", "x.yaml", "--all"],
            "--all stands for all objects of a namespace or a cluster; leave it out with -f",
        ),
        (
            ["hold", "one", "two"],
            "two is a second object. A target is docker/HOST/CONTAINER or NAMESPACE/KIND/NAME.",
        ),
        (
            ["hold", "one", "--pin", "0.1.0"],
            "--pin goes with targets, and says why by itself: leave --reason out.",
        ),
        (["run", "-f", "x.yaml", "--fast"], "No such option '--fast'"),
        (["run", "-f", "x.yaml", "--wait", "10m"], "--until and --wait go with --once."),
        (
            ["run", "-f", "x.yaml", "--once", "--wait", "ten"],
            "'ten' is not a duration; write it like 90s, 10m or 1h.",
        ),
        (
            ["run", "-f", "x.yaml", "--listen", "here"],
            "'here' is not an address; write it like 8089 or 127.0.0.1:8089.",
        ),
        (["run", "-f", "x.yaml", "--listen", "::1:65536"], "'::1:65536' is not an address"),
        (["run", "-f", "x.yaml", "--once", "--until", "Ready"], "'Ready' is not one of"),
        (["plan", "-f", "x.yaml", "-o", "xml"], "'xml' is not one of"),
        (["why", "-f", "x.yaml"], "Missing argument 'TARGET'"),
        (["image", "-f", "x.yaml"], "Missing argument 'TEMPLATE'"),
        (["build", "--out", "x"], "Missing option '--version'"),
        (
            ["run", "-f", "absent.yaml", "--once"],
            "absent.yaml: there is no such file.\nName the document with -f FILE.\n",
        ),
    ],
)
def test_wrong_use_ends_with_2_and_says_what_is_wrong(arguments: list[str], words: str) -> None:
    refused = wsr(*arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert words in refused.stderr


def test_the_version_is_the_one_installed() -> None:
    assert wsr("--version").stdout == f"wsr, version {version('workspace-runtime-controller')}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Missing option '--namespace'"),
        (
            ["--namespace", "x", "--listen", "here"],
            "'here' is not an address; write it like 8089 or 127.0.0.1:8089.",
        ),
    ],
)
def test_wrong_use_of_the_operator_is_refused_in_words(arguments: list[str], words: str) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "controller", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.returncode == 2
    assert words in refused.stderr
    assert "Traceback" not in refused.stderr
