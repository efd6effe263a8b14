"""A document that is not valid is refused with the place, the cause and what to write instead."""

import pytest

from tests.unit.api.documents import refusal, with_


def test_an_engine_has_images_of_one_platform() -> None:
    several = "{directory: echo, platforms: [linux/amd64, linux/arm64]}"
    assert refusal(with_("{directory: echo}", several)) == (
        "runtime.yaml:10: spec.templates[0].build.platforms: names 2 platforms, and an engine has images of one; "
        "keep one, or use registry.mode: Remote"
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        # unknown fields
        (
            "  registry:",
            "  registryy: {}\n  registry:",
            "8: spec.registryy: unknown field; did you mean registry?",
        ),
        (
            "rollout: {maxUnavailable: 2}",
            "rollout: {colour: red}",
            "13: spec.rollout.colour: unknown field; known here: approval, drain, inPlace, maxUnavailable, maxUnreachable, onFailure, prePull, promoteAfterWave, waves, windows",
        ),
        (
            "build: {directory: more}",
            "build: {directory: more, rebuild_on: [Version]}",
            "11: spec.templates[1].build.rebuild_on: unknown field; did you mean rebuildOn?",
        ),
        (
            "rollout: {maxUnavailable: 2}",
            "rollout: {paused: true}",
            "13: spec.rollout.paused: unknown field; known here: approval, drain, inPlace, maxUnavailable, maxUnreachable, onFailure, prePull, promoteAfterWave, waves, windows",
        ),
        (
            "build: {directory: more}",
            "probe: {readOnlyRoot: true}, build: {directory: more}",
            (
                "11: spec.templates[1].probe.readOnlyRoot: has another name now; write"
                " securityContext.readOnlyRootFilesystem"
            ),
        ),
        (
            "build: {directory: more}",
            "probe: {memoryMegabytes: 512}, build: {directory: more}",
            (
                "11: spec.templates[1].probe.memoryMegabytes: has another name now; write"
                ' resources.limits.memory, as in "512Mi"'
            ),
        ),
        # waves
        *(
            (
                "rollout: {maxUnavailable: 2}",
                f"rollout: {{waves: [{waves}]}}",
                f"13: spec.rollout.waves{message}",
            )
            for waves, message in (
                (
                    "{name: first}, {name: rest}",
                    "[0]: takes no target; name a selector, hosts or a percent, or put it last: the last wave takes the rest",
                ),
                (
                    "{name: first, percent: 5}",
                    "[0].percent: is for waves before the last, which takes the rest; remove it, or add a wave behind this one",
                ),
                (
                    "{name: rest, soakSeconds: 5}",
                    (
                        "[0].soakSeconds: is for waves before the last: nothing waits behind that one; remove it, or add a"
                        " wave behind this one"
                    ),
                ),
                (
                    "{name: a, percent: 5}, {name: b, percent: 5}, {name: rest}",
                    "[1].percent: must be more than in the wave before: percentages count from the first wave on",
                ),
                (
                    "{name: a, percent: 5}, {name: a}",
                    "[1].name: 'a' stands twice; each entry needs its own",
                ),
                (
                    "{name: a, selector: {}}, {name: rest}",
                    "[0].selector: takes every target; name a label in matchLabels",
                ),
                (
                    "{name: a, hosts: [local, prod-1]}, {name: rest}",
                    "[0].hosts[1]: 'prod-1' is no host or namespace of targets; known are local",
                ),
                (
                    "{name: a, percent: 100}, {name: rest}",
                    "[0].percent: must be at most 99, got the number 100",
                ),
            )
        ),
        (
            "rollout: {maxUnavailable: 2}",
            "rollout: {promoteAfterWave: canary, waves: [{name: first, percent: 5}, {name: rest}]}",
            "13: spec.rollout.promoteAfterWave: 'canary' is the name of no wave; write one of waves, or remove it; known are first, rest",
        ),
        (
            "rollout: {maxUnavailable: 2}",
            "rollout: {promoteAfterWave: everyone}",
            "13: spec.rollout.promoteAfterWave: 'everyone' is the name of no wave; write one of waves, or remove it",
        ),
        # windows and approval
        *(
            (
                "rollout: {maxUnavailable: 2}",
                f"rollout: {{windows: [{{{window}}}]}}",
                f"13: spec.rollout.windows[0]{message}",
            )
            for window, message in (
                (
                    'start: "22:00", end: "05:00", timeZone: Europe/Berln',
                    ".timeZone: 'Europe/Berln' is no time zone of the IANA database; did you mean Europe/Berlin?",
                ),
                (
                    'start: "22:00", end: "05:00", timeZone: Europe',
                    ".timeZone: 'Europe' is no time zone of the IANA database; write one, as Europe/Berlin or UTC",
                ),
                (
                    'start: "22:00", end: "05:00", timeZone: ../Berlin',
                    ".timeZone: must be a time zone of the IANA database, as Europe/Berlin or UTC, got '../Berlin'",
                ),
                (
                    'start: "24:00", end: "05:00"',
                    ".start: must be a time of the day in hours and minutes, from 00:00 to 23:59, got '24:00'",
                ),
                (
                    'start: 22:00, end: "05:00"',
                    ".start: must be a string, got the number 22:00; put it in quotes",
                ),
                ('start: "22:00"', ".end: is required and missing"),
                ('start: "22:00", end: "05:00", days: [Mon, Mon]', ".days[1]: 'Mon' stands twice; keep one"),
                (
                    'start: "22:00", end: "05:00", days: [Monday]',
                    ".days[0]: must be 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat' or 'Sun', got 'Monday'",
                ),
            )
        ),
        (
            "rollout: {maxUnavailable: 2}",
            "rollout: {approval: Maybe}",
            "13: spec.rollout.approval: must be 'None' or 'Required', got 'Maybe'",
        ),
        # missing fields
        ("  source: {directory: workspace}\n", "", "4: spec.source: is required and missing"),
        (
            "{name: echo, image: ws/echo,",
            "{image: ws/echo,",
            "10: spec.templates[0].name: is required and missing",
        ),
        # types
        (
            '"0.1.0"',
            "0.10",
            "5: spec.version: must be a string, got the number 0.10; put it in quotes",
        ),
        (
            '"0.1.0"',
            "2026-01-02",
            "5: spec.version: must be a string, got the date 2026-01-02; put it in quotes",
        ),
        ('"0.1.0"', "yes", "5: spec.version: must be a string, got yes; put it in quotes"),
        ('"0.1.0"', "", "5: spec.version: must be a string, got nothing"),
        ('"0.1.0"', "[1]", "5: spec.version: must be a string, got a list"),
        (
            "{directory: workspace}",
            "workspace",
            "6: spec.source: must be an object with fields, got 'workspace'",
        ),
        (
            "{maxUnavailable: 2}",
            '{drain: {timeoutSeconds: "900"}}',
            "13: spec.rollout.drain.timeoutSeconds: must be a whole number, got the string '900'; write it without quotes",
        ),
        (
            "{maxUnavailable: 2}",
            "{drain: {timeoutSeconds: 1.5}}",
            "13: spec.rollout.drain.timeoutSeconds: must be a whole number, got the number 1.5",
        ),
        (
            '"0.1.0"',
            '"0.1.0"\n  suspend: "yes"',
            "6: spec.suspend: must be true or false, got 'yes'",
        ),
        (
            "[{name: local, endpoint: unix:///var/run/docker.sock}]",
            "{name: local}",
            "12: spec.targets.dockerHosts: must be a list, got an object",
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo, args: {TIER: 1}}",
            "10: spec.templates[0].build.args.TIER: must be a string, got the number 1; put it in quotes",
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo, args: {1: x}}",
            "10: spec.templates[0].build.args[1]: a key must be a string; put it in quotes",
        ),
        # bounds
        (
            "{maxUnavailable: 2}",
            "{drain: {timeoutSeconds: 0}}",
            "13: spec.rollout.drain.timeoutSeconds: must be at least 1, got the number 0",
        ),
        (
            "{maxUnavailable: 2}",
            "{drain: {timeoutSeconds: 90000}}",
            "13: spec.rollout.drain.timeoutSeconds: must be at most 86400, got the number 90000",
        ),
        (
            "[{name: local, endpoint: unix:///var/run/docker.sock}]",
            "[]",
            "12: spec.targets: names nothing to roll; name dockerHosts, workloads, or both",
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo, platforms: [arm64]}",
            "10: spec.templates[0].build.platforms[0]: must be a platform, as in linux/arm64, got 'arm64'",
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo, platforms: [linux/arm64], fullBuild: registry.example/echo}",
            (
                "10: spec.templates[0].build.fullBuild: 'registry.example/echo' is not the name of an image; "
                "write it with a tag or digest, as in registry.example/team/name:tag"
            ),
        ),
        (
            "build: {directory: echo}",
            "build: {directory: echo}, tags: [a, b, c, d, e, f, g, h, i, j, k]",
            "10: spec.templates[0].tags: must have at most 10 entries, got a list",
        ),
        (
            "{directory: workspace}",
            '{directory: ""}',
            "6: spec.source: names no source; name git or directory",
        ),
        (
            '"0.1.0"',
            f'"{"1" * 65}"',
            f"5: spec.version: must have at most 64 characters, got '{'1' * 65}'",
        ),
        (
            "{maxUnavailable: 2}",
            "{maxUnavailable: 0}",
            "13: spec.rollout.maxUnavailable: must be a whole number from 1, or a percentage from 1% to 100%, got 0",
        ),
        (
            "{maxUnavailable: 2}",
            "{maxUnavailable: 120%}",
            "13: spec.rollout.maxUnavailable: must be a whole number from 1, or a percentage from 1% to 100%, got '120%'",
        ),
        (
            "{maxUnavailable: 2}",
            "{maxUnavailable: true}",
            "13: spec.rollout.maxUnavailable: must be a whole number from 1, or a percentage from 1% to 100%, got True",
        ),
        (
            "build: {directory: more}",
            "probe: {resources: {limits: {cpu: 5x}}}, build: {directory: more}",
            (
                "11: spec.templates[1].probe.resources.limits.cpu: must be an amount of CPU from 10m, such as 500m, 2 or"
                " 0.5, got '5x'"
            ),
        ),
        (
            "build: {directory: more}",
            "probe: {resources: {limits: {memory: 512}}}, build: {directory: more}",
            (
                "11: spec.templates[1].probe.resources.limits.memory: must be an amount of memory from 16Mi, such as 512Mi"
                " or 2Gi, got 512"
            ),
        ),
        # choices
        (
            "build: {directory: more}",
            "probe: {model: none}, build: {directory: more}",
            "11: spec.templates[1].probe.model: must be 'Required', 'WithoutTools' or 'None', got 'none'",
        ),
        ("mode: Engine", "mode: engine", "8: spec.registry.mode: must be 'Engine' or 'Remote', got 'engine'"),
        (
            "{maxUnavailable: 2}",
            "{onFailure: rollback}",
            "13: spec.rollout.onFailure: must be 'Rollback' or 'Pause', got 'rollback'",
        ),
        (
            "kind: WorkspaceRuntime",
            "kind: Deployment",
            "2: kind: must be 'WorkspaceRuntime', got 'Deployment'",
        ),
        (
            "runtime.molecule.ai/v1alpha1",
            "runtime.molecule.ai/v1",
            "1: apiVersion: must be 'runtime.molecule.ai/v1alpha1', got 'runtime.molecule.ai/v1'",
        ),
        # patterns
        (
            "simpleURL: http://index/simple/",
            "simpleURL: ftp://index/simple/",
            (
                "7: spec.package.index.simpleURL: must be an http:// or https:// address without credentials,"
                " got 'ftp://index/simple/'"
            ),
        ),
        (
            "simpleURL: http://index/simple/",
            "simpleURL: http://ann:s3cret@index/simple/",
            (
                "7: spec.package.index.simpleURL: must be an http:// or https:// address without credentials,"
                " got 'http://***@index/simple/'"
            ),
        ),
        (
            "name: echo",
            "name: Echo",
            (
                "10: spec.templates[0].name: must consist of lower-case letters, digits and '-', and begin and end with a"
                " letter or digit, got 'Echo'"
            ),
        ),
        (
            "endpoint: unix:///var/run/docker.sock",
            "endpoint: http://host:2376",
            (
                "12: spec.targets.dockerHosts[0].endpoint: must be a Unix socket, as in unix:///var/run/docker.sock, an"
                " address for TLS, as in tcp://docker-1.example:2376, or one for ssh, as in ssh://wsr@docker-1.example, got"
                " 'http://host:2376'"
            ),
        ),
        (
            "endpoint: unix:///var/run/docker.sock",
            "endpoint: tcp://host:2376",
            (
                "12: spec.targets.dockerHosts[0].tlsSecretName: is needed for an endpoint with tcp://; name a Secret with"
                " ca.crt, tls.crt and tls.key"
            ),
        ),
        (
            "endpoint: unix:///var/run/docker.sock",
            "endpoint: unix:///var/run/docker.sock, tlsSecretName: far",
            "12: spec.targets.dockerHosts[0].tlsSecretName: is for an endpoint with tcp://; remove it",
        ),
        (
            "endpoint: unix:///var/run/docker.sock",
            "endpoint: ssh://wsr@host:2222",
            (
                "12: spec.targets.dockerHosts[0].sshSecretName: is needed for an endpoint with ssh://; name a Secret with"
                " ssh-privatekey and known_hosts"
            ),
        ),
        (
            "endpoint: unix:///var/run/docker.sock",
            "endpoint: unix:///var/run/docker.sock, sshSecretName: far",
            "12: spec.targets.dockerHosts[0].sshSecretName: is for an endpoint with ssh://; remove it",
        ),
        (
            "{name: local, endpoint: unix:///var/run/docker.sock}",
            "{name: local, endpoint: unix:///var/run/docker.sock}, {name: far, endpoint: unix:///far.sock}",
            (
                "12: spec.targets.dockerHosts: names several hosts, and in registry.mode: Engine images are in one of them"
                " only; use Remote"
            ),
        ),
        # versions
        (
            '"0.1.0"',
            '"0.1.x"',
            "5: spec.version: '0.1.x' is not a PEP 440 version; write one like 0.1.6, 0.2.0rc1 or 0.1.6.post1",
        ),
        ('"0.1.0"', '"v0.1.0"', "5: spec.version: 'v0.1.0' is not normalised; write '0.1.0'"),
        ('"0.1.0"', '"0.1.0-local"', "5: spec.version: '0.1.0-local' is not normalised; write '0.1.0+local'"),
        ('"0.1.0"', '"0.1.0-rc.1"', "5: spec.version: '0.1.0-rc.1' is not normalised; write '0.1.0rc1'"),
        # images
        *(
            (
                "image: ws/echo",
                f"image: {image}",
                (
                    f"10: spec.templates[0].image: '{image}' is not an image repository; write it without a tag or"
                    " digest, as in registry.example/team/name"
                ),
            )
            for image in (
                "ghcr.io/x/echo:latest",
                f"ghcr.io/x/echo@sha256:{'a' * 64}",
                "ghcr.io/X/Echo",
                "a//b",
            )
        ),
        (
            "image: ws/echo",
            '"image": "ws/echo\\n"',
            (
                "10: spec.templates[0].image: 'ws/echo\\n' is not an image repository; write it without a tag or"
                " digest, as in registry.example/team/name"
            ),
        ),
        # what belongs together
        (
            "{mode: Engine, artifacts: records}",
            "{artifacts: ghcr.io/x/a}",
            (
                "10: spec.templates[0].image: 'ws/echo' names no registry host; write HOST/REPOSITORY, or use"
                " registry.mode: Engine"
            ),
        ),
        (
            "artifacts: records",
            "artifacts: ghcr.io/x/records",
            (
                "8: spec.registry.artifacts: 'ghcr.io/x/records' must be a volume name in Engine mode; use letters,"
                " digits, '.', '_' and '-'"
            ),
        ),
        (
            "{index: {",
            '{versionCeiling: "0.1.0", index: {',
            (
                "5: spec.version: 0.1.0 is at or above package.versionCeiling 0.1.0; correct it, or raise the"
                " ceiling"
            ),
        ),
        (
            "name: more",
            "name: echo",
            "11: spec.templates[1].name: 'echo' stands twice; each entry needs its own",
        ),
        (
            "image: ws/more",
            "image: ws/echo",
            "11: spec.templates[1].image: 'ws/echo' stands twice; each entry needs its own",
        ),
        # keys
        (
            '"0.1.0"',
            '"0.1.0"\n  version: "0.1.1"',
            "6: spec.version: stands twice; keep one",
        ),
        (
            "image: ws/more,",
            "image: ws/more, image: ws/more,",
            "11: spec.templates[1].image: stands twice; keep one",
        ),
        # YAML
        (
            "metadata: {name: molecule-runtime}",
            "metadata: {name: molecule-runtime",
            "4: not readable as YAML: expected ',' or '}', but got ':'; correct the indentation or quoting there",
        ),
        (
            "  rollout:",
            "\trollout:",
            (
                "13: not readable as YAML: found character '\\t' that cannot start any token; correct the indentation or"
                " quoting there"
            ),
        ),
        (
            '"0.1.0"',
            "2026-13-45",
            "1: not readable as YAML: month must be in 1..12; put such values in quotes",
        ),
        (
            "name: molecule-runtime",
            "name: \x07",
            "1: not readable as YAML: character #x0007 is not allowed; remove it",
        ),
        (
            "  rollout:",
            "---\n  rollout:",
            "13: a second document starts here; keep one per file",
        ),
    ],
)
def test_a_refusal_says_where_why_and_what_instead(before: str, after: str, message: str) -> None:
    assert refusal(with_(before, after)) == f"runtime.yaml:{message}"


