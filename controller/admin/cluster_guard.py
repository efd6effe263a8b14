"""Who may call the admin endpoint of a cluster: whom the cluster knows by its token, and says that it may."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from controller.api.names import GROUP
from controller.clients.kube import KubeCluster, Resource

TOKEN_REVIEWS: Final = Resource("authentication.k8s.io/v1", "tokenreviews", "TokenReview")
ACCESS_REVIEWS: Final = Resource("authorization.k8s.io/v1", "subjectaccessreviews", "SubjectAccessReview")


@dataclass(frozen=True, slots=True)
class ClusterGuard:
    """Whoever the cluster knows by its token, and gives `verb` on workspaceruntimes in `namespace`, may."""

    cluster: KubeCluster
    namespace: str
    verb: str = "refresh"

    async def refusal(self, token: str) -> str | None:
        """See `Guard`. The token is sent to the API server and nowhere else."""
        asked = {"metadata": {}, "spec": {"token": token}}
        review = (await self.cluster.create(TOKEN_REVIEWS, None, asked)).get("status", {})
        if not review.get("authenticated"):
            return "The cluster does not know this token. Get one with: kubectl create token SERVICEACCOUNT"
        user = review["user"]
        told = (await self.cluster.create(ACCESS_REVIEWS, None, self._question(user))).get("status", {})
        if told.get("allowed"):
            return None
        return (
            f"{user['username']} may not {self.verb} workspaceruntimes.{GROUP} in namespace {self.namespace}."
            " Bind it the role for that."
        )

    def _question(self, user: dict[str, Any]) -> dict[str, Any]:
        attributes = {"group": GROUP, "resource": "workspaceruntimes", "verb": self.verb}
        who = {"user": user["username"], "uid": user.get("uid", ""), "groups": user.get("groups", [])}
        spec = {
            **who,
            "extra": user.get("extra", {}),
            "resourceAttributes": {**attributes, "namespace": self.namespace},
        }
        return {"metadata": {}, "spec": spec}
