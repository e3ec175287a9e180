//! A list that is read back from its body, to be filtered, paged and cut to the wanted fields.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::list::fields::{BadBody, BodyOfProject, JobFields};
use crate::list::write::put;
use crate::suggest::{Index, SearchBudget};

/// Which jobs and fields of a list are wanted. The default is the whole list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// A job must have all these words in its name, symbol, group or platform; the case does not matter.
    pub words: Vec<String>,
    /// A job must have one of these platforms; an empty filter accepts every job. The same holds for the other filters.
    pub platform: Vec<String>,
    /// Options (`opt`, `debug`, ...).
    pub option: Vec<String>,
    /// Symbols of job groups.
    pub job_group_symbol: Vec<String>,
    /// Symbols of job types.
    pub job_type_symbol: Vec<String>,
    /// Build systems.
    pub build_system_type: Vec<String>,
    /// Only these fields of each job, out of `FIELDS`; `None` for all.
    pub fields: Option<Vec<&'static str>>,
    /// Number of selected jobs to skip.
    pub offset: usize,
    /// Maximum number of jobs after those; `None` for all.
    pub count: Option<usize>,
}

/// A list whose jobs can be found.
#[derive(Debug)]
pub struct Listing {
    body: Arc<[u8]>,
    /// The project's name as JSON.
    repository: String,
    jobs: Vec<Entry>,
    /// Built at the first look-up of an unknown name.
    names: OnceLock<Index>,
}

/// One job: the texts that are searched, and where its JSON is.
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
    /// The text that is searched for `Selection::words`, in lower case.
    text: Box<str>,
}

#[derive(Serialize)]
struct AnswerMeta<'r> {
    repository: &'r RawValue,
    offset: usize,
    count: usize,
    total: usize,
}

impl Listing {
    /// Reads a body.
    ///
    /// # Errors
    /// The body is not a list of jobs.
    pub fn read(body: Arc<[u8]>) -> Result<Self, BadBody> {
        let BodyOfProject { meta, results } = serde_json::from_slice(&body)?;
        let start = body.as_ptr().addr();
        let mut words = Words::default();
        let mut jobs = Vec::with_capacity(results.len());
        for json in results {
            let known: JobFields<'_> = serde_json::from_str(json.get())?;
            let at = json.get().as_ptr().addr() - start;
            let text = [
                &*known.name,
                &known.job_type_name,
                &known.job_group_name,
                // The symbols as Treeherder shows them, `M-e10s(3)`: a search finds each symbol and the whole.
                &format!("{}({})", known.job_group_symbol, known.job_type_symbol),
                known.platform.as_deref().unwrap_or_default(),
            ];
            jobs.push(Entry {
                json: at..at + json.get().len(),
                text: text.join("\n").to_lowercase().into(),
                platform: words.intern(known.platform.as_deref().unwrap_or_default()),
                option: words.intern(&known.option),
                job_group_symbol: words.intern(&known.job_group_symbol),
                job_type_symbol: words.intern(&known.job_type_symbol),
                build_system_type: words.intern(&known.build_system_type),
                name: known.name.into_owned(),
                upstream: known.upstream.map(Cow::into_owned),
            });
        }
        let repository = meta.repository.get().to_owned();
        Ok(Self { body, repository, jobs, names: OnceLock::new() })
    }

    /// The number of jobs.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there are no jobs.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Rough number of bytes of memory that the list holds or will hold, without the body, which it shares.
    pub fn bytes(&self) -> usize {
        let job = |job: &Entry| size_of::<Entry>() + job.text.len() + 2 * job.name.len();
        self.jobs.iter().map(|entry| job(entry) + Index::bytes_of(&entry.name)).sum()
    }

    /// The names of all jobs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.jobs.iter().map(|job| job.name.as_str())
    }

    /// At most `max` names of jobs that are near to this one, the nearest first. Names that are too different are left out.
    pub fn suggest(&self, name: &str, max: usize) -> Vec<&str> {
        let places = self.index().suggest(name, max, &mut SearchBudget::default());
        places.into_iter().map(|place| self.jobs[place].name.as_str()).collect()
    }

    /// The only job whose name differs from this at most in case and blanks. `None` if there is no such job, or several.
    fn same(&self, name: &str) -> Option<&Entry> {
        self.index().same(name).map(|place| &self.jobs[place])
    }

    fn index(&self) -> &Index {
        self.names.get_or_init(|| Index::new(self.names()))
    }

    /// Writes the selected jobs in the shape of the whole list. `meta` describes the page: `count` is the requested one,
    /// as in Treeherder, or else the number of jobs in the answer; `total` is the number of jobs that pass the filters.
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

    /// Writes one job with the build that it needs (null if it needs no build, or if the list does not have it) and the
    /// tests that need the job. An unknown name stands for the only job whose name differs at most in case and blanks;
    /// `meta.asked_as` then has the name as it was requested. `None` if there is no such job.
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

/// Words that many jobs share: each is kept once.
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
