use proptest::prelude::*;
use requests::action::{LabelWait, LabelWaitReason};
use requests::new_request::NewRequest;
use requests::push::Push;

use super::*;
use crate::requests_table::reading::{StoredRequest, Unpacked};

type Pair = (Request, Vec<RequestedJob>);

fn start() -> DateTime<Utc> {
    "2026-11-23T06:00:00Z".parse().unwrap()
}

fn request(jobs: &[RequestedJob]) -> Request {
    let new_request = NewRequest::new("a#b", 7, "someone@mozilla.com".parse().unwrap(), Vec::new());
    Request::new(RequestId::new(start(), 1), new_request, None, jobs, start())
}

/// A change of a request.
#[derive(Debug, Clone)]
enum Change {
    /// Its jobs, which have names of so many characters that cannot be packed well.
    Jobs { lengths: Vec<usize>, seed: u64 },
    /// Its head alone.
    Head,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    // Some 3,500 characters of such names fill an item.
    let jobs = (prop::collection::vec(1..900_usize, 1..9), any::<u64>());
    let jobs = jobs.prop_map(|(lengths, seed)| Change::Jobs { lengths, seed });
    prop::collection::vec(prop_oneof![3 => jobs, 1 => Just(Change::Head)], 1..12)
}

fn jobs(lengths: &[usize], seed: u64) -> Vec<RequestedJob> {
    let noise = test_support::store::noise(lengths.iter().sum(), seed);
    let mut noise = noise.iter().map(|byte| char::from(b' ' + byte % 95));
    lengths.iter().map(|length| RequestedJob::accepted(&noise.by_ref().take(*length).collect::<String>())).collect()
}

/// The two items of a request in the table.
#[derive(Debug, Clone, Default)]
struct Stored {
    head: Item,
    jobs: Option<Item>,
}

impl Stored {
    /// Writes as the store does.
    fn put(&mut self, items: RequestItems) {
        match items {
            RequestItems::One(head) => self.head = head,
            RequestItems::Two { head, jobs } => (self.head, self.jobs) = (head, Some(jobs)),
        }
    }

    /// Updates the head as the store does.
    fn update(&mut self, HeadUpdate { expression, names, values }: HeadUpdate) {
        let (set, removed) = expression.split_once(" REMOVE ").unwrap_or((&expression, ""));
        for assignment in set.trim_start_matches("SET ").split(", ") {
            let (name, value) = assignment.split_once(" = ").unwrap();
            self.head.insert(names[name].clone(), values[value].clone());
        }
        for name in removed.split(", ").filter(|name| !name.is_empty()) {
            self.head.remove(&names[name]);
        }
    }
}

/// What a reader makes of a head and of a jobs item, which it may have read at different times; `None` if the two do not
/// belong together.
fn read(head: &Item, jobs: Option<&Item>) -> Option<Pair> {
    let request = match StoredRequest::read(head.clone()).unwrap().unpack().unwrap() {
        Unpacked::Whole(whole) => return Some(whole),
        Unpacked::Apart(request) => request,
    };
    let packed = PackedJobs::read(request.id, jobs?.clone()).unwrap();
    let jobs = packed.unpack(request.id).unwrap();
    packed.belongs_to(&request, &jobs).then_some((request, jobs))
}

