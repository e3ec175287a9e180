"""The HTTP API as its clients see it: the deployed jobs function, behind each front that the template knows."""

import gzip
import json
import socket
import unittest
import urllib.parse
from collections.abc import Callable

import pytest

from localstack.programs import by_name
from tests.support.stack import PROGRAMS, Answer, Stack

TRY = "/api/project/try/runnable_jobs/"
TREEHERDER = "https://treeherder.mozilla.org"


@pytest.fixture(scope="class", autouse=True)
def _stack(request: pytest.FixtureRequest, stack_behind: Callable[[str], Stack]) -> None:
    request.cls.stack = stack_behind(request.cls.front)


class Api(unittest.TestCase):
    """The tests that hold behind any front. A class for each front inherits them."""

    front: str
    stack: Stack
    # pytest collects the classes that inherit this.
    __test__ = False

    def assert_problem(self, answer: Answer, status: int, code: str | None = None) -> None:
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual(answer.headers.get_content_type(), "application/problem+json")
        problem = answer.json()
        self.assertEqual(problem["status"], status)
        self.assertTrue(problem["request_id"])
        self.assertEqual(problem["code"], code or problem["code"])

    def test_the_list_of_try_matches_the_catalog(self) -> None:
        answer = self.stack.ask("GET", TRY)

        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.headers.get_content_type(), "application/json")
        self.assertNotIn("Content-Encoding", answer.headers)
        served = answer.json()
        self.assertEqual(served["meta"], {"repository": "try", "offset": 0, "count": len(served["results"])})
        stored = json.loads(self.stack.in_shell(*by_name(PROGRAMS.show("try", "--json"))).stdout)
        self.assertEqual(served["results"], stored["results"])

    def test_the_list_of_try_is_compressed_for_clients_that_accept_gzip(self) -> None:
        plain = self.stack.ask("GET", TRY)
        packed = self.stack.ask("GET", TRY, Accept_Encoding="gzip")

        self.assertEqual(packed.status, 200)
        self.assertEqual(packed.headers["Content-Encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        for answer in (plain, packed):
            self.assertIn("accept-encoding", answer.headers["Vary"].lower())

    def test_a_list_that_the_client_has_is_not_sent_again(self) -> None:
        for encoding in ("identity", "gzip"):
            with self.subTest(encoding):
                etag = self.stack.ask("GET", TRY, Accept_Encoding=encoding).headers["ETag"]
                answer = self.stack.ask("GET", TRY, Accept_Encoding=encoding, If_None_Match=etag)

                self.assertRegex(etag, r'^"[^"]+"$')
                self.assertEqual(answer.status, 304)
                self.assertEqual(answer.body, b"")
                self.assertEqual(answer.headers["ETag"], etag)

    def test_a_client_with_an_older_list_gets_the_new_one(self) -> None:
        self.assertEqual(self.stack.ask("GET", TRY, If_None_Match='"older"').status, 200)

    def test_head_answers_like_get_without_the_body(self) -> None:
        get, head = self.stack.ask("GET", TRY), self.stack.ask("HEAD", TRY)

        self.assertEqual(head.status, 200)
        self.assertEqual(head.body, b"")
        for name in ("Content-Type", "ETag", "Vary", "Cache-Control"):
            self.assertEqual(head.headers[name], get.headers[name])

    def test_an_address_that_is_not_a_uri_is_answered_like_any_other(self) -> None:
        for target in (
            "/__lbheartbeat__?a=<b>",
            '/__lbheartbeat__?a="{|}^`',
            "/__lbheartbeat__?%",
            "/__lbheartbeat__?a=[b]",
        ):
            with self.subTest(target):
                self.assertEqual(self.raw(target), 200)
        for target in ("/a<b>", "/a{b}|^`", "/%", "/%ff", "//a", "/a%00b"):
            with self.subTest(target):
                self.assertIn(self.raw(target), (400, 404))
        self.assertEqual(self.raw("/__lbheartbeat__"), 200)

    def test_a_name_is_looked_up_as_it_was_sent(self) -> None:
        known = self.stack.ask("GET", TRY).json()["results"][0]["ref_data_name"]
        self.assertEqual(self.stack.ask("GET", TRY + urllib.parse.quote(known, safe="") + "/").status, 200)
        first = known.split()[0]
        for name in self.names(first):
            with self.subTest(name):
                answer = self.stack.ask("GET", TRY + urllib.parse.quote(name, safe="") + "/")

                self.assert_problem(answer, 404, "unknown_job")
                self.assertIn(f"'{name}'", answer.json()["detail"])
        # Cut at the #, it would be the name of a job.
        for cut in ("#b", "#"):
            self.assert_problem(
                self.stack.ask("GET", TRY + urllib.parse.quote(known + cut, safe="") + "/"), 404, "unknown_job"
            )

    def names(self, word: str) -> list[str]:
        """Names that no job has, with the characters that have a meaning in an address."""
        return [
            f"{word}{odd}b" for odd in ("#", "+", "/", " ", "&=", '"<>', "[]", "|\\^`", "\u00e9\u20ac", ";,@:", "//")
        ]

    def raw(self, target: str) -> int:
        """The status of the answer to a request with exactly this target: a client library would encode it."""
        url = urllib.parse.urlsplit(self.stack.env["BASE_URL"])
        with socket.create_connection((url.hostname, url.port), timeout=20) as connection:
            request = f"GET {url.path}{target} HTTP/1.1\r\nHost: {url.netloc}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode())
            with connection.makefile("rb") as answer:
                return int(answer.readline().split()[1])

    def test_an_unknown_project_is_answered_with_404(self) -> None:
        self.assert_problem(self.stack.ask("GET", "/api/project/no-such/runnable_jobs/"), 404, "unknown_project")

    def test_an_unknown_path_is_answered_with_404(self) -> None:
        self.assert_problem(self.stack.ask("GET", "/api/no/such/path/"), 404)

    def test_a_method_that_a_list_does_not_support_is_answered_with_405(self) -> None:
        answer = self.stack.ask("DELETE", TRY)

        self.assert_problem(answer, 405)
        self.assertIn("GET", answer.headers["Allow"])

    def test_the_projects_are_those_of_the_catalog(self) -> None:
        answer = self.stack.ask("GET", "/api/projects/")

        self.assertEqual(answer.status, 200, answer.body)
        counts = {project["name"]: project["jobs"] for project in answer.json()["projects"]}
        [names] = [item["project_names"] for item in self.stack.items("projects")]
        self.assertEqual(set(counts), set(names))
        self.assertEqual(counts["try"], self.stack.ask("GET", TRY).json()["meta"]["count"])

    def test_the_function_reports_its_health_and_its_version(self) -> None:
        for path in ("/__heartbeat__", "/__lbheartbeat__", "/__version__"):
            with self.subTest(path):
                answer = self.stack.ask("GET", path)

                self.assertEqual(answer.status, 200, answer.body)

    def test_the_function_serves_its_openapi_document(self) -> None:
        description = self.stack.ask("GET", "/api/openapi.json")
        page = self.stack.ask("GET", "/api/docs/")

        self.assertEqual(description.status, 200)
        self.assertIn("/api/project/{project}/runnable_jobs/", description.json()["paths"])
        self.assertEqual(page.status, 200)
        self.assertEqual(page.headers.get_content_type(), "text/html")

    def test_only_treeherders_page_may_read_the_lists_from_a_browser(self) -> None:
        allowed = self.stack.ask("GET", TRY, Origin=TREEHERDER)
        other = self.stack.ask("GET", TRY, Origin="https://example.org")

        self.assertEqual(allowed.headers.get_all("Access-Control-Allow-Origin"), [TREEHERDER])
        self.assertNotIn("Access-Control-Allow-Origin", other.headers)
        for answer in (allowed, other):
            # One header: if a function sends several of the same name, only one arrives.
            self.assertRegex(answer.headers["Vary"].lower(), r"\borigin\b")


@pytest.mark.xdist_group("HttpApi")
class BehindAnHttpApi(Api):
    __test__ = True
    front = "HttpApi"

    def names(self, word: str) -> list[str]:
        # Behind a function URL the emulator decodes these; AWS does not.
        return [*super().names(word), f"{word}%b", f"{word}%23b", f"{word}%2Fb", f"{word}%25b"]


@pytest.mark.xdist_group("FunctionUrl")
class BehindAFunctionUrl(Api):
    __test__ = True
    front = "FunctionUrl"

    # Not behind the HTTP API: the emulator answers OPTIONS there itself; AWS does so only if CORS is configured.
    def test_a_preflight_request_of_treeherders_page_is_answered(self) -> None:
        answer = self.stack.ask("OPTIONS", TRY, Origin=TREEHERDER, Access_Control_Request_Method="GET")

        self.assertIn(answer.status, (200, 204), answer.body)
        self.assertEqual(answer.headers["Access-Control-Allow-Origin"], TREEHERDER)
