"""Lists in pages, the same way everywhere: `limit`, `after`, and a Link header to the next page (RFC 8288).

The cursor is the id that the page before ended with, so rows that come or go meanwhile neither repeat nor
hide others, and the last page costs the database no more than the first.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

LARGEST_ID = 2**31 - 1
"""PostgreSQL's integer."""
MOST_ROWS = 200

NEXT_PAGE: dict[str, Any] = {
    "headers": {
        "Link": {
            "description": 'The next page, if there is one: `<path and query>; rel="next"`',
            "schema": {"type": "string"},
        }
    }
}
"""For the 200 of a route's `responses`."""


class Paging:
    """Which page a request asks for; `of` reads it and tells the response where the next one is."""

    def __init__(
        self,
        request: Request,
        response: Response,
        after: Annotated[
            int | None, Query(ge=1, le=LARGEST_ID, description="The last id of the page before")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 50,
    ) -> None:
        self._url = request.url
        self._response = response
        self._after = after
        self._limit = limit

    def of(
        self,
        session: Session,
        rows: Select[Any],
        id_: InstrumentedAttribute[int],
        *,
        newest_first: bool = False,
    ) -> list[Any]:
        if self._after is not None:
            rows = rows.where(id_ < self._after if newest_first else id_ > self._after)
        ordered = rows.order_by(id_.desc() if newest_first else id_)
        found = list(session.scalars(ordered.limit(self._limit + 1)))
        if len(found) > self._limit:
            self._link(getattr(found[self._limit - 1], id_.key))
        return found[: self._limit]

    def _link(self, last: int) -> None:
        following = self._url.include_query_params(after=last, limit=self._limit)
        self._response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'


Page = Annotated[Paging, Depends()]
