"""The companies that a user looks after. Somebody else's client looks like one that does not exist."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, NoReturn

from fastapi import APIRouter, HTTPException, Path, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app import idempotency
from app.auth import CurrentUser
from app.database import Sessions
from app.errors import ProblemError
from app.models import ActivityLog, Client, User
from app.paging import LARGEST_ID, NEXT_PAGE, Page
from app.problems import problems

router = APIRouter(prefix="/clients", tags=["clients"], responses=problems(401, 422, 503))

ClientId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
    Field(examples=["Analytical Engines Ltd"]),
]

_WITH_ID = problems(404)
_WITH_BODY = problems(400, 413)


class NewClient(BaseModel):
    name: Name


class ClientOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[7])
    name: str = Field(examples=["Analytical Engines Ltd"])
    created_at: datetime


def owned_client(session: Session, client_id: int, user_id: int) -> Client:
    """Raises HTTPException 404 when the user has no such client."""
    return (
        session.scalar(select(Client).where(Client.id == client_id, Client.user_id == user_id)) or _missing()
    )


def _missing() -> NoReturn:
    raise HTTPException(404, "No such client")


def _log(session: Session, user: User, action: str, client_id: int) -> None:
    session.add(ActivityLog(user_id=user.id, action=action, subject_id=client_id))


@router.post("", status_code=201, responses={**_WITH_BODY, **problems(409)})
def create_client(
    new: NewClient, user: CurrentUser, sessions: Sessions, response: Response, key: idempotency.Key = None
) -> ClientOut:
    def create(session: Session) -> int:
        client = Client(user_id=user.id, name=new.name)
        session.add(client)
        session.flush()
        _log(session, user, "client_created", client.id)
        return client.id

    made = idempotency.once(sessions, idempotency.Call(user.id, key, ("client", new.name)), create)
    if made.replayed:
        response.headers[idempotency.REPLAYED] = "true"
    response.headers["Location"] = f"{router.prefix}/{made.id}"
    with sessions() as session:
        client = session.get(Client, made.id)
    if client is None:
        raise ProblemError(409, "deleted", "The client that this Idempotency-Key made has been deleted")
    return ClientOut.model_validate(client)


@router.get("", responses={200: NEXT_PAGE})
def list_clients(user: CurrentUser, sessions: Sessions, page: Page) -> list[ClientOut]:
    mine = select(Client).where(Client.user_id == user.id)
    with sessions() as session:
        return [ClientOut.model_validate(client) for client in page.of(session, mine, Client.id)]


@router.get("/{client_id}", responses=_WITH_ID)
def read_client(client_id: ClientId, user: CurrentUser, sessions: Sessions) -> ClientOut:
    with sessions() as session:
        return ClientOut.model_validate(owned_client(session, client_id, user.id))


@router.put("/{client_id}", responses={**_WITH_ID, **_WITH_BODY})
def update_client(client_id: ClientId, new: NewClient, user: CurrentUser, sessions: Sessions) -> ClientOut:
    renamed = update(Client).where(Client.id == client_id, Client.user_id == user.id).values(name=new.name)
    with sessions.begin() as session:
        client = session.scalar(renamed.returning(Client)) or _missing()
        _log(session, user, "client_updated", client_id)
    return ClientOut.model_validate(client)


@router.delete("/{client_id}", status_code=204, responses=_WITH_ID)
def delete_client(client_id: ClientId, user: CurrentUser, sessions: Sessions) -> None:
    """The summaries of its trial balances stay with the user."""
    mine = delete(Client).where(Client.id == client_id, Client.user_id == user.id)
    with sessions.begin() as session:
        if session.scalar(mine.returning(Client.id)) is None:
            _missing()
        _log(session, user, "client_deleted", client_id)
