from __future__ import annotations

import httpx

from tests.app.conftest import log_in, upload


def history(client: httpx.Client) -> list[tuple[str, int | None]]:
    """Oldest first."""
    answer = client.get("/activity")
    assert answer.status_code == 200
    return [(each["action"], each["subject_id"]) for each in reversed(answer.json())]


def test_everything_that_one_did_is_told(user: httpx.Client) -> None:
    client_id = user.post("/clients", json={"name": "Analytical Engines Ltd"}).json()["id"]
    user.put(f"/clients/{client_id}", json={"name": "Difference Engines Ltd"})
    summary_id = upload(user, client_id=str(client_id)).json()["summary_id"]
    user.post("/export/pdf", json={"summary_id": summary_id})
    user.delete(f"/clients/{client_id}")
    assert history(user) == [
        ("registered", None),
        ("client_created", client_id),
        ("client_updated", client_id),
        ("trial_balance_analysed", summary_id),
        ("exported_pdf", summary_id),
        ("client_deleted", client_id),
    ]


def test_nothing_of_a_trial_balance_is_told(user: httpx.Client) -> None:
    diagnosis = upload(user, b"Account,Debit,Credit\n1000 Xyzzy,,12345.67\n4000 Plugh,12345.67,\n").json()
    assert user.post("/export/excel", json={"diagnostic": diagnosis}).status_code == 200
    told = user.get("/activity").text
    for secret in ("Xyzzy", "Plugh", "12345", "trial-balance.csv"):
        assert secret not in told


def test_newest_first_in_pages(user: httpx.Client) -> None:
    for n in range(6):
        user.post("/clients", json={"name": f"client {n}"})
    page = user.get("/activity", params={"limit": 3})
    ids = [each["id"] for each in page.json()]
    user.post("/clients", json={"name": "moves no page"})
    while "next" in page.links:
        page = user.get(page.links["next"]["url"])
        ids += [each["id"] for each in page.json()]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == 7


def test_everybody_sees_their_own(user: httpx.Client) -> None:
    user.headers["Authorization"] = f"Bearer {log_in(user, 'eve@example.com')}"
    assert history(user) == [("registered", None)]
    del user.headers["Authorization"]
    assert user.get("/activity").status_code == 401