@pytest.mark.parametrize("text", ["", "# nothing\n", "- 1\n", "words\n"])
def test_a_file_without_an_object_is_told_how_one_starts(text: str) -> None:
    assert refusal(text) == (
        "runtime.yaml:1: holds no object; it must start with apiVersion, kind, metadata and spec"
    )


def test_all_problems_are_named_at_once_in_the_order_of_the_file() -> None:
    text = with_("kind: WorkspaceRuntime", "kind: Deployment").replace('"0.1.0"', "1")
    assert refusal(text).splitlines() == [
        "runtime.yaml:2: kind: must be 'WorkspaceRuntime', got 'Deployment'",
        "runtime.yaml:5: spec.version: must be a string, got the number 1; put it in quotes",
    ]


def test_a_missing_part_is_named_by_its_nearest_parent() -> None:
    assert refusal("kind: WorkspaceRuntime\n1: x\n").splitlines() == [
        "runtime.yaml:1: apiVersion: is required and missing",
        "runtime.yaml:1: metadata: is required and missing",
        "runtime.yaml:1: spec: is required and missing",
        "runtime.yaml:2: [1]: a field's name must be a string; put it in quotes",
    ]


def test_an_alias_of_its_own_parent_is_refused_like_any_other_wrong_value() -> None:
    assert "6: spec.source.more: unknown field; known here: directory" in refusal(
        with_("{directory: workspace}", "&loop {directory: x, more: *loop}")
    )


def test_a_long_value_is_repeated_in_part() -> None:
    message = refusal(with_("mode: Engine", f"mode: {'e' * 5000}"))
    assert message == f"runtime.yaml:8: spec.registry.mode: must be 'Engine' or 'Remote', got '{'e' * 80}…'"
