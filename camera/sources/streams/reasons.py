"""Why a network camera does not open, in words that no address is in."""

REFUSED = "nobody listens there (connection refused)"
LOGIN, FORBIDDEN, NO_PATH = 401, 403, 404
STATUS = {
    LOGIN: "the login is missing or wrong (401)",
    FORBIDDEN: "this user may not see it (403)",
    NO_PATH: "there is no such path on it (404)",
}


def no_answer(within_s: float) -> str:
    """That none came in time."""
    return f"no answer within {within_s:g} s"
