"""Amounts of CPU and memory are read as Kubernetes reads them."""

import pytest

from controller.api.quantity import memory_bytes, nano_cpus


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("500m", 500_000_000),
        ("2", 2_000_000_000),
        (1, 1_000_000_000),
        (0.5, 500_000_000),
        ("1.5", 1_500_000_000),
    ],
)
def test_cpu_is_read_in_billionths(value: object, amount: int) -> None:
    assert nano_cpus(value) == amount


@pytest.mark.parametrize(
    ("value", "amount"),
    [
        ("512Mi", 512 << 20),
        ("1.5Gi", 3 << 29),
        ("100M", 100_000_000),
        (33_554_432, 32 << 20),
        ("64000k", 64_000_000),
    ],
)
def test_memory_is_read_in_bytes(value: object, amount: int) -> None:
    assert memory_bytes(value) == amount


@pytest.mark.parametrize("value", ["", "a lot", "1m", "0", "-1", "1 ", "5e2", True, None, "1Gi"])
def test_what_is_no_amount_of_cpu_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"must be an amount of CPU from 10m, such as 500m, 2 or 0\.5, got "):
        nano_cpus(value)


@pytest.mark.parametrize("value", ["", "512 Mi", "512MiB", "512m", "15Mi", 512, True, None, 5.5])
def test_what_is_no_amount_of_memory_is_refused(value: object) -> None:
    with pytest.raises(
        ValueError, match=r"must be an amount of memory from 16Mi, such as 512Mi or 2Gi, got "
    ):
        memory_bytes(value)
