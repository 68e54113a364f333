"""Sessions: the traces of one conversation, or of one visit of a user."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """The sums of one session, or conversation, over its traces; `traces.find(session=session.id)` returns these.

    `start` is when its first trace started and `end` when its last one ended, in ISO 8601 in UTC. `cost` is in US
    dollars, and None if no call has a cost; it leaves out `unpriced` calls. `user` is one user of the session.
    """

    id: str
    user: str | None
    start: str
    end: str
    traces: int
    errors: int
    tokens: int
    cost: float | None
    unpriced: int


SESSIONS = """
WITH held AS (SELECT DISTINCT session, trace_id FROM spans WHERE session IS NOT NULL AND evaluates IS NULL),
users AS (SELECT session, max(user) AS user FROM spans WHERE session IS NOT NULL GROUP BY session)
SELECT session AS id, user, min(start) AS start,
    strftime('%Y-%m-%dT%H:%M:%fZ', max(start_ns / 1e9 + duration), 'unixepoch') AS end, count(*) AS traces,
    sum(errors > 0) AS errors, sum(tokens) AS tokens, sum(cost) AS cost, sum(unpriced) AS unpriced
FROM held JOIN traces USING (trace_id) JOIN users USING (session)
WHERE trace_id IN (SELECT value FROM json_each(?))
GROUP BY session ORDER BY max(start_ns) DESC
"""
"""The query for the fields of `Session`; its parameter is a JSON list of trace ids."""
