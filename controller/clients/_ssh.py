"""How ssh is called: with one key and the hosts that one Secret knows, and with nothing of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def ssh_command(files: Mapping[str, Path]) -> list[str]:
    """Return the command of a client that shows `ssh-privatekey` to the hosts of `known_hosts`, and asks nobody anything."""
    options = ["-F", "/dev/null"]
    said = {
        "BatchMode": "yes",
        "ConnectTimeout": "20",
        "GlobalKnownHostsFile": "/dev/null",
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "IdentityFile": f'"{files["ssh-privatekey"]}"' if "ssh-privatekey" in files else "none",
        "ServerAliveInterval": "15",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": f'"{files["known_hosts"]}"' if "known_hosts" in files else "/dev/null",
    }
    for name, value in said.items():
        options += ["-o", f"{name}={value}"]
    return ["ssh", *options]
