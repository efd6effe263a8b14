"""Dockerfiles, read as far as a build must know them."""

import pytest

from builder.dockerfile import base_images, instructions, with_run_flags

DOCKERFILE = r"""# a comment
ARG BASE_IMAGE=python:3.11-slim
FROM ${BASE_IMAGE} AS base

run apt-get update && \
    # a comment inside
    apt-get install -y git \

    && true
RUN ["pip", "install", "x"]
RUN --mount=type=cache,target=/c pip install y
COPY . .
LABEL text="RUN \
RUN not a step"
ENTRYPOINT ["molecule-runtime"]
"""


def test_every_run_step_and_nothing_else_gets_the_flags() -> None:
    changed = with_run_flags(DOCKERFILE, "--flag")
    assert changed == (
        DOCKERFILE.replace("run apt", "run --flag apt")
        .replace('RUN ["pip"', 'RUN --flag ["pip"')
        .replace("RUN --mount", "RUN --flag --mount")
    )


def test_a_here_document_is_not_mistaken_for_steps() -> None:
    text = "FROM x\nRUN <<EOF\nRUN inside\nEOF\nRUN outside\n"
    assert with_run_flags(text, "-f") == "FROM x\nRUN -f <<EOF\nRUN inside\nEOF\nRUN -f outside\n"


def test_another_escape_character_is_honoured() -> None:
    text = "# escape=`\nFROM x\nRUN a `\n  RUN b\nRUN c\\\nRUN d\n"
    assert with_run_flags(text, "-f") == "# escape=`\nFROM x\nRUN -f a `\n  RUN b\nRUN -f c\\\nRUN -f d\n"


def test_an_instruction_is_told_with_its_continued_lines() -> None:
    assert [(step.line, step.name, step.text) for step in instructions("FROM a\nRUN x \\\n\n  y\n")] == [
        (0, "FROM", "a"),
        (1, "RUN", "x y"),
    ]


@pytest.mark.parametrize(
    ("dockerfile", "arguments", "expected"),
    [
        (DOCKERFILE, {}, ("python:3.11-slim",)),
        (DOCKERFILE, {"BASE_IMAGE": "mine:1"}, ("mine:1",)),
        ("ARG V=1\nARG B=x:$V\nFROM --platform=linux/amd64 $B\n", {}, ("x:1",)),
        ("ARG V=1 B='x:2'\nFROM $B\n", {"V": "3"}, ("x:2",)),
        ("FROM a:1 AS one\nFROM b:2 AS two\nCOPY --from=one /x /x\nFROM one\n", {}, ("a:1", "b:2")),
        ("FROM a:1 AS one\nFROM b:2\nFROM a:1\n", {}, ("a:1", "b:2")),
        ("FROM ${B:-fallback:1}\n", {}, ("fallback:1",)),
        ("FROM a@sha256:12\n", {}, ("a@sha256:12",)),
        ("FROM a:1 AS one\nFROM scratch\n", {}, ("a:1",)),
        ("FROM scratch\n", {}, ()),
        ("RUN nothing\n", {}, ()),
    ],
)
def test_the_bases_are_what_no_stage_is_and_that_of_the_last_stage_comes_first(
    dockerfile: str, arguments: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert base_images(dockerfile, arguments) == expected
