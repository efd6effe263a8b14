"""Which containers belong together, and to which template."""

from controller.api.names import LABEL_REPLACES
from controller.model.container import ContainerState, ContainerSummary
from controller.model.create_spec import CreateRecord, RestartPolicy
from controller.plan.owners import template_of
from controller.plan.scrub import scrub
from controller.plan.units import Unit, find_unit

TEMPLATES = {"echo": "ghcr.io/acme/echo", "tools": "127.0.0.1:5000/tools"}


def one(name: str, *, replaces: str | None = None, ident: str | None = None) -> ContainerSummary:
    labels = {LABEL_REPLACES: replaces} if replaces else {}
    return ContainerSummary(ident or f"id-{name}", name, "i", "sha256:1", ContainerState.RUNNING, labels)


def test_a_successor_is_found_by_its_label_at_every_stage() -> None:
    old, new = one("ws-a", ident="x"), one("wsr-next-ws-a", replaces="x")
    assert find_unit("ws-a", [old, new]) == Unit("ws-a", old, new)
    prev = one("wsr-prev-ws-a", ident="x")
    assert find_unit("ws-a", [prev, new]) == Unit("ws-a", prev, new)
    taken_over = one("ws-a", replaces="x", ident="y")
    assert find_unit("ws-a", [prev, taken_over]) == Unit("ws-a", prev, taken_over)


def test_a_label_whose_old_container_is_gone_is_history() -> None:
    holder = one("ws-a", replaces="gone")
    assert find_unit("ws-a", [holder]) == Unit("ws-a", holder)


def test_a_foreign_holder_of_the_name_is_no_member() -> None:
    prev, new, foreign = (
        one("wsr-prev-ws-a", ident="x"),
        one("wsr-next-ws-a", replaces="x"),
        one("ws-a", ident="f"),
    )
    assert find_unit("ws-a", [prev, new, foreign]) == Unit("ws-a", prev, new, foreign=foreign)


def test_a_successor_whose_workspace_was_removed_is_shown_and_not_used() -> None:
    new = one("wsr-next-ws-a", replaces="gone")
    assert find_unit("ws-a", [new]) == Unit("ws-a", stranded=new)
    holder = one("ws-a", ident="made-anew")
    assert find_unit("ws-a", [new, holder]) == Unit("ws-a", holder, orphan=new)


def test_an_old_one_whose_successor_was_removed_is_shown() -> None:
    prev = one("wsr-prev-ws-a", ident="x")
    assert find_unit("ws-a", [prev]) == Unit("ws-a", stranded=prev)


def test_a_container_under_an_interim_name_without_our_label_is_no_successor() -> None:
    old, other = one("ws-a"), one("wsr-next-ws-a")
    assert find_unit("ws-a", [old, other]) == Unit("ws-a", old)


def test_a_template_owns_by_repository_whatever_tag_or_digest() -> None:
    for reference in (
        "ghcr.io/acme/echo:1",
        f"ghcr.io/acme/echo:1@sha256:{'0' * 64}",
        f"ghcr.io/acme/echo@sha256:{'0' * 64}",
    ):
        assert template_of(None, [reference], TEMPLATES) == ("echo", None)
    assert template_of(None, ["127.0.0.1:5000/tools"], TEMPLATES) == ("tools", None)
    assert template_of(None, ["docker.io/library/a:1"], {"a": "a"}) == ("a", None)


def test_a_template_does_not_own_by_a_part_of_the_name() -> None:
    for reference in ("ghcr.io/acme/echo2:1", "acme/echo:1", "other.io/ghcr.io/acme/echo:1"):
        template, reason = template_of(None, [reference], TEMPLATES)
        assert template is None
        assert reason is not None
        assert reference.rpartition(":")[0] in reason


def test_an_image_of_two_templates_is_nobodys() -> None:
    template, reason = template_of(None, ["ghcr.io/acme/echo:1", "127.0.0.1:5000/tools:1"], TEMPLATES)
    assert template is None
    assert reason == "Its image belongs to several templates: echo, tools."


def test_the_create_specification_goes_before_the_image() -> None:
    record = CreateRecord("tools", RestartPolicy())
    assert template_of(record, ["ghcr.io/acme/echo:1"], TEMPLATES) == ("tools", None)
    template, reason = template_of(CreateRecord("old", RestartPolicy()), ["ghcr.io/acme/echo:1"], TEMPLATES)
    assert template is None
    assert reason == "It was created for template old, which is not listed."


def test_log_lines_lose_secret_values_and_nothing_else() -> None:
    env = [
        "API_TOKEN=hunter2hunter2",
        "DB_URL=postgres://u:pw@db/x",
        "MODE=verbose",
        "PLATFORM_URL=http://platform:8",
        "KEY=ab",
    ]
    lines = [
        "token hunter2hunter2 rejected in verbose mode",
        "cannot reach postgres://u:pw@db/x",
        "http://me:secret@host/ answered",
        "Authorization: Bearer abc.def",
        "http://platform:8 is down; ab",
    ]
    assert scrub(lines, env) == (
        "token *** rejected in verbose mode",
        "cannot reach ***",
        "http://***@host/ answered",
        "Authorization: Bearer ***",
        "http://platform:8 is down; ab",
    )
