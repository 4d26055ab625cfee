"""The version that /health, the OpenAPI document and `app_build_info` report."""

from importlib.metadata import version

VERSION = version("paciolus-monitor")
