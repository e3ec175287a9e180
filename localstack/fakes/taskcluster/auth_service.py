"""Auth: what scopes stand for."""

from localstack.fakes.taskcluster.api import Call, Found, Route, Service
from localstack.fakes.taskcluster.errors import ApiError


class Auth(Service):
    """The calls of `/api/auth/v1`."""

    def routes(self) -> tuple[Route, ...]:
        return (Route("POST /scopes/expand", "expandScopes", self._expand),)

    def _expand(self, call: Call) -> Found:
        match call.body:
            case {"scopes": [*scopes]} if all(isinstance(scope, str) for scope in scopes):
                return Found({"scopes": self.state.clients.expanded(scopes)})
        raise ApiError("InputValidationError", "Schema Validation Failed!\nRejecting Schema: scopes are required")
