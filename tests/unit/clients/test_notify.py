"""Which addresses a notice may go to, and which names are found on the way: none that leads inside of a network."""

import socket
from typing import Any

import pytest

from controller.clients.notifications import check
from controller.clients.notify import guarded
from controller.model.errors import Terminal


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fd00::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "224.0.0.1",
        "0.0.0.0",  # noqa: S104 -- an address that leads to this machine
    ],
)
def test_a_name_that_means_an_address_inside_is_not_found(address: str) -> None:
    def look_up(*_: object) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443))]

    with pytest.raises(socket.gaierror):
        guarded((), look_up)("hooks.example", 443)
    assert guarded({"hooks.example"}, look_up)("hooks.example", 443)


def test_of_a_name_with_addresses_inside_and_outside_only_those_outside_are_found() -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 443)) for each in ("10.0.0.1", "1.1.1.1")]
    assert guarded((), lambda *_: answers)("hooks.example", 443) == answers[1:]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (
            "json://hooks.example/x",
            "The key url of Secret chat is not one address of a service that is allowed.",
        ),
        (
            "https://hooks.example/x",
            "The key url of Secret chat is not one address of a service that is allowed.",
        ),
        (
            "jsons://hooks.example/x, json://10.0.0.1/y",
            "The key url of Secret chat is not one address of a service that is allowed.",
        ),
        ("syslog://", "The key url of Secret chat is not one address of a service that is allowed."),
        ("", "The key url of Secret chat is not one address of a service that is allowed."),
        (
            "slack://a/b/c?template=/etc/passwd",
            "The key url of Secret chat has options after a ? or #, which could name files and other hosts.",
        ),
    ],
)
def test_an_address_of_another_service_or_with_options_is_refused_and_not_repeated(
    url: str, words: str
) -> None:
    with pytest.raises(Terminal) as refused:
        check(url, "chat")
    assert (refused.value.reason, refused.value.message) == ("SecretIncomplete", words)
    assert "passwd" not in str(refused.value)
    check("jsons://hooks.example/x", "chat")
