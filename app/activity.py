"""What a user has done, newest first. Of a trial balance: that there was one, never what was in it."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from app.auth import CurrentUser
from app.database import Sessions
from app.models import ActivityLog
from app.paging import NEXT_PAGE, Page
from app.problems import problems

router = APIRouter(prefix="/activity", tags=["activity"])


class Activity(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: int = Field(examples=[42])
    action: str = Field(examples=["trial_balance_analysed"])
    subject_id: int | None = Field(description="The id of its client or summary", examples=[7])
    created_at: datetime


@router.get("", responses={200: NEXT_PAGE, **problems(401, 422, 503)})
def list_activity(user: CurrentUser, sessions: Sessions, page: Page) -> list[Activity]:
    rows = select(ActivityLog).where(ActivityLog.user_id == user.id)
    with sessions() as session:
        found = page.of(session, rows, ActivityLog.id, newest_first=True)
    return [Activity.model_validate(row) for row in found]
