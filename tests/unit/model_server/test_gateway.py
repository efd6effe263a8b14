"""The address of a network's host side is found in each way that engines describe it."""

from typing import Any

import pytest

from controller.clients.stand_in import gateway_of
from controller.model.errors import NotFound


@pytest.mark.parametrize(
    ("configs", "address"),
    [
        ([{"Subnet": "172.20.0.0/16", "Gateway": "172.20.0.9"}], "172.20.0.9"),
        ([{"Subnet": "172.20.0.0/16"}], "172.20.0.1"),
        ([{"Subnet": "fd00::/64", "Gateway": "fd00::1"}, {"Subnet": "10.1.2.0/24"}], "10.1.2.1"),
    ],
)
def test_the_gateway_is_named_or_the_first_address(configs: list[dict[str, str]], address: str) -> None:
    assert gateway_of({"Name": "n", "IPAM": {"Config": configs}}) == address


@pytest.mark.parametrize("configs", [None, [], [{"Subnet": "fd00::/64"}]])
def test_a_network_without_an_ipv4_address_is_told(configs: Any) -> None:  # noqa: ANN401 -- what an engine may answer
    with pytest.raises(NotFound, match="Network n has no IPv4 address"):
        gateway_of({"Name": "n", "IPAM": {"Config": configs}})
