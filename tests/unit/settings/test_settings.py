"""The environment is read in one place, and what contradicts itself there is refused by name."""

import ast
from pathlib import Path

import pytest

from controller.model.errors import Terminal
from controller.secret_files import BasicCredentials, read_token
from controller.settings import Settings
from controller.variables import GitHubPlace, IdentityIssuer

HOME = {"HOME": "/home/me"}
SECRETS = {"GHCR_USER": "me", "GHCR_TOKEN": "hush", "PYPI_TOKEN": "quiet"}
ROOT = Path(__file__).resolve().parents[3]


def settings(**environment: str) -> Settings:
    return Settings.from_environment({**HOME, **environment})


def test_nothing_set_means_anonymous_and_the_usual_places() -> None:
    found = settings()
    assert (found.ghcr, found.pypi_token, found.secrets_dir, found.image_platform) == (None, None, None, None)
    assert found.docker_host == "unix:///var/run/docker.sock"
    assert found.docker_config == Path("/home/me/.docker/config.json")
    assert found.state_dir == Path("/home/me/.local/state/wsr")


def test_the_token_that_tells_templates_is_read_and_passed_on_to_no_child() -> None:
    word = "a token"
    found = settings(TEMPLATE_DISPATCH_TOKEN=word)
    assert found.dispatch_token == word
    assert "TEMPLATE_DISPATCH_TOKEN" not in found.child_environment
    assert word not in repr(found)
    assert settings(TEMPLATE_DISPATCH_TOKEN="").dispatch_token is None


def test_the_way_to_a_cluster_is_kubeconfig_else_the_usual_file() -> None:
    assert settings().kubeconfig == Path("/home/me/.kube/config")
    assert settings(KUBECONFIG="/one:/two").kubeconfig == Path("/one")
    nowhere = Settings.from_environment({"WSR_STATE_DIR": "/s", "DOCKER_CONFIG": "/d"})
    assert (nowhere.kubeconfig, nowhere.workspace_url) == (None, None)
    url = "http://{podIP}:{port}"
    assert settings(WSR_WORKSPACE_URL=url).workspace_url == url


def test_commands_in_pods_are_off_unless_they_are_switched_on() -> None:
    assert [settings().patch_pods, settings(WSR_PATCH_PODS="on").patch_pods] == [False, True]
    assert [settings().exec_in_pods, *(settings(WSR_EXEC=word).exec_in_pods for word in ("on", "off"))] == [
        False,
        True,
        False,
    ]
    with pytest.raises(Terminal) as caught:
        settings(WSR_EXEC="yes")
    assert str(caught.value) == "WSR_EXEC is 'yes'. Write on or off."


def test_who_may_ask_candidates_is_a_list_of_peers_or_refused() -> None:
    assert (settings().probe_callers, settings().operator_image) == (None, None)
    found = settings(
        WSR_PROBE_CALLERS='[{"podSelector": {}}]', WSR_OPERATOR_IMAGE="registry.example/operator:1"
    )
    assert (found.probe_callers, found.operator_image) == (
        [{"podSelector": {}}],
        "registry.example/operator:1",
    )
    for wrong in ("operator", "{}", "[]", "[1]"):
        with pytest.raises(Terminal) as caught:
            settings(WSR_PROBE_CALLERS=wrong)
        assert str(caught.value) == (
            f"WSR_PROBE_CALLERS is {wrong!r}, which is no list of the peers of a NetworkPolicy. Write it as JSON, for example "
            '[{"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "operator"}}}].'
        )


def test_an_empty_variable_counts_as_absent() -> None:
    found = settings(GHCR_USER="", GHCR_TOKEN="", PYPI_TOKEN="", WSR_STATE_DIR="", DOCKER_HOST="")
    assert (found.ghcr, found.pypi_token) == (None, None)
    assert (found.state_dir, found.docker_host) == (settings().state_dir, settings().docker_host)


@pytest.mark.parametrize(("given", "absent"), [("GHCR_USER", "GHCR_TOKEN"), ("GHCR_TOKEN", "GHCR_USER")])
def test_half_of_the_ghcr_credentials_is_refused_naming_the_other_half(given: str, absent: str) -> None:
    with pytest.raises(Terminal) as caught:
        settings(**{given: "x"})
    assert str(caught.value) == (
        f"{given} is set, but {absent} is not. "
        f"Set {absent} as well, or unset {given} for anonymous access to ghcr.io."
    )


