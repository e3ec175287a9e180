//! A proxy before the emulator's DynamoDB that fails as the real one can and the emulator never does.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::http::{self, Message};

/// What the proxy does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Forwards it, and returns the answer.
    Pass,
    /// Answers with an error of this code, without forwarding it.
    Refuse(&'static str),
    /// Forwards it, and answers with an error of this code: the real answer is lost.
    Lose(&'static str),
    /// Never answers.
    Silence,
    /// Forwards it, and removes all items from the answer: an eventually consistent read may not see them yet.
    Hide,
    /// Forwards a batch without its last entries, this many, and answers that those are unprocessed.
    Leave(usize),
}

/// A proxy. A function of the operation and of its number of entries gives the plan for each request.
pub struct Proxy {
    /// The address of the proxy.
    pub endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts a proxy, which runs until the process of the test ends.
    pub fn start(plan: impl FnMut(&str, usize) -> Plan + Send + 'static) -> Self {
        let upstream = super::endpoint();
        let plan = Mutex::new(plan);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let endpoint = http::serve(move |mut request| {
            let target = request.header("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let mut body: Value = serde_json::from_slice(&request.body).ok()?;
            let entries = entries(&mut body).map_or(1, |entries| entries.len());
            let plan = (plan.lock().ok()?)(&operation, entries);
            log.lock().ok()?.push(operation.clone());
            match plan {
                Plan::Pass => http::forward(&upstream, &request).ok(),
                Plan::Silence => {
                    std::thread::sleep(std::time::Duration::from_mins(1));
                    None
                }
                Plan::Refuse(code) => Some(refusal(code)),
                Plan::Lose(code) => {
                    http::forward(&upstream, &request).ok()?;
                    Some(refusal(code))
                }
                Plan::Hide => {
                    let answer = http::forward(&upstream, &request).ok()?;
                    let mut content: Value = serde_json::from_slice(&answer.body).ok()?;
                    content["Responses"] = json!({});
                    Some(answer.rewritten(&content))
                }
                Plan::Leave(count) => {
                    let unprocessed = split(&mut body, count)?;
                    let name = if operation == "BatchGetItem" { "UnprocessedKeys" } else { "UnprocessedItems" };
                    let answer = if count >= entries {
                        Message::answer("200 OK", "{}").with("Content-Type", "application/x-amz-json-1.0")
                    } else {
                        request.body = serde_json::to_vec(&body).ok()?;
                        http::forward(&upstream, &request).ok()?
                    };
                    let mut content: Value = serde_json::from_slice(&answer.body).ok()?;
                    content[name] = unprocessed;
                    Some(answer.rewritten(&content))
                }
            }
        });
        Self { endpoint, seen }
    }

    /// The operations of all requests so far.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().expect("no panic in the proxy").clone()
    }
}

/// Whether an operation changes the table.
pub fn is_write(operation: &str) -> bool {
    ["BatchWriteItem", "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].contains(&operation)
}

fn refusal(code: &str) -> Message {
    let body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "by the proxy"});
    Message::answer("400 Bad Request", body.to_string()).with("Content-Type", "application/x-amz-json-1.0")
}

/// The entries of a batch, which is of one table here.
fn entries(body: &mut Value) -> Option<&mut Vec<Value>> {
    let table = body.get_mut("RequestItems")?.as_object_mut()?.values_mut().next()?;
    if table.is_array() { table.as_array_mut() } else { table.get_mut("Keys")?.as_array_mut() }
}

/// Takes the last `count` entries out of a batch and returns the same batch of them alone.
fn split(body: &mut Value, count: usize) -> Option<Value> {
    let mut rest = body.clone();
    let all = entries(body)?;
    let taken = all.split_off(all.len().saturating_sub(count));
    *entries(&mut rest)? = taken;
    Some(rest["RequestItems"].take())
}
