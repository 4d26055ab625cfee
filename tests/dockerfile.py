"""Runs the steps of a simple Dockerfile without Docker, in clean folders, and then what it starts.

    python -m tests.dockerfile deploy/Dockerfile --context . --env JWT_SECRET_KEY=...

Every stage is a folder of its own under chroot: empty but for this machine's /usr, read-only, with this
Python in /usr/local, as the base image has it. Mounts and processes end with their namespace. It needs root,
to be able to become somebody else. Not shown by this: the base image itself, its packages and the engine.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

BASE = re.compile(r"python:(\d+\.\d+)-slim-bookworm")
_PASSED_ON = re.compile(r"PIP_\w+|(?:https?|no)_proxy|SSL_CERT_\w+", re.IGNORECASE)
_FROM_HERE = (
    "ssl",
    "ca-certificates",
    "resolv.conf",
    "hosts",
    "nsswitch.conf",
    "ld.so.conf",
    "ld.so.conf.d",
    "login.defs",
    "pip.conf",
)
_START_PATIENCE = 60.0
_NOTHING_WRITABLE = 'test -z "$(find /opt /usr/local /etc -xdev -writable ! -type l 2>/dev/null)"'
_INSIDE = "INSIDE_THE_NAMESPACE"


class StepError(Exception):
    """A step failed, or is of a kind that is not known here."""


@dataclass
class Stage:
    root: Path
    env: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    user: str = "root"
    workdir: str = "/"
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)

    def argv(self, *command: str, **env: str) -> list[str]:
        """`command` as this stage's user, in its folder, with its environment and nothing of ours."""
        settings = [f"{name}={value}" for name, value in {**self.env, **env}.items()]
        inside = ("/bin/sh", "-c", f'cd {shlex.quote(self.workdir)} && exec "$@"', "sh", *command)
        return ["chroot", f"--userspec={self.user}", str(self.root), "/usr/bin/env", "-i", *settings, *inside]

    def run(self, *command: str, **env: str) -> int:
        return subprocess.run(self.argv(*command, **env), check=False, timeout=900).returncode

    def is_healthy(self, env: dict[str, str]) -> bool:
        asked = subprocess.run(self.argv(*self.health, **env), check=False, timeout=60, capture_output=True)
        return asked.returncode == 0


def instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (word.upper(), rest.strip())
        for word, _, rest in (line.partition(" ") for line in joined.split("\n"))
        if word
    ]


def build(dockerfile: Path, context: Path, folder: Path) -> Stage:
    """Returns the last stage. Raises StepError."""
    stages: dict[str, Stage] = {}
    stage = Stage(Path())
    for word, rest in instructions(dockerfile.read_text()):
        print(f"{word} {rest[:100]}", flush=True)
        if word == "FROM":
            stage = _begin(rest, folder / f"stage-{len(stages)}")
            stages[rest.rpartition(" AS ")[2]] = stage
        else:
            _follow(stage, word, rest, context, stages)
    return stage


def _begin(base: str, root: Path) -> Stage:
    version = BASE.match(base)
    if not version or version[1] != f"{sys.version_info.major}.{sys.version_info.minor}":
        raise StepError(f"only the base image of this Python is known, not {base}")
    for name in ("usr", "etc", "proc", "dev", "opt", "home", "var/tmp", "var/cache", "run"):
        (root / name).mkdir(parents=True)
    (root / "root").mkdir(mode=0o700)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    _mount("--bind", "/usr", root / "usr")
    _mount("-o", "remount,bind,ro", root / "usr")
    _mount("--bind", sys.base_prefix, root / "usr/local")
    _mount("-o", "remount,bind,ro", root / "usr/local")
    _mount("--rbind", "/dev", root / "dev")
    _mount("-t", "proc", "proc", root / "proc")
    _make_etc(root / "etc")
    subprocess.run(
        ["chroot", str(root), "/sbin/ldconfig", "-X"], check=True, timeout=60
    )  # the Python's own library first
    if (wheels := Path(os.environ.get("PIP_FIND_LINKS", ""))).is_absolute() and wheels.is_dir():
        (root / wheels.relative_to("/")).mkdir(parents=True)
        _mount("--bind", wheels, root / wheels.relative_to("/"))
    return Stage(root)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True, timeout=10)