def test_both_ghcr_variables_make_credentials_that_do_not_print() -> None:
    found = settings(**SECRETS, OTHER="loud")
    assert found.ghcr == BasicCredentials("me", "hush")
    shown = repr(found)
    assert "hush" not in shown
    assert "quiet" not in shown
    assert "loud" not in shown


def test_github_is_the_public_one_unless_the_runner_says_otherwise() -> None:
    assert settings().github == GitHubPlace("https://api.github.com", "https://github.com", None, None, None)
    given = {
        "GITHUB_API_URL": "https://git.example/api/v3/",
        "GITHUB_SERVER_URL": "https://git.example/",
        "GITHUB_REPOSITORY": "team/runtime",
        "GITHUB_TOKEN": "hush",
        "WSR_RELEASE_TOKEN": "quiet",
    }
    found = settings(**given).github
    assert found == GitHubPlace(
        "https://git.example/api/v3", "https://git.example", "team/runtime", "hush", "quiet"
    )
    assert "hush" not in repr(found)
    assert "quiet" not in repr(found)


def test_a_token_is_read_from_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(" hush\n")
    file.chmod(0o600)
    assert read_token(file) == "hush"


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        ("hush", 0o640, "{file} is accessible to others (mode 0640). Run: chmod 600 {file}"),
        ("\n", 0o600, "{file} is empty. Write the token there."),
        (None, 0o600, "{file} is no file. Write the token there, readable only by you."),
    ],
)
def test_a_token_file_that_gives_no_secret_is_refused(
    tmp_path: Path, content: str | None, mode: int, words: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
        file.chmod(mode)
    with pytest.raises(Terminal) as caught:
        read_token(file)
    assert str(caught.value) == words.format(file=file)


def test_child_processes_inherit_everything_but_our_secrets() -> None:
    others = {
        "TEMPLATE_DISPATCH_TOKEN": "x",
        "WSR_ADMIN_TOKEN": "y",
        "WSR_RELEASE_TOKEN": "z",
        "GITHUB_TOKEN": "g",
        "ACTIONS_ID_TOKEN_REQUEST_URL": "https://ci.example/idtoken",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "a",
    }
    found = settings(**SECRETS, **others, SSL_CERT_FILE="/ca.pem")
    assert found.child_environment == {**HOME, "SSL_CERT_FILE": "/ca.pem"}


def test_a_job_that_may_ask_for_identities_has_an_address_and_a_token_for_it() -> None:
    url, token = (
        {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://ci.example/idtoken"},
        {"ACTIONS_ID_TOKEN_REQUEST_TOKEN": "hush"},
    )
    assert settings(**url, **token).identity == IdentityIssuer("https://ci.example/idtoken", "hush")
    assert [settings(**given).identity for given in ({}, url, token)] == [None] * 3
    assert "hush" not in repr(settings(**url, **token))


def test_the_state_folder_follows_option_variable_xdg_and_home_in_this_order(tmp_path: Path) -> None:
    assert settings(XDG_STATE_HOME="/xdg").state_dir == Path("/xdg/wsr")
    assert settings(XDG_STATE_HOME="relative").state_dir == Path("/home/me/.local/state/wsr")
    assert settings(XDG_STATE_HOME="/xdg", WSR_STATE_DIR="/own").state_dir == Path("/own")
    environment = {**HOME, "WSR_STATE_DIR": "/own", "WSR_SECRETS_DIR": "/secrets"}
    options = Settings.from_environment(environment, state_dir=tmp_path, secrets_dir=tmp_path / "s")
    assert (options.state_dir, options.secrets_dir) == (tmp_path, tmp_path / "s")


def test_without_a_home_the_message_says_what_to_set() -> None:
    with pytest.raises(
        Terminal, match=r"HOME is not set.*Set HOME, or both WSR_STATE_DIR and DOCKER_CONFIG\."
    ):
        Settings.from_environment({})
    assert Settings.from_environment({"WSR_STATE_DIR": "/s", "DOCKER_CONFIG": "/d"}).docker_config == Path(
        "/d/config.json"
    )


def test_the_platform_is_the_variables_then_the_templates_then_amd64_on_arm_macs() -> None:
    template = ["linux/arm64"]
    named = settings(MOLECULE_IMAGE_PLATFORM="linux/amd64")
    assert named.platforms_for(template, engine="") == ("linux/amd64", ())
    assert settings().platforms_for(template, engine="") == ("linux/arm64", ())
    mac = Settings(Path("/s"), "unix:///x", Path("/d"), on_arm64_mac=True)
    assert mac.platforms_for(None, engine="") == ("linux/amd64", ())
    assert mac.platforms_for(template, engine="") == ("linux/arm64", ())
    elsewhere = Settings(Path("/s"), "unix:///x", Path("/d"))
    assert elsewhere.platforms_for(None, engine="") == (None, ())


@pytest.mark.parametrize(
    ("engine", "expected"),
    [
        ("linux/amd64", ("linux/amd64", ("linux/arm/v7", "linux/arm64"))),
        ("linux/arm64", ("linux/arm64", ("linux/amd64", "linux/arm/v7"))),
        ("linux/arm", ("linux/arm/v7", ("linux/amd64", "linux/arm64"))),
        ("linux/s390x", ("linux/arm64", ("linux/amd64", "linux/arm/v7"))),
    ],
)
def test_of_several_platforms_the_engines_own_is_built_and_booted(
    engine: str, expected: tuple[str, tuple[str, ...]]
) -> None:
    template = ["linux/arm64", "linux/amd64", "linux/arm/v7"]
    assert settings().platforms_for(template, engine=engine) == expected
    alone = settings(MOLECULE_IMAGE_PLATFORM="linux/arm64").platforms_for(template, engine=engine)
    assert alone == ("linux/arm64", ())


def test_a_platform_that_is_none_is_refused() -> None:
    with pytest.raises(Terminal, match="MOLECULE_IMAGE_PLATFORM is 'amd64', which is no platform"):
        settings(MOLECULE_IMAGE_PLATFORM="amd64")


def test_no_other_module_reads_the_environment() -> None:
    readers = [
        path.relative_to(ROOT).as_posix()
        for path in sorted((ROOT / "controller").rglob("*.py"))
        if _reads_environment(ast.parse(path.read_text()))
    ]
    # A builder run that was begun in advance is given its environment there: it sets it, and reads none.
    assert readers == ["controller/clients/leashed.py", "controller/settings.py"]


def _reads_environment(tree: ast.Module) -> bool:
    words = {"environ", "environb", "getenv", "expanduser", "expandvars"}
    return any(
        (isinstance(node, ast.Attribute) and node.attr in words)
        or (isinstance(node, ast.ImportFrom) and node.module == "os" and {a.name for a in node.names} & words)
        for node in ast.walk(tree)
    )


def test_the_secret_of_hooks_is_that_of_the_secret_folder_else_of_the_environment(tmp_path: Path) -> None:
    environment = {"WSR_HOOK_SECRET": "known to the environment", "WSR_SECRETS_DIR": str(tmp_path)}
    made = settings(**environment)
    assert made.secret_of_hooks() == "known to the environment"
    assert "known to the environment" not in repr(made)
    assert "WSR_HOOK_SECRET" not in made.child_environment
    token = tmp_path / "hooks" / "token"
    token.parent.mkdir()
    token.touch(mode=0o600)
    token.write_text("known to the folder\n")
    assert made.secret_of_hooks() == "known to the folder"
    token.chmod(0o644)
    with pytest.raises(Terminal, match="accessible to others"):
        made.secret_of_hooks()


def test_a_secret_of_hooks_that_could_be_guessed_is_refused() -> None:
    with pytest.raises(Terminal) as caught:
        settings(WSR_HOOK_SECRET="x" * 15).secret_of_hooks()
    assert (caught.value.reason, str(caught.value)) == (
        "SecretIncomplete",
        (
            "The shared secret for hooks has less than 16 characters, so it could be guessed. "
            "Make one with: openssl rand -hex 32"
        ),
    )
    assert settings(WSR_HOOK_SECRET="x" * 16).secret_of_hooks() == "x" * 16


def test_hooks_without_a_secret_are_refused_with_the_cure() -> None:
    with pytest.raises(Terminal) as caught:
        settings().secret_of_hooks()
    assert str(caught.value) == (
        "There is no shared secret for hooks, and without one everybody could call them. "
        "Write it into the file hooks/token of the folder of Secrets, readable only by you, or set WSR_HOOK_SECRET."
    )
