"""The agent's own port: a page for people, /metrics and /-/healthy for machines, a JSON API."""

from monitor.web.app import create_web
from monitor.web.page import Page
from monitor.web.server import serve

__all__ = ["Page", "create_web", "serve"]
