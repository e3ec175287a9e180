"""The errors of Taskcluster's services, and their form."""

import time
from typing import Any

from localstack.fakes.taskcluster.times import timestamp

STATUSES = {
    "MalformedPayload": 400,
    "InvalidRequestArguments": 400,
    "InputValidationError": 400,
    "InputError": 400,
    "AuthenticationFailed": 401,
    "InsufficientScopes": 403,
    "ResourceNotFound": 404,
    "RequestConflict": 409,
    "ResourceExpired": 410,
    "InputTooLarge": 413,
    "InternalServerError": 500,
}


class ApiError(Exception):
    """An error in Taskcluster's form: its code, and the first part of its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message


def error_content(error: ApiError, method: str, parameters: dict[str, str], payload: Any) -> dict[str, Any]:
    """The body of an error."""
    now, status = timestamp(time.time()), STATUSES[error.code]
    lines = (f"method:     {method}", f"errorCode:  {error.code}", f"statusCode: {status}", f"time:       {now}")
    return {
        "code": error.code,
        "message": f"{error.message}\n\n---\n\n" + "\n".join(f"* {line}" for line in lines),
        "requestInfo": {"method": method, "params": parameters, "payload": payload, "time": now},
    }