def _make_etc(etc: Path) -> None:
    (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (etc / "group").write_text("root:x:0:\n")
    (etc / "shadow").write_text("root:*:19000:0:99999:7:::\n")
    for name in _FROM_HERE:
        here = Path("/etc", name)
        if here.is_dir():
            shutil.copytree(here, etc / name, symlinks=True)
        elif here.exists():
            shutil.copy(here, etc / name)


def _follow(stage: Stage, word: str, rest: str, context: Path, stages: dict[str, Stage]) -> None:
    if word == "RUN":
        passed_on = {name: value for name, value in os.environ.items() if _PASSED_ON.fullmatch(name)}
        if stage.run("/bin/sh", "-c", rest, **passed_on):
            raise StepError(f"RUN {rest}")
    elif word == "COPY":
        _copy(stage, shlex.split(rest), context, stages)
    elif word in _SETTINGS:
        _SETTINGS[word](stage, rest)
    elif word not in ("EXPOSE", "STOPSIGNAL"):
        raise StepError(f"{word} is not known here")


def _set_env(stage: Stage, rest: str) -> None:
    for name, _, value in (each.partition("=") for each in shlex.split(rest)):
        stage.env[name] = value.replace("$PATH", stage.env["PATH"])


def _set_workdir(stage: Stage, rest: str) -> None:
    stage.workdir = rest
    _inside(stage, rest).mkdir(parents=True, exist_ok=True)


_SETTINGS: dict[str, Callable[[Stage, str], None]] = {
    "ENV": _set_env,
    "WORKDIR": _set_workdir,
    "USER": lambda stage, rest: setattr(stage, "user", rest),
    "HEALTHCHECK": lambda stage, rest: setattr(stage, "health", json.loads(rest.partition("CMD ")[2])),
    "CMD": lambda stage, rest: setattr(stage, "command", json.loads(rest)),
}


def _inside(stage: Stage, path: str) -> Path:
    return stage.root / os.path.normpath(os.path.join(stage.workdir, path)).lstrip("/")  # noqa: PTH118


def _copy(stage: Stage, words: list[str], context: Path, stages: dict[str, Stage]) -> None:
    (*options,) = (word for word in words if word.startswith("--"))
    *sources, target = (word for word in words if not word.startswith("--"))
    if options:
        if not (source := re.fullmatch(r"--from=(\w+)", " ".join(options))):
            raise StepError(f"COPY {options} is not known here")
        context, sources = stages[source[1]].root, [name.lstrip("/") for name in sources]
    for name in sources:
        place = _inside(stage, target)
        into = place / Path(name).name if target.endswith("/") else place
        if (context / name).is_dir():
            ignored = None if options else shutil.ignore_patterns("__pycache__")
            shutil.copytree(context / name, into, symlinks=True, ignore=ignored)
        else:
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(context / name, into)


def try_out(stage: Stage, env: dict[str, str]) -> None:
    """Start it, ask for its health, look at its processes, stop it. Raises StepError."""
    if stage.user == "root":
        raise StepError("it would run as root")
    if stage.run("/bin/sh", "-c", _NOTHING_WRITABLE):
        raise StepError("it could change what it runs")
    with subprocess.Popen(stage.argv(*stage.command, **env)) as program:
        try:
            _wait_for_health(stage, program, env)
            uids = _uids(program.pid)
            print(
                f"healthy, {len(uids)} processes of uid {', '.join(map(str, sorted(set(uids))))}", flush=True
            )
            if 0 in uids:
                raise StepError("a process of root")
            program.send_signal(signal.SIGTERM)
            if code := program.wait(60):
                raise StepError(f"ended with {code} after SIGTERM")
        finally:
            program.kill()
    if stage.is_healthy(env):
        raise StepError("the health check is content without a server")


def _wait_for_health(stage: Stage, program: subprocess.Popen[bytes], env: dict[str, str]) -> None:
    deadline = time.monotonic() + _START_PATIENCE
    while not stage.is_healthy(env):
        if program.poll() is not None:
            raise StepError(f"ended with {program.returncode} instead of serving")
        if time.monotonic() > deadline:
            raise StepError(f"not healthy within {_START_PATIENCE:g} s")
        time.sleep(1)


def _uids(pid: int) -> list[int]:
    """Of the process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{each}").stat().st_uid for each in (pid, *children)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dockerfile", type=Path)
    parser.add_argument("--context", type=Path, default=Path())
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE", help="for what it starts")
    given = parser.parse_args()
    if _INSIDE not in os.environ:
        sys.exit(_in_a_namespace())
    try:
        stage = build(given.dockerfile, given.context, Path(os.environ[_INSIDE]))
        try_out(stage, dict(each.split("=", 1) for each in given.env))
    except StepError as error:
        sys.exit(f"failed: {error}")
    print("all steps done, started, healthy, stopped")


def _in_a_namespace() -> int:
    if os.geteuid():
        return print("needs root, to be able to become somebody else", file=sys.stderr) or 1
    with tempfile.TemporaryDirectory(prefix="dockerfile-") as folder:
        Path(folder).chmod(0o755)
        # Mounts and processes of the namespace are gone when this returns, so the folder holds only its own.
        new = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        again = (sys.executable, "-m", "tests.dockerfile", *sys.argv[1:])
        return subprocess.run([*new, *again], check=False, env={**os.environ, _INSIDE: folder}).returncode


if __name__ == "__main__":
    main()
