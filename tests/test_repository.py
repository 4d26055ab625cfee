"""What must agree across files: runbooks and objectives, dependencies and their reasons, links and files."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from app.main import create_app
from app.settings import Settings
from monitor.metrics import AgentMetrics
from monitor.selfwatch import RUNBOOKS as OWN_RUNBOOKS

HOUSE = Path(__file__).parent.parent
RULES = (HOUSE / "alerts/rules.yml", HOUSE / "alerts/grafana/rules.yml")
DOCUMENTS = [*HOUSE.glob("*.md"), *(HOUSE / "docs").rglob("*.md")]
# Split, so that this file does not find itself.
MACHINE_PATHS = re.compile(r"(?<![\w.])/(?:wor" + r"k/main|work/shared|roo" + r"t/|home/\w+/)")
REGISTRIES = re.compile(
    r"https?://[^\s\"']*(?:/simp" + r"le\b|pypi|pythonhosted|npmjs|/artifactory|/nexus)", re.IGNORECASE
)


def project_files() -> list[Path]:
    """Tracked files and those about to be."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=HOUSE, capture_output=True, text=True, check=False, timeout=30)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [HOUSE / name for name in listed.stdout.splitlines() if (HOUSE / name).is_file()]


@pytest.mark.parametrize("forbidden", [MACHINE_PATHS, REGISTRIES], ids=["machine paths", "registries"])
def test_nothing_of_the_machine_that_it_was_made_on(forbidden: re.Pattern[str]) -> None:
    found = [
        f"{file.relative_to(HOUSE)}:{number}: {line.strip()[:80]}"
        for file in project_files()
        for number, line in enumerate(file.read_text(errors="ignore").splitlines(), 1)
        if forbidden.search(line)
    ]
    assert not found


def test_constraints_are_plain_pins() -> None:
    lines = (HOUSE / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"#.*|[\w.-]+==[\w.]+", line)] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(HOUSE).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    local = [target.partition("#")[0] for target in targets if "://" not in target]
    assert [target for target in local if not (document.parent / target).exists()] == []


def test_every_alert_has_its_runbook_and_every_runbook_an_alert() -> None:
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    alerts = [rule for group in groups for rule in group["rules"] if "annotations" in rule]
    wanted = {*OWN_RUNBOOKS, *(alert["annotations"]["runbook"] for alert in alerts)}
    assert wanted == {path.relative_to(HOUSE).as_posix() for path in (HOUSE / "docs/runbooks").iterdir()}


def test_every_objective_is_named_in_its_runbook() -> None:
    objectives = yaml.safe_load((HOUSE / "alerts/objectives.yml").read_text())["objectives"]
    for objective in objectives:
        assert f"`{objective['name']}`" in (HOUSE / objective["runbook"]).read_text(), objective["name"]


def test_runbooks_name_metrics_that_exist(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    create_app(Settings.load(database_url=f"sqlite:///{tmp_path}/api.db"), registry)
    AgentMetrics(registry)
    families = {family.name for family in registry.collect()}
    first_words = "|".join(sorted({name.partition("_")[0] for name in families}))
    for runbook in (HOUSE / "docs/runbooks").iterdir():
        named = re.findall(rf"\b(?:{first_words})_[a-z]+(?:_[a-z]+)*", runbook.read_text())
        plain = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in named}
        # The start of a name will do: people grep for it.
        strays = [name for name in plain if not any(f"{real}_".startswith(f"{name}_") for real in families)]
        assert not strays, f"{runbook.name}: {strays}"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((HOUSE / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    reasons = re.findall(r"^\| `([\w-]+)` \|", (HOUSE / "docs/dependencies.md").read_text(), re.MULTILINE)
    assert sorted(reasons) == sorted(re.split(r"[<>=;\[]", line)[0].strip() for line in required)
