//! `serve`, over a socket.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Command, Stdio};

use serde_json::Value;

use crate::program::{badly, program};
use crate::support::http::{Message, forward};
use crate::support::{TestEnv, dump, file, new_requests_table, path};

const LIST: &str = "/api/project/try/runnable_jobs/";
const TRIGGER: &str = "/api/project/try/push/1001/trigger_runnable_jobs/";
const ORIGIN: &str = "https://treeherder.mozilla.org";

/// The program while it serves.
struct Server {
    child: Child,
    stderr: BufReader<ChildStderr>,
    address: String,
}

impl Server {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let line = next_line(&mut stderr);
        let address = line.strip_prefix("Serving ").and_then(|line| line.strip_suffix("/ until Ctrl-C\n"));
        let address = address.unwrap_or_else(|| panic!("it does not serve: {line}")).to_owned();
        Self { child, stderr, address }
    }

    fn ask(&self, method: &str, path: &str) -> Message {
        self.ask_with(method, path, &[])
    }

    fn ask_with(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Message {
        let mut request = Message::answer("", "");
        request.start = format!("{method} {path} HTTP/1.1");
        request = request.with("Host", "127.0.0.1");
        for (name, value) in headers {
            request = request.with(name, value);
        }
        forward(&self.address, &request).unwrap()
    }

    /// Ends the program and returns its log, one value a line.
    fn log(mut self) -> Vec<Value> {
        self.child.kill().unwrap();
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next_line(reader: &mut impl BufRead) -> String {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line
}

fn status(answer: &Message) -> u16 {
    answer.start.split(' ').nth(1).unwrap().parse().unwrap()
}

fn json(answer: &Message) -> Value {
    serde_json::from_slice(&answer.body).unwrap()
}

/// A catalog with the project try.
async fn catalog() -> TestEnv {
    let env = TestEnv::new().await;
    env.ingest(path(&file(&dump(&[("try", 0..12)])))).made_well().await;
    env
}

fn lists_only(env: &TestEnv) -> Command {
    program(&["serve", "--listen", "127.0.0.1:0", "--table", &env.name, "--allowed-origins", ORIGIN])
}

async fn whole(env: &TestEnv) -> Command {
    let mut command = lists_only(env);
    command.args(["--requests-table", &new_requests_table(&env.client).await, "--queue-url", "http://127.0.0.1/queue"]);
    command.env("RUNNABLE_JOBS_TRIGGER_RULES", "{}");
    command
}

#[tokio::test]
async fn the_page_lists_triggering_and_the_reference_are_served_on_one_port() {
    let env = catalog().await;
    let server = Server::start(whole(&env).await);

    let list = server.ask("GET", LIST);
    assert_eq!((status(&list), String::from_utf8(list.body).unwrap()), (200, env.served().await["try"].clone()));
    assert_eq!(json(&server.ask("GET", "/config.json"))["trigger_url"], ".");
    for path in ["/", "/api/docs/", "/api/openapi.json", "/api/projects/", "/__version__", "/__lbheartbeat__"] {
        assert_eq!(status(&server.ask("GET", path)), 200, "{path}");
    }
    assert_eq!(json(&server.ask("GET", "/__heartbeat__"))["checks"]["store"], "ok");
    for (method, path) in [("POST", TRIGGER), ("GET", "/api/trigger_requests/?requester=me")] {
        let answer = server.ask(method, path);
        assert_eq!((status(&answer), &json(&answer)["code"]), (401, &"sign_in_needed".into()), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_path_or_method_is_answered_like_by_the_functions() {
    let env = catalog().await;
    let server = Server::start(whole(&env).await);
    let unknown = server.ask("GET", "/api/project/try/push/1001/nothing/");
    assert_eq!((status(&unknown), &json(&unknown)["code"]), (404, &"not_found".into()));
    assert_eq!(json(&unknown)["detail"], "Nothing is served at /api/project/try/push/1001/nothing/.");
    for (method, path, allowed) in [("DELETE", LIST, "GET,HEAD, OPTIONS"), ("GET", TRIGGER, "POST, OPTIONS")] {
        let answer = server.ask(method, path);
        assert_eq!((status(&answer), &json(&answer)["code"]), (405, &"method_not_allowed".into()), "{path}");
        assert_eq!(answer.header("allow").map(|header| header.replace(", ", ",")), Some(allowed.replace(", ", ",")));
    }
}

#[tokio::test]
async fn every_request_passes_one_layer() {
    let env = catalog().await;
    let server = Server::start(whole(&env).await);
    let paths = [("GET", LIST, "list"), ("POST", TRIGGER, "trigger"), ("GET", "/nowhere", "nowhere")];
    for (method, path, id) in paths {
        let answer = server.ask_with(method, path, &[("X-Request-Id", id), ("Origin", ORIGIN)]);
        let values = |wanted: &str| -> Vec<&str> {
            let headers = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
            headers.map(|(_, value)| value.as_str()).collect()
        };
        assert_eq!(values("x-request-id"), [id]);
        assert_eq!(values("access-control-allow-origin"), [ORIGIN], "{path}");
        assert_eq!(values("content-security-policy").len(), 1, "{path}");
        let vary = values("vary").join(", ");
        assert_eq!(vary.matches("Origin").count(), 1, "{path}: {vary}");
    }
    let log = server.log();
    let found: Vec<(&str, &Value, u64)> = log
        .iter()
        .map(|line| (line["request_id"].as_str().unwrap(), &line["route"], line["status"].as_u64().unwrap()))
        .collect();
    let (list, trigger) = ("/api/project/{project}/runnable_jobs/".into(), TRIGGER.replace("try", "{project}"));
    let trigger = trigger.replace("1001", "{push_id}").into();
    assert_eq!(found, [("list", &list, 200), ("trigger", &trigger, 401), ("nowhere", &Value::Null, 404)]);
}

#[tokio::test]
async fn without_the_settings_of_triggering_only_the_lists_are_served_and_a_message_says_so() {
    let env = catalog().await;
    let mut server = Server::start(lists_only(&env));
    assert_eq!(
        next_line(&mut server.stderr),
        "Serving lists only: to serve triggering too, set RUNNABLE_JOBS_REQUESTS_TABLE, RUNNABLE_JOBS_QUEUE_URL and \
         RUNNABLE_JOBS_TRIGGER_RULES\n"
    );
    assert_eq!(status(&server.ask("GET", LIST)), 200);
    assert_eq!(json(&server.ask("POST", TRIGGER))["code"], "not_found");
    assert_eq!(json(&server.ask("GET", "/config.json"))["trigger_url"], Value::Null);
}

#[test]
fn a_missing_setting_or_a_port_in_use_is_exit_code_2() {
    let serve = |arguments: &[&str]| program(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
    let none = serve(&[]).output().unwrap();
    assert!(badly(&none, 2).starts_with("runnable-jobs: RUNNABLE_JOBS_CATALOG_TABLE is not set"));
    // Some of the settings of triggering are set: the others are missing.
    let some = serve(&["--table", "t", "--requests-table", "r", "--queue-url", "http://127.0.0.1/q"]).output().unwrap();
    assert!(badly(&some, 2).starts_with("runnable-jobs: RUNNABLE_JOBS_TRIGGER_RULES is not set"));

    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let taken = program(&["serve", "--table", "t", "--listen", &address]).output().unwrap();
    assert!(badly(&taken, 2).starts_with(&format!("runnable-jobs: {address} cannot be listened on: ")));
}
