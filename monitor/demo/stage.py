"""Sets the stage: ports, configuration, the API and the agent as children, the inbox here; and clears it."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import yaml

from monitor.children import Child, stop_all
from monitor.demo.board import SHORTENED, Board
from monitor.demo.faults import Faults, Scene
from monitor.demo.inbox import Inbox, serving
from monitor.demo.ports import AGENT_PORT, API_PORT, INBOX_PORT, LOOPBACK, Ports, Say
from monitor.demo.runfolder import RunFolder
from monitor.demo.traffic import new_client
from monitor.receiver import Notice

READY_WITHIN = 30.0


@dataclass(frozen=True)
class Stage:
    board: Board
    faults: Faults
    client: httpx.AsyncClient
    children: tuple[Child, Child]


@contextlib.asynccontextmanager
async def set_stage(
    folder: RunFolder, board: Board, say: Say, arrived: Callable[[Notice], None]
) -> AsyncIterator[Stage]:
    """Raises ChildError when the API or the agent does not get ready."""
    async with contextlib.AsyncExitStack() as at_end:
        ports = Ports(say)
        at_end.callback(ports.close)
        listening = ports.listening(INBOX_PORT, "inbox")
        api_port, agent_port = ports.reserved(API_PORT, "API"), ports.reserved(AGENT_PORT, "agent")
        inbox_port = int(listening.getsockname()[1])
        board.api_url, board.agent_url, board.inbox_url = map(_url, (api_port, agent_port, inbox_port))
        api, agent = _api(folder, api_port), _agent(folder, agent_port, board)
        at_end.push_async_callback(stop_all, (agent, api))
        client = await at_end.enter_async_context(new_client(board.api_url))
        faults = Faults(_scene(folder, board, api, client), say)
        board.broken = faults.on
        at_end.push_async_callback(faults.stop)
        token = secrets.token_hex()
        await at_end.enter_async_context(serving(Inbox(arrived, faults.order, token), listening))

        api.start()
        await api.ready(f"{board.api_url}/health/ready", READY_WITHIN)
        agent.start()
        await agent.ready(f"{board.agent_url}/-/healthy", READY_WITHIN)
        folder.publish(board.inbox_url, token)
        yield Stage(board, faults, client, (api, agent))


def _url(port: int) -> str:
    return f"http://{LOOPBACK}:{port}"


def agent_config(folder: RunFolder, port: int, api_url: str, inbox_url: str) -> dict[str, Any]:
    """The demo's monitor.yml. Objectives are the documented ones that travel with the package."""
    return {
        "listen": f"{LOOPBACK}:{port}",
        "database": f"sqlite:///{folder.path / 'agent.db'}",
        "shorten_windows": SHORTENED,
        "targets": [
            {
                "name": "api",
                "url": api_url,
                "interval": "1s",
                "checks": {
                    "health": {"probe": "http", "path": "/health", "timeout": "900ms"},
                    "metrics": {"probe": "scrape", "path": "/metrics", "timeout": "900ms"},
                },
            }
        ],
        "notify": {
            "inbox": {"kind": "webhook", "url": f"{inbox_url}/alerts", "severities": ["page", "ticket"]}
        },
    }


def _scene(folder: RunFolder, board: Board, api: Child, client: httpx.AsyncClient) -> Scene:
    return Scene(
        api=api,
        api_url=board.api_url,
        database=folder.path / "api.db",
        ballast=folder.path / "ballast",
        client=client,
    )


def _api(folder: RunFolder, port: int) -> Child:
    argv = [sys.executable, "-m", "uvicorn", "--factory", "monitor.demo.api:create", "--no-access-log"]
    argv += [f"--host={LOOPBACK}", f"--port={port}", "--log-level=warning", "--timeout-graceful-shutdown=1"]
    env = {
        "DATABASE_URL": f"sqlite:///{folder.path / 'api.db'}",
        "JWT_SECRET_KEY": secrets.token_hex(),
        "LOG_LEVEL": "WARNING",
        "DEMO_API_FOLDER": str(folder.path),
    }
    return Child("API", argv, env, folder.path)


def _agent(folder: RunFolder, port: int, board: Board) -> Child:
    config = folder.path / "monitor.yml"
    settings = agent_config(folder, port, board.api_url, board.inbox_url)
    config.write_text(yaml.safe_dump(settings, sort_keys=False))
    argv = [sys.executable, "-m", "monitor", "run", "--config", str(config)]
    return Child("agent", argv, {"LOG_LEVEL": "WARNING"}, folder.path)
