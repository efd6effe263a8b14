"""Tells whoever builds a template's image that a version is public, and records that it was done."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.github import GitHub
from controller.clients.parts import Parts
from controller.model.actions import Dispatch
from controller.model.errors import Terminal
from controller.model.record import Dispatched
from controller.settings import Settings

EVENT = "runtime-published"


async def dispatch(parts: Parts, document: WorkspaceRuntime, action: Dispatch) -> str:
    """Send the event; whoever is killed before it is recorded sends it again, with the same correlation id.

    Raises:
        Terminal: there is no token, or GitHub refuses it or does not know the repository.
        Transient: GitHub cannot be reached or limits us.
    """
    payload = {
        "runtime_version": action.version,
        "wheel_sha256": action.wheel_sha256,
        "correlation_id": action.correlation_id,
    }
    token = dispatch_token(document, action.template, action.version, parts.settings)
    async with GitHub(parts.settings.github.api_url, action.repository, token=token) as github:
        await github.dispatch(EVENT, payload)
    sent = Dispatched(correlation_id=action.correlation_id, sent_time=datetime.now(UTC))
    await parts.amend(action.version, lambda current: current.dispatched(action.template, sent))
    return f"{action.repository} was told (correlation id {action.correlation_id})"


def dispatch_token(document: WorkspaceRuntime, name: str, version: str, settings: Settings) -> str:
    """Return what may tell the repository of the template with this name of `version`.

    Raises:
        Terminal: CredentialsMissing when there is none; SecretNotFound, SecretIncomplete or SecretExposed.
    """
    number, dispatch = next(
        (number, each.build.dispatch)
        for number, each in enumerate(document.spec.templates)
        if each.name == name
    )
    secret, repository = (dispatch.token_secret_name, dispatch.repository) if dispatch else (None, "")
    if secret is not None:
        field = f"spec.templates[{number}].build.dispatch.tokenSecretName"
        cure = f"Write one there that may dispatch to {repository}."
        return settings.token(secret, field=field, cure=cure)
    if settings.dispatch_token is None:
        raise Terminal(
            Reason.CREDENTIALS_MISSING,
            f"Template {name}: there is no token to tell {repository} of {version} with.",
            fix="Name a Secret in build.dispatch.tokenSecretName, or set TEMPLATE_DISPATCH_TOKEN.",
        )
    return settings.dispatch_token
