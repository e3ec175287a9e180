"""`make run DOCKER=1` without Docker: compose.yaml, the files that it mounts, and the settings that depend on it."""

import contextlib
import json
import re
import ssl
import tempfile
import threading
import unittest
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest import mock

import pytest
import yaml
from botocore.exceptions import ClientError

from localstack import broker, containers, deployment
from localstack.deployment import Deployment
from localstack.programs import FUNCTIONS
from localstack.services import Services
from tests.support.runtime_api import WITHOUT_STORE, Function, event
from tests.support.stack import PROGRAMS

PORTS = (4501, 4502, 4503, 4504, 4505)


def services(folder: Path) -> dict[str, dict]:
    """The services of compose.yaml, with the variables in it as Compose would set them."""
    variables = containers._environment(folder, PORTS)
    text = re.sub(r"\$\{(\w+)\}", lambda found: variables[found[1]], containers.COMPOSE.read_text())
    return yaml.safe_load(text)["services"]


class Containers(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory())) / "docker"
        self.services = services(self.folder)

    def start(self) -> Services:
        """Write the files for the containers, which themselves do not start."""
        self.enterContext(mock.patch.object(containers._Containers, "_compose", self.compose))
        self.enterContext(mock.patch.object(containers.subprocess, "run"))
        self.enterContext(mock.patch.object(containers.environment, "use"))
        self.enterContext(mock.patch.object(containers, "LOG", self.folder.parent / "docker.log"))
        self.enterContext(contextlib.redirect_stdout(None))
        ends = self.enterContext(contextlib.ExitStack())
        return containers.start(ends, self.folder)

    def compose(self, *words: str, **_: object) -> mock.Mock:
        printed = {"treeherder": "http://127.0.0.1:8000\n1001\n", "taskcluster": "http://a\nhttp://b\ntask\n"}
        return mock.Mock(returncode=0, stdout=printed.get(words[-1], ""))

    def mounted(self, service: str) -> dict[str, Path]:
        """The files of this machine that a service mounts, by their names inside."""
        pairs = (volume.split(":")[:2] for volume in self.services[service].get("volumes", []))
        return {inside: Path(outside) for outside, inside in pairs}

    def test_ports_are_open_on_this_machine_alone(self) -> None:
        published = {port for service in self.services.values() for port in service["ports"]}

        inside = {4501: 4566, 4502: 5672, 4503: 8000, 4504: 4504, 4505: 4505}
        self.assertEqual(published, {f"127.0.0.1:{here}:{there}" for here, there in inside.items()})
        for service in self.services.values():
            self.assertNotIn("network_mode", service)

    def test_images_have_a_full_version_and_services_a_health_check(self) -> None:
        for name, service in self.services.items():
            with self.subTest(name):
                self.assertRegex(service["image"], r"^[a-z/]+:\d+\.\d+\.\d+(-[a-z-]+)?$")
                self.assertIn("test", service["healthcheck"])

    def test_the_broker_loads_the_same_users_and_permissions_as_without_docker(self) -> None:
        services = self.start()
        files = self.mounted("broker")
        configuration = dict(
            line.split(" = ") for line in files["/etc/rabbitmq/conf.d/90-runnable-jobs.conf"].read_text().splitlines()
        )
        definitions = json.loads(files[configuration["load_definitions"]].read_text())
        wanted = json.loads(broker.definitions_of(services.passwords))

        self.assertEqual(definitions["permissions"], wanted["permissions"])
        self.assertEqual(
            [(user["name"], user["tags"]) for user in definitions["users"]], [("treeherder", ""), ("listener", "")]
        )
        self.assertEqual(definitions["permissions"][0]["write"], "^(exchange/treeherder/.*|queue/treeherder/.*)$")
        port = configuration["listeners.ssl.default"]
        self.assertEqual(services.parameters["PulseUrl"], f"amqps://broker:{port}/%2f")

    def test_the_brokers_certificate_is_one_that_the_forward_function_trusts(self) -> None:
        services = self.start()
        files = self.mounted("broker")
        flags = self.services["localstack"]["environment"]["LAMBDA_DOCKER_FLAGS"]
        [(outside, inside)] = re.findall(r'--volume "(\S+):(\S+)"', flags)
        self.assertIn(f"RUNNABLE_JOBS_PULSE_CERTIFICATES={inside} ", flags)
        client, server = ssl.create_default_context(cafile=outside), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(files["/pulse/server.pem"], files["/pulse/server.key"])

        host = urllib.parse.urlsplit(services.parameters["PulseUrl"]).hostname
        assert host
        self.assertIn(host, self.services)
        for name, is_trusted in ((host, True), ("localstack", False)):
            with self.subTest(name):
                self.assertEqual(shake_hands(client, server, name), is_trusted)

    def test_functions_use_the_names_of_services_and_this_machine_its_own_ports(self) -> None:
        services = self.start()

        for name in ("EndpointUrl", "PulseUrl", "TreeherderUrl"):
            self.assertIn(urllib.parse.urlsplit(services.parameters[name]).hostname, self.services)
        network = self.services["localstack"]["environment"]["LAMBDA_DOCKER_NETWORK"]
        self.assertEqual(network, f"{containers.PROJECT}_default")
        for url in (
            services.endpoint,
            services.treeherder,
            services.taskcluster,
            services.artifacts,
            f"amqp://{services.pulse}",
        ):
            self.assertRegex(url, r"^\w+://127\.0\.0\.1:\d+")
        self.assertEqual((services.push_id, services.decision_task_id), ("1001", "task"))
        # The functions put it into links, for a browser.
        self.assertEqual(services.parameters["TreeherderPublicUrl"], services.treeherder)

    @pytest.mark.stack
    def test_localstack_accepts_the_origins_and_the_headers_that_the_functions_accept(self) -> None:
        services = self.start()
        localstack = self.services["localstack"]["environment"]
        origins = services.parameters["AllowedOrigins"]

        self.assertEqual(localstack["EXTRA_CORS_ALLOWED_ORIGINS"], origins)
        self.assertRegex(localstack["EXTRA_CORS_ALLOWED_ORIGINS"], r"^https://[\w.]+(,https?://[\w.:]+)*$")
        # LocalStack splits at commas alone.
        headers = preflight(origins.split(",")[0])["access-control-allow-headers"]
        self.assertEqual(localstack["EXTRA_CORS_ALLOWED_HEADERS"], headers.lower().replace(" ", ""))

    def test_the_log_of_a_function_is_found_where_localstack_writes_it_and_where_the_template_says(self) -> None:
        lines = {"/aws/lambda/stack-jobs": ["of LocalStack\n"], "stack-JobsLogGroup": ["of the template"]}

        class Missing(ClientError):
            def __init__(self) -> None:
                super().__init__({"Error": {"Code": "ResourceNotFoundException"}}, "FilterLogEvents")

        def paginate(logGroupName: str) -> list[dict]:
            if logGroupName not in lines:
                raise Missing
            return [{"events": [{"message": line} for line in lines[logGroupName]]}]

        folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.object(deployment, "RUN", folder))
        outputs = [(function.name, function.output) for function in FUNCTIONS.values()]
        found = Deployment.__new__(Deployment)
        found.outputs = {output: f"stack-{name}" for name, output in outputs}
        found.logs = mock.Mock()
        found.logs.get_paginator.return_value.paginate = paginate
        found.lambda_ = mock.Mock()
        found.lambda_.get_function_configuration = lambda FunctionName: {
            "LoggingConfig": {"LogGroup": FunctionName.replace("jobs", "JobsLogGroup")}
        }

        found.save_function_logs()

        self.assertEqual((folder / "jobs-function.log").read_text(), "of the template\nof LocalStack\n")
        self.assertEqual((folder / "etl-function.log").read_text(), "")

    def test_a_function_url_is_requested_by_its_host_at_the_port_of_this_machine(self) -> None:
        asked = []

        class Server(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers["Host"]))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        server = self.enterContext(HTTPServer(("127.0.0.1", 0), Server))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.shutdown)
        stack = Deployment.__new__(Deployment)
        stack.has_fronts_in_path = False
        stack.lambda_ = mock.Mock()
        stack.lambda_.meta.endpoint_url = f"http://127.0.0.1:{server.server_port}"
        stack.outputs = {"BaseUrl": "https://abc.lambda-url.us-east-1.localhost.localstack.cloud:4566"}

        url = stack.url("BaseUrl")
        stack.ask("jobs", f"{url}/__heartbeat__")

        host = f"abc.lambda-url.us-east-1.localhost.localstack.cloud:{server.server_port}"
        self.assertEqual(url, f"http://{host}")
        self.assertEqual(asked, [("/__heartbeat__", host)])


def preflight(origin: str) -> dict[str, str]:
    """The headers of the jobs function's answer to a preflight request."""
    sent = json.loads(event("/api/projects/", origin=origin, access_control_request_method="GET"))
    sent["requestContext"]["http"]["method"] = "OPTIONS"
    environment = WITHOUT_STORE | {"RUNNABLE_JOBS_ALLOWED_ORIGINS": origin}
    with Function(PROGRAMS.function("jobs"), environment) as function:
        return function.ask(json.dumps(sent).encode(), 204).answer["headers"]


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> bool:
    """Whether a client that looks for `name` accepts the server's certificate."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there, server_hostname=name)
    answering = server.wrap_bio(there, back, server_side=True)
    for _ in range(4):
        for side in (asking, answering):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return asking.version() is not None
