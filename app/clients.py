"""The companies that a user looks after. Somebody else's client looks like one that does not exist."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Query
from pydantic import BaseModel, ConfigDict, StringConstraints
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.auth import CurrentUser
from app.database import Sessions
from app.models import ActivityLog, Client

router = APIRouter(prefix="/clients", tags=["clients"], responses={401: {"description": "No valid token"}})

LARGEST_ID = 2**31 - 1
"""PostgreSQL's integer."""

ClientId = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$"),
]


class NewClient(BaseModel):
    name: Name


class ClientOut(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int
    name: str
    created_at: datetime


def owned_client(session: Session, client_id: int, user_id: int) -> Client:
    """Raises HTTPException 404 when the user has no such client."""
    client = session.get(Client, client_id)
    if client is None or client.user_id != user_id:
        raise HTTPException(404, "No such client")
    return client


@router.post("", status_code=201)
def create_client(new: NewClient, user: CurrentUser, sessions: Sessions) -> ClientOut:
    client = Client(user_id=user.id, name=new.name)
    with sessions.begin() as session:
        session.add_all([client, ActivityLog(user_id=user.id, action="client_created")])
    return ClientOut.model_validate(client)


@router.get("")
def list_clients(
    user: CurrentUser,
    sessions: Sessions,
    after: Annotated[int, Query(ge=0, le=LARGEST_ID, description="The last id of the page before")] = 0,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[ClientOut]:
    page = select(Client).where(Client.user_id == user.id, Client.id > after).order_by(Client.id).limit(limit)
    with sessions() as session:
        return [ClientOut.model_validate(client) for client in session.scalars(page)]


@router.get("/{client_id}", responses={404: {"description": "No such client of this user"}})
def read_client(client_id: ClientId, user: CurrentUser, sessions: Sessions) -> ClientOut:
    with sessions() as session:
        return ClientOut.model_validate(owned_client(session, client_id, user.id))
