"""The only place that reads the environment, once, at start: everything else is given what it needs.

A value that is read in two places ends up with two meanings; a test greps that no other module reads it.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from controller import variables
from controller.model.errors import Terminal
from controller.secret_files import BasicCredentials, content_of, read_secret, read_token
from controller.variables import GitHubPlace, IdentityIssuer

_OUR_SECRETS: Final = (
    "PYPI_TOKEN",
    "GHCR_USER",
    "GHCR_TOKEN",
    "TEMPLATE_DISPATCH_TOKEN",
    "WSR_ADMIN_TOKEN",
    "WSR_RELEASE_TOKEN",
    "WSR_HOOK_SECRET",
    "GITHUB_TOKEN",
    "ACTIONS_ID_TOKEN_REQUEST_URL",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
)
"""Never passed on to child processes: each run is given the files that it needs, no more."""
SHARED_SECRET_CHARACTERS: Final = 16
INDEX_CREDENTIALS: Final = "spec.package.index.credentialsSecretName"
INDEX_CA: Final = "spec.package.index.caSecretName"
REGISTRY_CA: Final = "spec.registry.caSecretName"
SIGNING_KEY: Final = "spec.package.signing.keySecretName"
"""Fields of the document that name Secrets which are read in more than one place."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says."""

    state_dir: Path
    """Where the standalone state lives."""
    docker_host: str
    """The engine's address, as `unix:///var/run/docker.sock`."""
    docker_config: Path
    """The docker configuration file with registry credentials; it need not exist."""
    secrets_dir: Path | None = None
    pypi_token: str | None = field(default=None, repr=False)
    identity: IdentityIssuer | None = None
    """Where there is one, an upload without other credentials is that of a trusted publisher."""
    ghcr: BasicCredentials | None = None
    """Credentials for ghcr.io; None is anonymous."""
    github: GitHubPlace = field(default_factory=GitHubPlace)
    hook_secret: str | None = field(default=None, repr=False)
    """What callers of hooks must know, where Secret `hooks` does not say it."""
    admin_token: str | None = field(default=None, repr=False)
    """What callers of the admin endpoint of `wsr run --listen` must show; None: nobody may."""
    dispatch_token: str | None = field(default=None, repr=False)
    """Tells template repositories of a version, where no Secret is named."""
    kubeconfig: Path | None = None
    """How the cluster is reached whose workloads are targets; it need not exist."""
    workspace_url: str | None = None
    """Where the workspace in a pod is asked, with `{namespace}`, `{pod}`, `{podIP}` and `{port}`; None: at the pod's address."""
    exec_in_pods: bool = False
    """Whether a workspace in a pod that does not answer is asked by a command in it."""
    patch_pods: bool = False
    """Whether the image of a running pod may be changed, in place of making the pod anew."""
    operator_image: str | None = None
    """The operator's own image: in a cluster the stand-in model beside a candidate runs from it."""
    probe_callers: Sequence[Mapping[str, Any]] | None = None
    """The peers of a NetworkPolicy from which the operator asks candidates; None: any."""
    notification_hosts: frozenset[str] | None = None
    """Hosts that notifications may lead to wherever they are, all others being in the internet; None: all may be anywhere."""
    image_platform: str | None = None
    on_arm64_mac: bool = False
    child_environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What child processes inherit: everything but our own secrets."""

    @classmethod
    def from_environment(
        cls,
        environment: Mapping[str, str],
        *,
        secrets_dir: Path | None = None,
        state_dir: Path | None = None,
    ) -> Self:
        """Read the settings; `secrets_dir` and `state_dir` are the options of the same meaning and win.

        An empty variable counts as absent, as compose files and CI systems write it.

        Raises:
            Terminal: a variable that contradicts another or has no valid value; it is named, with the cure.
        """
        given = {name: value for name, value in environment.items() if value}
        secrets = given.get("WSR_SECRETS_DIR")
        docker_config = given.get("DOCKER_CONFIG")
        return cls(
            state_dir=state_dir or variables.state_dir(given),
            secrets_dir=secrets_dir or (Path(secrets) if secrets else None),
            pypi_token=given.get("PYPI_TOKEN"),
            identity=variables.identity(given),
            ghcr=variables.ghcr(given),
            github=variables.github(given),
            hook_secret=given.get("WSR_HOOK_SECRET"),
            admin_token=given.get("WSR_ADMIN_TOKEN"),
            dispatch_token=given.get("TEMPLATE_DISPATCH_TOKEN"),
            kubeconfig=variables.kubeconfig(given),
            workspace_url=given.get("WSR_WORKSPACE_URL"),
            exec_in_pods=variables.switch(given, "WSR_EXEC"),
            patch_pods=variables.switch(given, "WSR_PATCH_PODS"),
            operator_image=given.get("WSR_OPERATOR_IMAGE"),
            probe_callers=variables.peers(given),
            notification_hosts=variables.hosts(given, "WSR_NOTIFICATION_HOSTS"),
            image_platform=variables.image_platform(given),
            on_arm64_mac=(platform.system(), platform.machine()) == ("Darwin", "arm64"),
            docker_host=given.get("DOCKER_HOST", "unix:///var/run/docker.sock"),
            docker_config=(Path(docker_config) if docker_config else variables.home(given) / ".docker")
            / "config.json",
            child_environment={
                name: value for name, value in environment.items() if name not in _OUR_SECRETS
            },
        )

    @classmethod
    def of_process(cls, *, secrets_dir: Path | None = None, state_dir: Path | None = None) -> Self:
        """Read the settings from this process's environment; see `from_environment`."""
        return cls.from_environment(os.environ, secrets_dir=secrets_dir, state_dir=state_dir)

    def platforms_for(
        self, template: Sequence[str] | None, *, engine: str
    ) -> tuple[str | None, tuple[str, ...]]:
        """Return the platform to pull, build and boot a template for, and the further ones of its image.

        MOLECULE_IMAGE_PLATFORM wins and is the only one. Of the template's own it is that of the `engine`, else the
        first. Where neither says anything it is None, the engine's own, but linux/amd64 on arm64 Macs, where templates
        are rarely built for arm64.
        """
        if self.image_platform:
            return self.image_platform, ()
        if not template:
            return "linux/amd64" if self.on_arm64_mac else None, ()
        own = next((one for one in template if f"{one}/".startswith(f"{engine}/")), template[0])
        return own, tuple(sorted(one for one in template if one != own))

    def secret_of_hooks(self) -> str:
        """Return what callers of hooks must know: the key `token` of Secret `hooks`, else WSR_HOOK_SECRET.

        Raises:
            Terminal: there is none, for there is no open mode; it is too short; or as `secret`.
        """
        found = self._hooks_token() or self.hook_secret
        if found is None:
            raise Terminal(
                "SecretNotFound",
                "There is no shared secret for hooks, and without one everybody could call them.",
                fix="Write it into the file hooks/token of the folder of Secrets, readable only by you, or set"
                " WSR_HOOK_SECRET.",
            )
        return _long_enough(found, "The shared secret for hooks")

    def secret_of_admin(self) -> str | None:
        """Return what callers of the admin endpoint must show, from WSR_ADMIN_TOKEN; None: nobody may call it.

        Raises:
            Terminal: it is too short.
        """
        return None if self.admin_token is None else _long_enough(self.admin_token, "WSR_ADMIN_TOKEN")

    def _hooks_token(self) -> str | None:
        if self.secrets_dir is None or not (self.secrets_dir / "hooks").is_dir():
            return None
        token = self.secret("hooks", field="--listen").get("token")
        return (content_of(token) or None) if token is not None else None

    def secret(self, name: str, *, field: str) -> Mapping[str, Path]:
        """Return the files of the Secret that `field` of the document names; see `read_secret`."""
        return read_secret(self.secrets_dir, name, field=field)

    def token(self, name: str, *, field: str, cure: str) -> str:
        """Return the key `token` of the Secret that `field` of the document names; `cure` says what to write there.

        Raises:
            Terminal: SecretIncomplete when it is not there or empty; and as `read_secret`.
        """
        files = self.secret(name, field=field)
        if "token" not in files:
            raise Terminal("SecretIncomplete", f"{field} names Secret {name}, which has no token.", fix=cure)
        return read_token(files["token"])

    def ca_file(self, name: str | None, *, field: str) -> Path | None:
        """Return the file `ca.crt` of the Secret that `field` of the document names; None where it names none.

        Raises:
            Terminal: SecretIncomplete when it is not there; and as `read_secret`.
        """
        if name is None:
            return None
        found = self.secret(name, field=field).get("ca.crt")
        if found is None:
            raise Terminal(
                "SecretIncomplete",
                f"{field} names Secret {name}, which has no ca.crt.",
                fix="Write there the PEM certificate of the authority that signed the server's.",
            )
        return found


def _long_enough(secret: str, what: str) -> str:
    if len(secret) < SHARED_SECRET_CHARACTERS:
        raise Terminal(
            "SecretIncomplete",
            f"{what} has less than {SHARED_SECRET_CHARACTERS} characters, so it could be guessed.",
            fix="Make one with: openssl rand -hex 32",
        )
    return secret
