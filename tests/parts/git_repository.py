"""A bare repository whose branches and tags are moved as somebody who pushes moves them."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_SOMEBODY = {
    f"GIT_{role}_{fact}": value
    for role in ("AUTHOR", "COMMITTER")
    for fact, value in (("NAME", "Somebody"), ("EMAIL", "somebody@example.org"))
}


@dataclass(frozen=True)
class GitRepository:
    """One bare repository, made where there is none yet."""

    folder: Path

    def __post_init__(self) -> None:
        if not self.folder.exists():
            self.git("init", "--quiet", "--bare", "--initial-branch=main", str(self.folder), cwd=Path("/"))

    def git(self, *arguments: str, cwd: Path | None = None, stdin: bytes = b"", **more: str) -> str:
        """Run git in it, as somebody."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            **_SOMEBODY,
            **more,
        }
        command = ["git", *arguments]
        done = subprocess.run(
            command, cwd=cwd or self.folder, env=environment, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done.stdout.decode().strip()

    def commit(
        self,
        files: dict[str, str],
        branch: str = "main",
        *,
        links: dict[str, str] | None = None,
        modules: dict[str, str] | None = None,
    ) -> str:
        """Put one commit upon a branch that holds these files, links and submodules (by commit), and nothing else."""
        index = str(self.folder / "index")
        entries = []
        for mode, contents in (("100644", files), ("120000", links or {})):
            for path, content in contents.items():
                made = self.git("hash-object", "-w", "--stdin", stdin=content.encode())
                kind = "100755" if content.startswith("#!") else mode
                entries.append(f"{kind} {made}\t{path}")
        entries += [f"160000 {commit}\t{path}" for path, commit in (modules or {}).items()]
        self.git("read-tree", "--empty", GIT_INDEX_FILE=index)
        self.git("update-index", "--index-info", stdin="\n".join(entries).encode(), GIT_INDEX_FILE=index)
        tree = self.git("write-tree", GIT_INDEX_FILE=index)
        before = self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{branch}")
        parents = ("-p", before) if before else ()
        commit = self.git("commit-tree", tree, *parents, "-m", "A change")
        self.git("update-ref", f"refs/heads/{branch}", commit)
        return commit

    def commit_folder(self, folder: Path, path: str = "", branch: str = "main") -> str:
        """Put one commit upon a branch that holds the files of a folder, below `path`, and nothing else."""
        found = (
            each for each in sorted(folder.rglob("*")) if each.is_file() and "__pycache__" not in each.parts
        )
        return self.commit({f"{path}{each.relative_to(folder)}": each.read_text() for each in found}, branch)

    def tag(self, name: str, commit: str, *, annotated: bool = True) -> None:
        """Put a tag on a commit, or move it there."""
        options = ("--annotate", "--message", name) if annotated else ()
        self.git("tag", "--force", *options, name, commit)
