"""`python -m app.migrate upgrade`: the schema of DATABASE_URL's database, without an alembic.ini."""

from __future__ import annotations

import argparse
import sys

from alembic.util import CommandError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from app import migrations
from app.database import make_engine
from app.settings import Settings, SettingsError


def main() -> None:
    arguments = _parser().parse_args()
    try:
        engine = make_engine(Settings.load())
        _do(engine, arguments.command, getattr(arguments, "revision", ""))
        print(f"at {migrations.current(engine) or 'base'}, head is {migrations.head()}")  # noqa: T201
    except (SettingsError, CommandError, RuntimeError) as error:
        sys.exit(str(error))
    except SQLAlchemyError as error:
        sys.exit(f"database: {getattr(error, 'orig', None) or error}".strip())


def _do(engine: Engine, command: str, revision: str) -> None:
    if command == "upgrade":
        migrations.upgrade(engine, revision)
    elif command == "downgrade":
        migrations.downgrade(engine, revision)
    elif command == "check":
        migrations.check(engine)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m app.migrate", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    upgrade = commands.add_parser("upgrade", help="to the newest revision, or to REVISION")
    upgrade.add_argument("revision", nargs="?", default="head", metavar="REVISION")
    downgrade = commands.add_parser("downgrade", help="to REVISION; -1 is one step, base drops all tables")
    downgrade.add_argument("revision", metavar="REVISION")
    commands.add_parser("current", help="which revision the database has")
    commands.add_parser("check", help="whether models and database agree")
    return parser


if __name__ == "__main__":
    main()