proptest! {
    /// However often the jobs pass the limit, in both directions: what is stored is the last version, and a reader that gets
    /// the head of one time and the jobs of another gets the version of the head, or sees that they do not belong together.
    #[test]
    fn a_reader_gets_one_version_of_a_request_whatever_its_layout_was(changes in changes()) {
        let mut pair = (request(&jobs(&[10], 0)), jobs(&[10], 0));
        let mut stored = Stored::default();
        stored.put(RequestItems::new(&pair.0, &pair.1, start()).unwrap());
        let mut versions = vec![(pair.clone(), stored.clone())];
        for change in changes {
            match change {
                Change::Jobs { lengths, seed } => {
                    let jobs = jobs(&lengths, seed);
                    pair = (pair.0.with_plan(&jobs, start()), jobs);
                    let items = RequestItems::new(&pair.0, &pair.1, start()).unwrap();
                    let is_whole = matches!(items, RequestItems::One(_));
                    stored.put(items);
                    // The size alone decides.
                    let mut whole = stored.head.clone();
                    if let Some(jobs) = stored.jobs.as_ref().filter(|_| !is_whole) {
                        whole.insert(DATA.to_owned(), jobs[DATA].clone());
                    }
                    prop_assert_eq!(item_size(&whole) <= MAX_WHOLE_BYTES, is_whole);
                }
                Change::Head => {
                    pair.0 = pair.0.postponed(start());
                    stored.update(HeadUpdate::new(&pair.0, start()).unwrap());
                }
            }
            prop_assert_eq!(read(&stored.head, stored.jobs.as_ref()), Some(pair.clone()));
            versions.push((pair.clone(), stored.clone()));
        }
        for (of_head, head) in &versions {
            for (_, jobs) in &versions {
                if let Some(found) = read(&head.head, jobs.jobs.as_ref()) {
                    prop_assert_eq!(&found, of_head);
                }
            }
        }
    }
}

/// The attributes that a request may have and lack: every field is named, so that a new one has to be considered here.
#[test]
fn an_update_of_the_head_removes_every_attribute_that_the_head_may_lack() {
    let jobs = jobs(&[10], 0);
    let why = LabelWaitReason::Unavailable { error: "x".to_owned() };
    let Request { id, version, attempt, project, push_id, requester, job_counts, jobs_digest, history, due_at, .. } =
        request(&jobs);
    let full = Request {
        id,
        version,
        attempt,
        project,
        push_id,
        pushed: Some(Push { revision: "r".to_owned(), author: None }),
        requester,
        on_behalf_by: Some("x".to_owned()),
        decision_task_id: Some("x".to_owned()),
        state: RequestState::Accepted,
        job_counts,
        jobs_digest,
        history,
        events_left_out: 1,
        due_at,
        actions: vec![
            serde_json::from_value(serde_json::json!({
                "number": 1, "jobs": [[0, 1]], "hook": "a/b", "state": "running", "called_at": start(),
            }))
            .unwrap(),
        ],
        label_wait: Some(LabelWait { why, since: start(), until: start(), attempts: 0 }),
        progress: Some(requests::outcome::Progress::default()),
    };
    let bare = Request {
        pushed: None,
        on_behalf_by: None,
        decision_task_id: None,
        state: RequestState::Failed,
        jobs_digest: String::new(),
        events_left_out: 0,
        actions: Vec::new(),
        label_wait: None,
        progress: None,
        ..full.clone()
    };
    let [has, lacks] = [&full, &bare].map(|request| head_item(request, start()).unwrap());
    let mut optional: Vec<&str> = has.keys().filter(|name| !lacks.contains_key(*name)).map(String::as_str).collect();
    optional.sort_unstable();
    assert_eq!(optional, OPTIONAL);
    let mut stored = Stored { head: has, jobs: None };
    stored.update(HeadUpdate::new(&bare, start()).unwrap());
    assert_eq!(stored.head, lacks);
}

/// By the rules that AWS publishes ("DynamoDB item sizes and formats").
#[test]
fn the_size_of_an_item_is_that_which_is_charged() {
    let number = AttributeValue::N("1234567".to_owned());
    let list = AttributeValue::L(vec![number.clone(), AttributeValue::S("ab".to_owned())]);
    let map = AttributeValue::M([("k".to_owned(), AttributeValue::Bool(true))].into());
    let bytes = AttributeValue::B(Blob::new(*b"abc"));
    for (value, size) in [(number, 5), (list, 3 + 1 + 5 + 1 + 2), (map, 3 + 1 + 1 + 1), (bytes, 3)] {
        assert_eq!(item_size(&[("name".to_owned(), value)].into()), 4 + size);
    }
}
