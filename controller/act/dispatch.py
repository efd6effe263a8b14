"""Tells whoever builds a template's image that a version is public, and records that it was done."""

from __future__ import annotations

from datetime import UTC, datetime

from controller.api.conditions import Reason
from controller.api.v1alpha1 import WorkspaceRuntime
from controller.clients.github import GitHub
from controller.clients.parts import Parts
from controller.model.errors import Terminal
from controller.model.plan import Dispatch
from controller.model.record import Dispatched
from controller.settings import read_token

EVENT = "runtime-published"


async def dispatch(parts: Parts, document: WorkspaceRuntime, action: Dispatch) -> str:
    """Send the event; whoever is killed before it is recorded sends it again, with the same correlation id.

    Raises:
        Terminal: there is no token, or GitHub refuses it or does not know the repository.
        Transient: GitHub cannot be reached or limits us.
    """
    template = next(each for each in document.spec.templates if each.name == action.template)
    payload = {
        "runtime_version": action.version,
        "wheel_sha256": action.wheel_sha256,
        "correlation_id": action.correlation_id,
    }
    secret = template.build.dispatch.token_secret_name if template.build.dispatch else None
    token = _token(parts, action, secret)
    async with GitHub(parts.settings.github.api_url, action.repository, token=token) as github:
        await github.dispatch(EVENT, payload)
    sent = Dispatched(correlation_id=action.correlation_id, sent_time=datetime.now(UTC))
    await parts.amend(action.version, lambda current: current.dispatched(action.template, sent))
    return f"{action.repository} was told (correlation id {action.correlation_id})"


def _token(parts: Parts, action: Dispatch, secret: str | None) -> str:
    if secret is not None:
        files = parts.settings.secret(secret)
        if "token" not in files:
            raise Terminal(
                "SecretIncomplete",
                f"Template {action.template}: Secret {secret} has no token.",
                fix=f"Write one there that may dispatch to {action.repository}.",
            )
        return read_token(files["token"])
    if parts.settings.dispatch_token is None:
        raise Terminal(
            Reason.CREDENTIALS_MISSING,
            f"Template {action.template}: there is no token to tell {action.repository} of {action.version} with.",
            fix="Name a Secret in build.dispatch.tokenSecretName, or set TEMPLATE_DISPATCH_TOKEN.",
        )
    return parts.settings.dispatch_token
