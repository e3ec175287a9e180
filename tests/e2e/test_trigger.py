"""Trigger requests as clients see them: the deployed trigger function, behind each front."""

import json
import time
import unittest
import zlib
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from boto3.dynamodb.conditions import Attr
from cryptography.hazmat.primitives.asymmetric import ec

from localstack import openid_provider
from localstack.fakes.treeherder import PUSH_IDS, Control
from localstack.openid_process import TOKEN_SECONDS
from tests.support.sign_in import id_token
from tests.support.stack import PROGRAMS, Answer, Stack, until

LIST = "/api/project/try/runnable_jobs/"
MINE = "/api/trigger_requests/?requester=me"
TREEHERDER = "https://treeherder.mozilla.org"
# AUTHOR may trigger jobs on a push of their own, STRANGER on none. People at mozilla.com may on all.
AUTHOR, STRANGER = "dev@example.org", "stranger@example.org"
PUSH, AUTHORS_PUSH = PUSH_IDS[0], PUSH_IDS[1]
# In place of a person: no sign-in.
NO_SIGN_IN = ""
# Treeherder does not have this push.
NO_PUSH = 999_999


def trigger(push: int, project: str = "try") -> str:
    """The address that triggers jobs on a push."""
    return f"/api/project/{project}/push/{push}/trigger_runnable_jobs/"


@pytest.fixture(scope="class", autouse=True)
def _stack(request: pytest.FixtureRequest, stack_behind: Callable[[str], Stack]) -> None:
    request.cls.stack = stack_behind(request.cls.front)
    request.cls.builds = request.cls.stack.builds()
    request.cls.tokens = {}


class Requests(unittest.TestCase):
    """The tests that hold behind any front. A class for each front inherits them."""

    front: str
    stack: Stack
    # The jobs of `try` that need no other job first.
    builds: list[str]
    # The tokens that were made, by their owners.
    tokens: dict[str, str]
    # pytest collects the classes that inherit this.
    __test__ = False

    def setUp(self) -> None:
        # A person for each test: the same request again would get the answer of the first one.
        self.me = f"test-{zlib.crc32(self.id().encode()):08x}@mozilla.com"
        self.queued()  # Removes messages of other tests.

    def token(self, email: str) -> str:
        """A person's token, the same each time."""
        if email not in self.tokens:
            self.tokens[email] = self.stack.token("--email", email)
        return self.tokens[email]

    def ask(self, method: str, path: str, who: str | None = None, body: Any = None, **headers: str) -> Answer:
        """One request to the trigger function: with a sign-in (default: the test's own person), or without."""
        if who != NO_SIGN_IN:
            headers = {"Authorization": f"Bearer {self.token(who or self.me)}"} | headers
        if body is not None:
            headers = {"Content-Type": "application/json"} | headers
        sent = None if body is None else json.dumps(body).encode()
        return self.stack.ask(method, path, sent, "TRIGGER_BASE_URL", **headers)

    def trigger(self, *names: str, push: int = PUSH, who: str | None = None, **headers: str) -> Answer:
        """Trigger jobs on a push of try."""
        return self.ask("POST", trigger(push), who, {"requested_jobs": names}, **headers)

    def queued(self) -> list[dict]:
        """Receive and delete all messages of the queue."""
        sqs, queue = self.stack.client("sqs"), self.stack.env["QUEUE_URL"]
        found = []
        while messages := sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                found.append(json.loads(message["Body"]))
                sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def stored(self) -> int:
        """The number of items in the requests table, without the counters of people's budgets."""
        return self.stack.requests.scan(
            Select="COUNT", ConsistentRead=True, FilterExpression=~Attr("pk").begins_with("budget#")
        )["Count"]

    def assert_problem(self, answer: Answer, status: int, code: str | None = None) -> dict:
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers.get_content_type(), "application/problem+json")
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["code"], code or problem["code"])
        self.assertTrue(problem["detail"])
        return problem

    def assert_taken(self, answer: Answer) -> dict:
        """The request was accepted and queued; returns the answer."""
        self.assertEqual(answer.status, 202, answer.body)
        taken = answer.json()
        self.assertEqual(taken["state"], "queued")
        self.assertTrue(taken["message"])
        self.assertEqual(answer.headers["Location"], taken["status_url"])
        return taken

    def test_a_person_lists_triggers_and_follows(self) -> None:
        name = self.builds[0]

        taken = self.assert_taken(self.trigger(name))
        followed = self.ask("GET", taken["status_url"])

        self.assertEqual(taken["jobs"], [{"name": name, "state": "accepted", "destination": "pulse"}])
        [message] = self.queued()
        self.assertEqual(message["request_id"], taken["request_id"])
        self.assertEqual(followed.status, 200, followed.body)
        status = followed.json()
        self.assertEqual(
            {key: status[key] for key in ("request_id", "project", "push_id", "state", "requester", "jobs")},
            {
                "request_id": taken["request_id"],
                "project": "try",
                "push_id": PUSH,
                "state": "queued",
                "requester": self.me,
                "jobs": taken["jobs"],
            },
        )
        self.assertRegex(status["revision"], r"^[0-9a-f]{40}$")
        self.assertEqual([event["state"] for event in status["history"]], ["accepted", "queued"])
        self.assertGreater(int(followed.headers["Retry-After"]), 0)

    def test_a_status_that_the_client_has_is_not_sent_again(self) -> None:
        status_url = self.assert_taken(self.trigger(self.builds[0]))["status_url"]
        first = self.ask("GET", status_url)

        again = self.ask("GET", status_url, If_None_Match=first.headers["ETag"])

        self.assertEqual(again.status, 304)
        self.assertEqual(again.body, b"")
        self.assertEqual(again.headers["ETag"], first.headers["ETag"])

    def test_a_request_without_a_sign_in_is_answered_with_401(self) -> None:
        for answer in (self.trigger(self.builds[0], who=NO_SIGN_IN), self.ask("GET", MINE, who=NO_SIGN_IN)):
            self.assert_problem(answer, 401)
        self.assertEqual(self.queued(), [])

    def test_the_path_and_the_key_of_earlier_years_work(self) -> None:
        path = trigger(PUSH).replace("/push/", "/resultset/")

        taken = self.assert_taken(self.ask("POST", path, body={"buildernames": self.builds[:2]}))

        self.assertEqual([job["name"] for job in taken["jobs"]], self.builds[:2])
        self.assertEqual([message["request_id"] for message in self.queued()], [taken["request_id"]])


