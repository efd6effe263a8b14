"""Why a template has no image, and who can do something about it: its keeper, the registry's, or time."""

from pathlib import Path

import pytest

from controller.clients.template_failure import failure_of
from controller.model.errors import Terminal, Transient

LOG = Path("/state/cascade/x/out")


def failed(reason: str, message: str) -> Terminal:
    cause = failure_of("echo", {"reason": reason, "message": message, "transient": False}, log=LOG)
    assert isinstance(cause, Terminal)
    return cause


def test_what_the_template_has_wrong_is_for_its_keeper() -> None:
    cause = failed("BuildFailed", "pip found nothing.")
    assert cause.reason == "BuildFailed"
    assert str(cause) == (
        "Template echo: pip found nothing. Correct the template; the whole log is in /state/cascade/x/out."
    )


def test_a_full_build_where_none_can_be_made_is_forbidden_and_no_fault_of_the_template() -> None:
    cause = failed(
        "FullBuildNeeded", "r.example/echo:full-1 has to be built from /t, and there is no engine."
    )
    assert cause.reason == "BuildForbidden"
    assert str(cause) == (
        "Template echo: r.example/echo:full-1 has to be built from /t, and there is no engine. Set fullBuilds.enabled in the"
        " operator's chart. Build it where there is a Docker Engine (wsr run with the same registry.artifacts), or let its own repository do it with strategy Dispatch."
    )


def test_a_node_that_lets_no_user_namespace_be_made_is_told_with_what_to_allow() -> None:
    cause = failed("BuildForbidden", "Error during unshare(CLONE_NEWUSER): Operation not permitted")
    assert cause.reason == "BuildForbidden"
    assert str(cause) == (
        "Template echo: It has to be built in full, and the node lets no user namespace be made: Error during"
        " unshare(CLONE_NEWUSER): Operation not permitted. Allow it on the nodes: a seccomp profile that lets unshare pass"
        " (fullBuilds.seccompProfile of the chart), and a kernel with user namespaces for everybody. Build it where there is a"
        " Docker Engine (wsr run with the same registry.artifacts), or let its own repository do it with strategy Dispatch."
    )


def test_a_base_that_its_registry_refuses_is_for_whoever_wrote_from() -> None:
    cause = failed(
        "BaseUnavailable", "Its base r.example/python:3 cannot be had: r.example has no such manifest."
    )
    assert cause.reason == "BuildFailed"
    assert str(cause) == (
        "Template echo: Its base r.example/python:3 cannot be had: r.example has no such manifest. Correct FROM in the template's"
        " Dockerfile, or its argument in build.args, or name a Secret that may read it in registry.pullSecretName."
    )


def test_credentials_that_a_registry_does_not_take_are_named_with_the_place_to_set_them() -> None:
    said = "The credentials for r.example are missing, wrong or not allowed to do this."
    cause = failed("RegistryUnauthorized", said)
    assert cause.reason == "CredentialsMissing"
    assert str(cause) == (
        f"Template echo: {said} Name a Secret in registry.pushSecretName (to read: pullSecretName), or run docker"
        " login for this registry."
    )


@pytest.mark.parametrize("reason", ["RegistryRefused", "RegistryCorrupt", "RegistryNotFound"])
def test_what_else_a_registry_refuses_is_not_the_template_s_fault(reason: str) -> None:
    cause = failed(reason, "r.example answered 400 to PUT r.example/echo:x.")
    assert cause.reason == "RegistryRefused"
    assert str(cause) == (
        "Template echo: r.example answered 400 to PUT r.example/echo:x. Check the registry's address and its log."
    )


@pytest.mark.parametrize("after", [None, 7.0])
def test_what_passes_by_itself_is_tried_again_when_it_was_said_to_be_over(after: float | None) -> None:
    error = {"reason": "RegistryReadOnly", "message": "r.example takes no writes.", "transient": True}
    cause = failure_of("echo", error | ({"retryAfterSeconds": after} if after else {}), log=LOG)
    assert isinstance(cause, Transient)
    assert (str(cause), cause.retry_after) == ("Template echo: r.example takes no writes.", after)
