"""Where a running stack keeps what it needs: one folder, in a temporary one unless it is named."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECRETS = ("POSTGRES_PASSWORD", "JWT_SECRET_KEY", "GRAFANA_ADMIN_PASSWORD")
REPOSITORY = "./"
"""How sources of mounts begin that are files of ours; the others are volumes."""


@dataclass(frozen=True)
class Places:
    data: Path

    @property
    def config(self) -> Path:
        """Laid out like the repository."""
        return self.data / "config"

    @property
    def temporary(self) -> Path:
        return self.of_mount("memory/tmp")

    def of_mount(self, source: str) -> Path:
        if source.startswith(REPOSITORY):
            return self.config / source.removeprefix(REPOSITORY)
        folder = self.data / source
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def secrets(self) -> dict[str, str]:
        """Made once for each folder."""
        file = self.data / "secrets.json"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(json.dumps({name: secrets.token_hex(32) for name in SECRETS}))
        made: dict[str, str] = json.loads(file.read_text())
        return made


@contextlib.contextmanager
def places(data: Path | None) -> Iterator[Places]:
    """A folder that was named is kept; any other goes when the stack ends."""
    folder = data.absolute() if data else Path(tempfile.mkdtemp(prefix="paciolus-stack-"))
    folder.mkdir(parents=True, exist_ok=True)
    # PostgreSQL runs as somebody else when we are root, and has to get through to its own folder.
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    try:
        yield Places(folder)
    finally:
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)
