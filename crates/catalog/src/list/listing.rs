//! A list read back from its body: what HTTP filters, pages and cuts to the fields that are wanted.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::suggest::{Index, SearchBudget};

/// The fields of a job, in the order in which the body has them.
pub const FIELDS: [&str; 24] = [
    "build_platform_id",
    "build_platform",
    "build_os",
    "build_architecture",
    "machine_platform_id",
    "platform",
    "machine_platform_os",
    "machine_platform_architecture",
    "job_group_id",
    "job_group_name",
    "job_group_symbol",
    "job_group_description",
    "job_type_id",
    "job_type_name",
    "job_type_symbol",
    "job_type_description",
    "option_collection_hash",
    "ref_data_name",
    "build_system_type",
    "platform_option",
    "job_coalesced_to_guid",
    "state",
    "result",
    "upstream",
];

/// What is wanted of a list. The default is all of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Words that a job must all have in its name, symbol, group or platform; upper and lower case are the same.
    pub words: Vec<String>,
    /// The platforms, any of which a job must have; none: any platform. So for the other filters.
    pub platform: Vec<String>,
    /// Options (`opt`, `debug`, ...).
    pub option: Vec<String>,
    /// Symbols of job groups.
    pub job_group_symbol: Vec<String>,
    /// Symbols of job types.
    pub job_type_symbol: Vec<String>,
    /// Build systems.
    pub build_system_type: Vec<String>,
    /// Of each job, only these of `FIELDS`; none: all.
    pub fields: Option<Vec<&'static str>>,
    /// How many of the selected jobs are passed over.
    pub offset: usize,
    /// How many of the rest are wanted; none: all.
    pub count: Option<usize>,
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the list is no list of jobs: {0}")]
pub struct BadBody(#[from] serde_json::Error);

/// A list whose jobs can be found.
#[derive(Debug)]
pub struct Listing {
    body: Arc<[u8]>,
    /// The project's name as JSON.
    repository: String,
    jobs: Vec<Entry>,
    /// Made when a name is first asked for that is not there.
    names: OnceLock<Index>,
}

/// One job: what is searched, and where its JSON is.
#[derive(Debug)]
struct Entry {
    json: Range<usize>,
    name: String,
    upstream: Option<String>,
    platform: Arc<str>,
    option: Arc<str>,
    job_group_symbol: Arc<str>,
    job_type_symbol: Arc<str>,
    build_system_type: Arc<str>,
    /// All that `Selection::words` are sought in, in lower case.
    text: Box<str>,
}

#[derive(Deserialize)]
struct Body<'b> {
    #[serde(borrow)]
    meta: Meta<'b>,
    #[serde(borrow)]
    results: Vec<&'b RawValue>,
}

#[derive(Deserialize)]
struct Meta<'b> {
    #[serde(borrow)]
    repository: &'b RawValue,
}

/// The fields by which a job is found. Taskcluster's jobs need not have all of them.
#[derive(Deserialize)]
struct Known {
    ref_data_name: String,
    #[serde(default)]
    upstream: Option<String>,
    #[serde(default)]
    platform: Option<String>,
    #[serde(default)]
    platform_option: String,
    #[serde(default)]
    job_group_name: String,
    #[serde(default)]
    job_group_symbol: String,
    #[serde(default)]
    job_type_name: String,
    #[serde(default)]
    job_type_symbol: String,
    #[serde(default)]
    build_system_type: String,
}

#[derive(Serialize)]
struct AnswerMeta<'r> {
    repository: &'r RawValue,
    offset: usize,
    count: usize,
    total: usize,
}

