"""Secrets do not reach people's eyes, and ordinary words stay."""

import pytest

from controller.model.redaction import redact, secret_values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("fetch https://me:hush@index/simple failed", "fetch https://***@index/simple failed"),
        ("Authorization: Bearer abcdef.123456", "Authorization: Bearer ***"),
        ("Authorization: Basic bWU6aHVzaA==", "Authorization: Basic ***"),
        ("OPENAI_API_KEY=abc123", "OPENAI_API_KEY=***"),
        ('{"access_token": "abc123", "user": "me"}', '{"access_token": "***", "user": "me"}'),
        ("db_password: hush-hush", "db_password: ***"),
        ("used ghp_0123456789abcdef to push", "used *** to push"),
        ("key sk-proj-0123456789 is invalid", "key *** is invalid"),
        ("jwt eyJhbGciOiJI.eyJzdWIiOiIx.c2ln was refused", "jwt *** was refused"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "ModuleNotFoundError: No module named 'token_counter'",
        "the tokenizer took 3 tokens",
        "GET http://172.17.0.2:8000/runtime answered 503",
        "File main.py, line 3, in basic_setup",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert redact(text) == text


def test_known_values_are_masked_wherever_they_stand() -> None:
    known = secret_values(
        {"MODEL_API_KEY": "first-secret", "PYPI_TOKEN": "first-secret-longer", "NAME": "visible"}
    )
    assert redact("x first-secret-longer y first-secret z visible", known) == "x *** y *** z visible"


def test_values_too_short_to_be_secrets_do_not_blot_out_text() -> None:
    assert redact("a on b", secret_values({"MY_TOKEN": "on"})) == "a on b"
