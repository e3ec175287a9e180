"""Hooks: they make tasks when they are called."""

import secrets
import time

from localstack.fakes.pushes import slugid
from localstack.fakes.taskcluster import action_task
from localstack.fakes.taskcluster.api import Call, Found, Route, Service, page
from localstack.fakes.taskcluster.clients import TRIGGER
from localstack.fakes.taskcluster.errors import ApiError
from localstack.fakes.taskcluster.hooks import TRIGGER_SCHEMA, Fire, Firing, Hook
from localstack.fakes.taskcluster.schema import errors


class Hooks(Service):
    """The calls of `/api/hooks/v1`."""

    def routes(self) -> tuple[Route, ...]:
        hook = "/hooks/<hookGroupId>/<hookId>"
        return (
            Route(f"GET {hook}", "hook", self._hook),
            Route(f"POST {hook}/trigger", "triggerHook", self._trigger),
            Route(f"GET {hook}/last-fires", "listLastFires", self._last_fires, ("limit", "continuationToken")),
        )

    def _found(self, call: Call) -> Hook | None:
        return self.state.hooks.get(f"{call.parameters['hookGroupId']}/{call.parameters['hookId']}")

    def _hook(self, call: Call) -> Found:
        if not (hook := self._found(call)):
            raise ApiError("ResourceNotFound", "No such hook")
        return Found(hook.definition())

    def _last_fires(self, call: Call) -> Found:
        hook = self._found(call)
        if not hook or not hook.fires:
            raise ApiError("ResourceNotFound", "No such hook or never fired")
        tasks = (self.state.tasks.get(fire.task_id) for fire in hook.fires)
        return page(hook.last_fires({task.task_id: task.state for task in tasks if task}), call.query, "lastFires")

    def _trigger(self, call: Call) -> Found:
        payload = call.body
        if not isinstance(payload, dict):
            raise ApiError(
                "InputValidationError",
                "Schema Validation Failed!\nRejecting Schema: trigger-hook.json#\nErrors:\n  * data must be object",
            )
        call.caller.require(f"{TRIGGER}{call.parameters['hookGroupId']}/{call.parameters['hookId']}")
        if not (hook := self._found(call)):
            raise ApiError("ResourceNotFound", "No such hook")
        if found := errors(TRIGGER_SCHEMA, payload):
            raise ApiError("InputError", "; ".join(found))
        task_id, begun_at = slugid(secrets.token_hex(16)), time.time()
        firing = self.state.counted(self.state.firing)
        if not firing and payload["decision"]["repository"]["level"] != hook.level:
            firing = Firing("refused")
        match firing:
            case Firing(kind="declined"):
                return Found({})
            case Firing(kind="hanging"):
                return self._hang(firing, hook, Fire(task_id, begun_at), call)
            case Firing():
                error = firing.error(hook.name)
                hook.fires.append(Fire(task_id, begun_at, error))
                raise ApiError("InsufficientScopes" if firing.kind == "refused" else "InputError", error)
        action_task.create(self.state, task_id, hook, payload, call.caller.client_id or "")
        hook.fires.append(Fire(task_id, begun_at))
        return Found({"taskId": task_id, "status": {"taskId": task_id}})

    def _hang(self, firing: Firing, hook: Hook, fire: Fire, call: Call) -> Found:
        """The service gives up; the Queue makes the task all the same, later."""
        fire.error = "While firing hook: TimeoutError: Request aborted"
        state, payload, client = self.state, call.body, call.caller.client_id or ""

        def end() -> None:
            hook.fires.append(fire)
            state.life.do_later(firing.later, lambda: action_task.create(state, fire.task_id, hook, payload, client))

        error = ApiError("InputError", fire.error)
        return Found(None, wait_seconds=firing.seconds, at_end=end, error=error)