@pytest.mark.xdist_group("HttpApi")
class BehindAnHttpApi(Requests):
    __test__ = True
    front = "HttpApi"

    def test_a_request_is_listed_for_its_push_and_for_its_requester(self) -> None:
        push = PUSH_IDS[2]
        ids = [self.assert_taken(self.trigger(name, push=push))["request_id"] for name in self.builds[:3]]

        for path in (f"/api/project/try/push/{push}/trigger_requests/", MINE):
            with self.subTest(path):
                listed = self.ask("GET", path)

                self.assertEqual(listed.status, 200, listed.body)
                self.assertEqual([one["request_id"] for one in listed.json()["results"]], ids[::-1])
                self.assertIsNone(listed.json()["next"])

    def test_a_list_of_requests_continues_at_its_next_link(self) -> None:
        ids = [self.assert_taken(self.trigger(name))["request_id"] for name in self.builds[:3]]

        path, pages = f"{MINE}&count=2", []
        while path:
            page = self.ask("GET", path).json()
            pages.append([one["request_id"] for one in page["results"]])
            path = page["next"]

        self.assertEqual([one for page in pages for one in page], ids[::-1])
        self.assertEqual(len(pages[0]), 2)

    def test_each_path_is_the_trigger_functions_with_and_without_a_slash_at_its_end(self) -> None:
        # Without a token that function answers 401 or, where there is no such path for it, 404; the jobs function, to
        # which all other paths go, knows no 401.
        for path in (MINE, MINE.replace("/?", "?"), f"/api/project/try/push/{PUSH}/trigger_requests/"):
            with self.subTest(path):
                self.assert_problem(self.ask("GET", path, who=NO_SIGN_IN), 401)
        self.assertEqual(self.ask("GET", LIST, who=NO_SIGN_IN).status, 200)

    def test_a_made_up_name_does_not_stop_the_rest(self) -> None:
        name = self.builds[0]
        made_up = f"{name}x"

        taken = self.assert_taken(self.trigger(name, made_up, "no such job at all, by any name"))

        good, near, far = taken["jobs"]
        self.assertEqual((good["name"], good["state"]), (name, "accepted"))
        for job in (near, far):
            self.assertEqual((job["state"], job["code"]), ("rejected", "unknown_job"))
            self.assertTrue(job["detail"])
        self.assertEqual((near["name"], near["closest"]), (made_up, name))
        self.assertEqual(len(self.queued()), 1)

    def test_a_request_without_any_known_name_is_refused(self) -> None:
        before = self.stored()

        problem = self.assert_problem(self.trigger("no such job at all, by any name"), 422, "no_known_jobs")

        self.assertEqual([job["code"] for job in problem["jobs"]], ["unknown_job"])
        self.assertEqual((self.queued(), self.stored()), ([], before))

    def test_a_dry_run_describes_the_request_and_stores_nothing(self) -> None:
        before = self.stored()

        answer = self.ask("POST", f"{trigger(PUSH)}?dry_run=true", body={"requested_jobs": self.builds[:1]})

        self.assertEqual(answer.status, 200, answer.body)
        self.assertIsNone(answer.json()["request_id"])
        self.assertEqual(answer.json()["jobs"], [{"name": self.builds[0], "state": "accepted", "destination": "pulse"}])
        self.assertEqual((self.queued(), self.stored()), ([], before))

    def test_the_author_of_a_push_may_and_a_stranger_may_not(self) -> None:
        self.assert_problem(self.trigger(self.builds[0], push=AUTHORS_PUSH, who=STRANGER), 403, "not_allowed")
        self.assert_problem(self.trigger(self.builds[0], push=PUSH, who=AUTHOR), 403, "not_allowed")
        self.assertEqual(self.queued(), [])

        self.assert_taken(self.trigger(self.builds[0], push=AUTHORS_PUSH, who=AUTHOR))

    def test_an_unknown_push_and_an_unknown_project_are_answered_with_404(self) -> None:
        body = {"requested_jobs": self.builds[:1]}

        self.assert_problem(self.ask("POST", trigger(NO_PUSH), body=body), 404, "unknown_push")
        problem = self.assert_problem(self.ask("POST", trigger(PUSH, "tyr"), body=body), 404, "unknown_project")
        self.assertIn("try", problem["closest"])
        self.assertEqual(self.queued(), [])

    def test_an_unknown_request_is_answered_with_404(self) -> None:
        for name in ("01ARZ3NDEKTSV4RRFFQ69G5FAV", "nothing", "a%20b"):
            with self.subTest(name):
                self.assert_problem(self.ask("GET", f"/api/project/try/trigger_requests/{name}/"), 404)

    def test_a_client_that_repeats_a_key_gets_the_same_request(self) -> None:
        first = self.assert_taken(self.trigger(self.builds[0], Idempotency_Key="one-click"))
        again = self.trigger(self.builds[0], Idempotency_Key="one-click")
        other = self.trigger(self.builds[1], Idempotency_Key="one-click")

        self.assertEqual(again.json()["request_id"], first["request_id"])
        self.assert_problem(other, 422, "idempotency_key_reused")
        self.assertEqual(len(self.queued()), 1)

    def test_a_token_that_is_signed_with_another_key_is_refused(self) -> None:
        good = self.token(self.me)
        claims = jwt.decode(good, options={"verify_signature": False})
        header = {"kid": jwt.get_unverified_header(good)["kid"]}
        forged = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers=header)
        unsigned = jwt.encode(claims, None, algorithm="none", headers=header)
        # The key that verifies the signature is public: it must not be accepted for signing.
        shared = jwt.encode(claims, "k" * 32, algorithm="HS256", headers=header)
        changed = ".".join([*good.split(".")[:2], good.split(".")[2][::-1]])

        for name, token in (("forged", forged), ("unsigned", unsigned), ("shared", shared), ("changed", changed)):
            with self.subTest(name):
                answer = self.trigger(self.builds[0], who=NO_SIGN_IN, Authorization=f"Bearer {token}")

                self.assert_problem(answer, 401)
        self.assertEqual(self.queued(), [])

    def test_a_person_who_signs_in_in_a_browser_triggers_jobs(self) -> None:
        signed_in = f"Bearer {id_token(self.stack.env['OIDC_ISSUER'], self.me)}"
        body = {"requested_jobs": self.builds[:1]}

        taken = self.assert_taken(self.ask("POST", trigger(PUSH), NO_SIGN_IN, body, Authorization=signed_in))
        followed = self.ask("GET", taken["status_url"], NO_SIGN_IN, Authorization=signed_in)
        mine = self.ask("GET", MINE, NO_SIGN_IN, Authorization=signed_in)

        self.assertEqual(followed.json()["requester"], self.me)
        # `make token` gives the same person another token.
        self.assertEqual(mine.json()["results"], self.ask("GET", MINE).json()["results"])
        self.assertEqual([found["request_id"] for found in mine.json()["results"]], [taken["request_id"]])
        stranger = f"Bearer {id_token(self.stack.env['OIDC_ISSUER'], STRANGER)}"
        refused = self.ask("POST", trigger(PUSH), NO_SIGN_IN, body, Authorization=stranger)
        self.assert_problem(refused, 403, "not_allowed")

    def test_a_sign_in_that_has_expired_or_whose_address_is_not_verified_is_refused(self) -> None:
        provider = openid_provider.Control(self.stack.env["OIDC_ISSUER"])
        provider.set_claims("unverified@mozilla.com", email="unverified@mozilla.com", email_verified=False)
        unverified = id_token(provider.url, "unverified@mozilla.com")
        self.addCleanup(provider.set_token_seconds, TOKEN_SECONDS)
        provider.set_token_seconds(-600)
        expired = id_token(provider.url, self.me)

        for token, status, code in ((expired, 401, "bad_token"), (unverified, 403, "email_not_verified")):
            with self.subTest(code):
                answer = self.ask("GET", MINE, NO_SIGN_IN, Authorization=f"Bearer {token}")
                self.assert_problem(answer, status, code)

    def test_a_service_triggers_jobs_with_the_rights_of_the_person_it_names(self) -> None:
        token = self.stack.token("--service", "treeherder")
        answers = {
            person: self.ask(
                "POST",
                trigger(AUTHORS_PUSH),
                NO_SIGN_IN,
                {"requested_jobs": self.builds[1:2], "requester": person},
                Authorization=f"Bearer {token}",
            )
            for person in (AUTHOR, STRANGER)
        }

        taken = self.assert_taken(answers[AUTHOR])
        self.assertEqual(self.ask("GET", taken["status_url"]).json()["requester"], AUTHOR)
        self.assert_problem(answers[STRANGER], 403, "not_allowed")

    def test_while_treeherder_is_down_the_rules_alone_decide(self) -> None:
        treeherder = Control(self.stack.env["TREEHERDER_URL"])
        self.addCleanup(self.wait_for_treeherder)
        self.addCleanup(treeherder.set_mode, "ok")
        push = PUSH_IDS[7]  # A new one: the others are cached for a while.
        for mode, name in zip(("down", "garbage", "huge"), self.builds, strict=False):
            with self.subTest(mode):
                treeherder.set_mode(mode)

                taken = self.assert_taken(self.trigger(name, push=push))

                self.assertIsNone(self.ask("GET", taken["status_url"]).json()["revision"])

    def wait_for_treeherder(self) -> None:
        """Return when the function asks Treeherder again, which it does not for some seconds after a failure."""
        path, body = f"{trigger(NO_PUSH)}?dry_run=true", {"requested_jobs": self.builds[:1]}
        until(lambda: self.ask("POST", path, body=body).status == 404, pause=0.5)

    def test_the_sweep_function_runs_when_nothing_is_due(self) -> None:
        answer = self.stack.client("lambda").invoke(FunctionName=self.stack.env["SWEEP_FUNCTION"], Payload=b"{}")

        self.assertNotIn("FunctionError", answer, answer["Payload"].read())

    def test_the_sweep_function_queues_requests_that_were_stored_but_not_queued(self) -> None:
        taken = self.assert_taken(self.trigger(self.builds[0]))
        self.queued()
        self.unqueue(taken["request_id"])
        self.assertEqual(self.ask("GET", taken["status_url"]).json()["state"], "accepted")

        answer = self.stack.client("lambda").invoke(FunctionName=self.stack.env["SWEEP_FUNCTION"], Payload=b"{}")

        self.assertNotIn("FunctionError", answer, answer["Payload"].read())
        self.assertEqual(self.queued(), [{"request_id": taken["request_id"], "round": 1}])
        status = self.ask("GET", taken["status_url"]).json()
        self.assertEqual(status["state"], "queued")
        self.assertEqual([event["state"] for event in status["history"]], ["accepted", "queued"])

    def unqueue(self, request: str) -> None:
        """Change a request to what it would be if the queue had not answered some minutes ago."""
        key = {"pk": f"request#{request}", "sk": "head"}
        head = self.stack.requests.get_item(Key=key, ConsistentRead=True)["Item"]
        kept = {"state": "accepted", "version": 1, "history": head["history"][:1], "due_at": int(time.time()) - 1}
        self.stack.requests.put_item(Item=head | kept)

    def test_operators_list_requests_on_the_command_line(self) -> None:
        request = self.assert_taken(self.trigger(self.builds[0]))["request_id"]

        listed = self.stack.in_shell(*PROGRAMS.requests("list", "--count", "1000"))

        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertIn(request, listed.stdout)

    def test_only_treeherders_page_may_use_the_trigger_api_from_a_browser(self) -> None:
        allowed = self.ask("GET", MINE, Origin=TREEHERDER)
        other = self.ask("GET", MINE, Origin="https://example.org")

        self.assertEqual(allowed.headers.get_all("Access-Control-Allow-Origin"), [TREEHERDER])
        self.assertNotIn("Access-Control-Allow-Origin", other.headers)

    def test_nothing_logs_a_token(self) -> None:
        good, stranger = self.token(self.me), self.token(STRANGER)
        spoiled = good[:-8] + "AAAAAAAA"
        self.assertEqual(self.trigger(self.builds[0]).status, 202)
        self.assertEqual(self.trigger(self.builds[0], who=STRANGER).status, 403)
        self.assertEqual(self.trigger(self.builds[0], who=NO_SIGN_IN, Authorization=f"Bearer {spoiled}").status, 401)
        self.assertEqual(self.stack.ask("GET", LIST, Authorization=f"Bearer {good}").status, 200)

        logs = {name: self.log_of(name) for name in ("JOBS_FUNCTION", "TRIGGER_FUNCTION")}
        for file in self.stack.run.glob("*.log"):
            logs[file.name] = file.read_text(errors="replace")

        for name in ("JOBS_FUNCTION", "TRIGGER_FUNCTION"):
            self.assertIn("trigger" if name == "TRIGGER_FUNCTION" else "runnable_jobs", logs[name])
        for name, log in logs.items():
            for token in (good, stranger, spoiled):
                # Neither the whole token nor a part: its claims, or its signature.
                for part in token.split(".")[1:]:
                    self.assertNotIn(part, log, name)

    def log_of(self, function: str) -> str:
        """The log of a deployed function so far."""
        configuration = self.stack.client("lambda").get_function_configuration(FunctionName=self.stack.env[function])
        pages = (
            self.stack.client("logs")
            .get_paginator("filter_log_events")
            .paginate(logGroupName=configuration["LoggingConfig"]["LogGroup"])
        )
        return "\n".join(event["message"] for page in pages for event in page["events"])


@pytest.mark.xdist_group("FunctionUrl")
class BehindAFunctionUrl(Requests):
    __test__ = True
    front = "FunctionUrl"

    # Not behind the HTTP API: the emulator answers OPTIONS there itself; AWS does so only if CORS is configured.
    def test_a_preflight_request_of_treeherders_page_is_answered(self) -> None:
        answer = self.ask(
            "OPTIONS",
            trigger(PUSH),
            NO_SIGN_IN,
            Origin=TREEHERDER,
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="authorization, content-type, idempotency-key",
        )

        self.assertIn(answer.status, (200, 204), answer.body)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], TREEHERDER)
        self.assertIn("POST", answer.headers["Access-Control-Allow-Methods"])
        for header in ("authorization", "content-type", "idempotency-key"):
            self.assertIn(header, answer.headers["Access-Control-Allow-Headers"].lower())
