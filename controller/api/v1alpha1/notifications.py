"""Who is told when something becomes of an object."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from controller.api.v1alpha1._base import Distinct, Document, SecretName


class Notification(Document):
    """Where people are told of the object, and of what."""

    secret_name: SecretName
    """The Secret (purpose `notification`) with the address in its key `url`, as docs/notifications.md says. What cannot be
    delivered is tried again for an hour, and nothing waits for it."""
    on: Annotated[
        list[Literal["Held", "Blocked", "Stalled", "Done"]], Field(min_length=1, max_length=4), Distinct
    ] = ["Held", "Blocked", "Stalled", "Done"]
    """Held: a person or a guard said stop, or the version failed. Blocked: something could not be read for five minutes.
    Stalled: nothing moves until someone changes something. Done: everything asked for is true."""
