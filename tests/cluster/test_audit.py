"""The audit log tells what an account asked for, what it may not, and nothing of others."""

import json
import ssl
import urllib.error
import urllib.request

from tests.cluster.audit import Right, asked, granted
from tests.cluster.cluster import Cluster


def test_what_an_account_asks_for_is_recorded_whether_it_may_or_not(cluster: Cluster, namespace: str) -> None:
    cluster.kubectl("-n", namespace, "create", "serviceaccount", "it")
    cluster.kubectl("-n", namespace, "create", "role", "it", "--verb=get,list", "--resource=configmaps")
    cluster.kubectl(
        "-n", namespace, "create", "rolebinding", "it", "--role=it", f"--serviceaccount={namespace}:it"
    )
    token = cluster.kubectl("-n", namespace, "create", "token", "it").stdout.strip()

    def ask(path: str) -> int:
        request = urllib.request.Request(  # noqa: S310 -- the URL is https
            f"{cluster.api.url}/{path}", headers={"Authorization": f"Bearer {token}"}
        )
        context = ssl.create_default_context(cafile=str(cluster.api.ca_file))
        try:
            return int(urllib.request.urlopen(request, timeout=5, context=context).status)  # noqa: S310 -- the same
        except urllib.error.HTTPError as error:
            return error.code

    below = f"api/v1/namespaces/{namespace}"
    answers = [ask(f"{below}/{what}") for what in ("configmaps", "secrets", "pods/it/log")]
    assert answers == [200, 403, 403]
    assert ask("version") == 200
    seen = {(str(each.right), each.namespace, each.allowed) for each in asked(cluster, "it", namespace)}
    assert seen == {
        ("list configmaps", namespace, True),
        ("list secrets", namespace, False),
        ("get pods/log", namespace, False),
    }
    role = json.loads(cluster.kubectl("-n", namespace, "get", "role", "it", "-o", "json").stdout)
    used = {each.right for each in asked(cluster, "it", namespace) if each.allowed}
    assert granted([role]) - used == {Right("", "configmaps", "get")}