impl Listing {
    /// Reads a body as `jobs::write_body` makes it.
    ///
    /// # Errors
    /// It is none.
    pub fn read(body: Arc<[u8]>) -> Result<Self, BadBody> {
        let Body { meta, results } = serde_json::from_slice(&body)?;
        let start = body.as_ptr().addr();
        let mut words = Words::default();
        let mut jobs = Vec::with_capacity(results.len());
        for json in results {
            let known: Known = serde_json::from_str(json.get())?;
            let at = json.get().as_ptr().addr() - start;
            let text = [
                &known.ref_data_name,
                &known.job_type_name,
                &known.job_group_name,
                // The symbols as Treeherder shows them, `M-e10s(3)`: each is found, and so is the whole.
                &format!("{}({})", known.job_group_symbol, known.job_type_symbol),
                known.platform.as_deref().unwrap_or_default(),
            ];
            jobs.push(Entry {
                json: at..at + json.get().len(),
                text: text.join("\n").to_lowercase().into(),
                platform: words.intern(known.platform.as_deref().unwrap_or_default()),
                option: words.intern(&known.platform_option),
                job_group_symbol: words.intern(&known.job_group_symbol),
                job_type_symbol: words.intern(&known.job_type_symbol),
                build_system_type: words.intern(&known.build_system_type),
                name: known.ref_data_name,
                upstream: known.upstream,
            });
        }
        let repository = meta.repository.get().to_owned();
        Ok(Self { body, repository, jobs, names: OnceLock::new() })
    }

    /// How many jobs it has.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether it has no job.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Bytes of memory that it holds or will hold, roughly: the body, which it shares, is not counted.
    pub fn bytes(&self) -> usize {
        let job = |job: &Entry| size_of::<Entry>() + job.text.len() + 2 * job.name.len();
        self.jobs.iter().map(|entry| job(entry) + Index::bytes_of(&entry.name)).sum()
    }

    /// The names of all jobs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.jobs.iter().map(|job| job.name.as_str())
    }

    /// The `max` names of jobs that are nearest to this one, the nearest first. None are so far that they are no help.
    pub fn suggest(&self, name: &str, max: usize) -> Vec<&str> {
        let places = self.index().suggest(name, max, &mut SearchBudget::default());
        places.into_iter().map(|place| self.jobs[place].name.as_str()).collect()
    }

    /// The one job whose name differs from this at most in case and blanks. None if no name does, or several do.
    fn same(&self, name: &str) -> Option<&Entry> {
        self.index().same(name).map(|place| &self.jobs[place])
    }

    fn index(&self) -> &Index {
        self.names.get_or_init(|| Index::new(self.names()))
    }

    /// Writes what is selected, in the shape of the whole list: `meta` tells the page (`count` is the one that was
    /// asked for, as it was in Treeherder, or else the jobs in the answer), and how many jobs the filters left in all.
    ///
    /// # Panics
    /// Never: the body was read before, and memory can be written.
    pub fn select(&self, wanted: &Selection) -> Vec<u8> {
        let words: Vec<String> = wanted.words.iter().map(|word| word.to_lowercase()).collect();
        let selected: Vec<&Entry> = self.jobs.iter().filter(|job| job.is_selected(wanted, &words)).collect();
        let from = wanted.offset.min(selected.len());
        let to = wanted.count.map_or(selected.len(), |count| from.saturating_add(count).min(selected.len()));
        let page = &selected[from..to];

        let mut answer = Vec::with_capacity(256 + page.iter().map(|job| job.json.len() + 1).sum::<usize>());
        answer.extend_from_slice(b"{\"meta\":");
        let repository: &RawValue = serde_json::from_str(&self.repository).expect("it was read from JSON");
        let count = wanted.count.unwrap_or(page.len());
        put(&mut answer, &AnswerMeta { repository, offset: wanted.offset, count, total: selected.len() });
        answer.extend_from_slice(b",\"results\":[");
        self.put_jobs(&mut answer, page.iter().copied(), wanted.fields.as_deref());
        answer.extend_from_slice(b"]}");
        answer
    }

    /// Writes one job with the build that it needs (null if it needs none, or if the list has none of that name) and
    /// the tests that need it. A name that no job has stands for the one job from which it differs at most in case and
    /// blanks; `meta.asked_as` is the name then. None if there is no such job.
    ///
    /// # Panics
    /// Never: memory can be written.
    pub fn job(&self, name: &str) -> Option<Vec<u8>> {
        let find = |name: &str| self.jobs.iter().find(|job| job.name == name);
        let exact = find(name);
        let job = exact.or_else(|| self.same(name))?;
        let mut answer = Vec::new();
        answer.extend_from_slice(b"{\"meta\":{\"repository\":");
        answer.extend_from_slice(self.repository.as_bytes());
        if exact.is_none() {
            answer.extend_from_slice(b",\"asked_as\":");
            put(&mut answer, name);
        }
        answer.extend_from_slice(b"},\"job\":");
        answer.extend_from_slice(self.json(job));
        answer.extend_from_slice(b",\"upstream_build\":");
        match job.upstream.as_deref().and_then(find) {
            Some(build) => answer.extend_from_slice(self.json(build)),
            None => answer.extend_from_slice(b"null"),
        }
        answer.extend_from_slice(b",\"tests\":[");
        let needs = |test: &&Entry| test.upstream.as_deref() == Some(&*job.name);
        self.put_jobs(&mut answer, self.jobs.iter().filter(needs), None);
        answer.extend_from_slice(b"]}");
        Some(answer)
    }

    fn json(&self, job: &Entry) -> &[u8] {
        &self.body[job.json.clone()]
    }

    fn put_jobs<'l>(
        &'l self,
        answer: &mut Vec<u8>,
        jobs: impl Iterator<Item = &'l Entry>,
        fields: Option<&[&'static str]>,
    ) {
        for (number, job) in jobs.enumerate() {
            if number > 0 {
                answer.push(b',');
            }
            match fields {
                None => answer.extend_from_slice(self.json(job)),
                Some(fields) => put_fields(answer, self.json(job), fields),
            }
        }
    }
}

impl Entry {
    /// `words` are the wanted ones in lower case.
    fn is_selected(&self, wanted: &Selection, words: &[String]) -> bool {
        let is_one_of = |wanted: &[String], has: &str| wanted.is_empty() || wanted.iter().any(|one| one == has);
        is_one_of(&wanted.platform, &self.platform)
            && is_one_of(&wanted.option, &self.option)
            && is_one_of(&wanted.job_group_symbol, &self.job_group_symbol)
            && is_one_of(&wanted.job_type_symbol, &self.job_type_symbol)
            && is_one_of(&wanted.build_system_type, &self.build_system_type)
            && words.iter().all(|word| memchr::memmem::find(self.text.as_bytes(), word.as_bytes()).is_some())
    }
}

/// Words of which many jobs have the same: each is kept once.
#[derive(Default)]
struct Words(HashSet<Arc<str>>);

impl Words {
    fn intern(&mut self, word: &str) -> Arc<str> {
        if let Some(known) = self.0.get(word) {
            return known.clone();
        }
        let word: Arc<str> = word.into();
        self.0.insert(word.clone());
        word
    }
}

/// Writes those fields of a job that are wanted, in the order in which it has them.
fn put_fields(answer: &mut Vec<u8>, json: &[u8], fields: &[&'static str]) {
    answer.push(b'{');
    let wanted = WantedFields { answer, fields };
    wanted.deserialize(&mut serde_json::Deserializer::from_slice(json)).expect("it was read before");
    answer.push(b'}');
}

fn put<T: Serialize + ?Sized>(answer: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(answer, value).expect("strings and numbers can be written to memory");
}

/// Reads an object and writes the fields that are wanted of it, values as they are.
struct WantedFields<'a> {
    answer: &'a mut Vec<u8>,
    fields: &'a [&'static str],
}

impl<'de> DeserializeSeed<'de> for WantedFields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WantedFields<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut is_first = true;
        while let Some(name) = map.next_key_seed(FieldName(self.fields))? {
            let Some(name) = name else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if !is_first {
                self.answer.push(b',');
            }
            is_first = false;
            put(self.answer, name);
            self.answer.push(b':');
            self.answer.extend_from_slice(map.next_value::<&RawValue>()?.get().as_bytes());
        }
        Ok(())
    }
}

/// Reads a field's name, if it is one of these.
struct FieldName<'a>(&'a [&'static str]);

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Option<&'static str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Option<&'static str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.iter().copied().find(|wanted| *wanted == name))
    }
}
