//! A list that is read back from its index or its body, to be filtered, paged and cut to the wanted fields.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::list::columns::{
    ARCHITECTURE, BUILD_SYSTEM, Columns, ColumnsBuilder, GROUP_NAME, GROUP_SYMBOL, OPTION, OS, PLATFORM, Row,
    TYPE_NAME, TYPE_SYMBOL, Table,
};
use crate::list::fields::{
    BadBody, BodyOfProject, JobFields, KindFields, LabelFields, NameField, OptionFields, PlatformFields, UpstreamField,
};
use crate::list::index::{BadIndex, read_index};
use crate::list::job::ListedPlatform;
use crate::list::words::Words;
use crate::list::write::{put, put_first, put_next};
use crate::suggest::{Index, SearchBudget};

/// Bytes of a job's JSON, roughly.
const JOB_BYTES: usize = 800;

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
    /// The project's name as JSON.
    repository: String,
    columns: Columns,
    text: JobText,
    /// The searched texts in lower case, made by the first search for words.
    lower: OnceLock<LowerCase>,
    /// Built at the first look-up of an unknown name.
    names: OnceLock<Index>,
}

/// Where the JSON of the jobs comes from.
#[derive(Debug)]
enum JobText {
    /// It is in the body.
    Body { body: Arc<[u8]>, jobs: Vec<Range<usize>> },
    /// It is made of the columns; the parts that jobs share are made once.
    Columns { places: Fragments<1>, labels: Fragments<1>, kinds: Fragments<2> },
}

/// Parts of the JSON of jobs, by the number of their words.
#[derive(Debug)]
struct Fragments<const N: usize>(Vec<OnceLock<[Box<[u8]>; N]>>);

/// The texts that are searched for `Selection::words`, in lower case.
#[derive(Debug)]
struct LowerCase {
    names: Words,
    labels: Table<4>,
    places: Table<3>,
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
        let mut columns = ColumnsBuilder::default();
        let mut jobs = Vec::with_capacity(results.len());
        for json in results {
            columns.push(serde_json::from_str::<JobFields<'_>>(json.get())?.into());
            let at = json.get().as_ptr().addr() - start;
            jobs.push(at..at + json.get().len());
        }
        let columns = columns.finish();
        let repository = meta.repository.get().to_owned();
        Ok(Self::new(repository, columns, JobText::Body { body, jobs }))
    }

    /// Reads the index of the list with this ETag. The listing gives the same answers as the list's body.
    ///
    /// # Errors
    /// The index is malformed, of another list, or of another version.
    pub fn from_index(index: &[u8], etag: &str) -> Result<Self, BadIndex> {
        let (project, columns) = read_index(index, etag)?;
        let mut repository = Vec::new();
        put(&mut repository, &project);
        let repository = String::from_utf8(repository).map_err(|_| BadIndex::Malformed("a word is not UTF-8"))?;
        let text = JobText::Columns {
            places: Fragments::new(columns.places.len()),
            labels: Fragments::new(columns.labels.len()),
            kinds: Fragments::new(columns.kinds.len()),
        };
        Ok(Self::new(repository, columns, text))
    }

    fn new(repository: String, columns: Columns, text: JobText) -> Self {
        Self { repository, columns, text, lower: OnceLock::new(), names: OnceLock::new() }
    }

    /// The number of jobs.
    pub fn len(&self) -> usize {
        self.columns.rows.len()
    }

    /// Whether there are no jobs.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Rough number of bytes of memory that the list holds or will hold.
    pub fn bytes(&self) -> usize {
        let text = match &self.text {
            JobText::Body { body, jobs } => body.len() + size_of_val(&**jobs),
            JobText::Columns { places, labels, kinds } => places.bytes() + labels.bytes() + kinds.bytes(),
        };
        // The columns are held once more in lower case.
        2 * self.columns.bytes() + text + self.names().map(Index::bytes_of).sum::<usize>()
    }

    /// The names of all jobs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.names.iter()
    }

    /// At most `max` names of jobs that are near to this one, the nearest first. Names that are too different are left out.
    pub fn suggest(&self, name: &str, max: usize) -> Vec<&str> {
        let places = self.index().suggest(name, max, &mut SearchBudget::default());
        places.into_iter().map(|place| self.columns.names.get(place)).collect()
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
        let selected = self.selected(wanted);
        let from = wanted.offset.min(selected.len());
        let to = wanted.count.map_or(selected.len(), |count| from.saturating_add(count).min(selected.len()));
        let page = &selected[from..to];

        let mut answer = Vec::with_capacity(256 + page.len() * wanted.fields.as_ref().map_or(JOB_BYTES, |_| 0));
        answer.extend_from_slice(b"{\"meta\":");
        let repository: &RawValue = serde_json::from_str(&self.repository).expect("it was read from JSON");
        let count = wanted.count.unwrap_or(page.len());
        put(&mut answer, &AnswerMeta { repository, offset: wanted.offset, count, total: selected.len() });
        answer.extend_from_slice(b",\"results\":[");
        self.put_jobs(&mut answer, page.iter().copied(), wanted.fields.as_deref());
        answer.extend_from_slice(b"]}");
        answer
    }

    /// The places of the selected jobs.
    fn selected(&self, wanted: &Selection) -> Vec<usize> {
        let Columns { names: _, rows, places, labels, kinds, .. } = &self.columns;
        // Each filter is applied to each word once; a job then only has numbers to look up.
        let is_place = accepted(places.len(), |place| is_one_of(&wanted.platform, places.get(PLATFORM, place)));
        let is_label = accepted(labels.len(), |label| {
            is_one_of(&wanted.job_group_symbol, labels.get(GROUP_SYMBOL, label))
                && is_one_of(&wanted.job_type_symbol, labels.get(TYPE_SYMBOL, label))
        });
        let is_kind = accepted(kinds.len(), |kind| {
            is_one_of(&wanted.option, kinds.get(OPTION, kind))
                && is_one_of(&wanted.build_system_type, kinds.get(BUILD_SYSTEM, kind))
        });
        let words: Vec<WordFilter<'_>> =
            wanted.words.iter().map(|word| WordFilter::new(&word.to_lowercase(), self.lower())).collect();
        let is_selected = |(at, row): (usize, &Row)| {
            let is_wanted = is_place[row.place()]
                && is_label[row.label()]
                && is_kind[row.kind()]
                && words.iter().all(|word| word.accepts(at, *row));
            is_wanted.then_some(at)
        };
        rows.iter().enumerate().filter_map(is_selected).collect()
    }

    fn lower(&self) -> &LowerCase {
        self.lower.get_or_init(|| LowerCase {
            names: self.columns.names.to_lowercase(),
            labels: self.columns.labels.to_lowercase(),
            places: self.columns.places.to_lowercase(),
        })
    }

    /// Writes one job with the build that it needs (null if it needs no build, or if the list does not have it) and the
    /// tests that need the job. An unknown name stands for the only job whose name differs at most in case and blanks;
    /// `meta.asked_as` then has the name as it was requested. `None` if there is no such job.
    ///
    /// # Panics
    /// Never: memory can be written.
    pub fn job(&self, name: &str) -> Option<Vec<u8>> {
        let Columns { names, rows, .. } = &self.columns;
        let find = |name: &str| names.iter().position(|known| known == name);
        let exact = find(name);
        let job = exact.or_else(|| self.index().same(name))?;
        let mut answer = Vec::new();
        answer.extend_from_slice(b"{\"meta\":{\"repository\":");
        answer.extend_from_slice(self.repository.as_bytes());
        if exact.is_none() {
            answer.extend_from_slice(b",\"asked_as\":");
            put(&mut answer, name);
        }
        answer.extend_from_slice(b"},\"job\":");
        self.put_job(&mut answer, job);
        answer.extend_from_slice(b",\"upstream_build\":");
        match self.columns.upstream(rows[job]).and_then(find) {
            Some(build) => self.put_job(&mut answer, build),
            None => answer.extend_from_slice(b"null"),
        }
        answer.extend_from_slice(b",\"tests\":[");
        let tests = (0..rows.len()).filter(|test| self.columns.upstream(rows[*test]) == Some(names.get(job)));
        self.put_jobs(&mut answer, tests, None);
        answer.extend_from_slice(b"]}");
        Some(answer)
    }

    /// Writes all fields of a job.
    fn put_job(&self, answer: &mut Vec<u8>, job: usize) {
        let Columns { names, rows, places, labels, kinds, .. } = &self.columns;
        let row = rows[job];
        match &self.text {
            JobText::Body { body, jobs } => answer.extend_from_slice(&body[jobs[job].clone()]),
            JobText::Columns { places: place_parts, labels: label_parts, kinds: kind_parts } => {
                let [place] = place_parts.get(row.place(), || {
                    let of = |column| places.get(column, row.place());
                    let (name, os, architecture) = (of(PLATFORM), of(OS), of(ARCHITECTURE));
                    let mut part = Vec::with_capacity(JOB_BYTES / 2);
                    put_first(&mut part, &PlatformFields::new(ListedPlatform { name, os, architecture }));
                    [part.into()]
                });
                let [label] = label_parts.get(row.label(), || {
                    let of = |column| labels.get(column, row.label());
                    let group = (of(GROUP_NAME), of(GROUP_SYMBOL));
                    [next_part(&LabelFields::new(group, (of(TYPE_NAME), of(TYPE_SYMBOL))))]
                });
                let [option, kind] = kind_parts.get(row.kind(), || {
                    let of = |column| kinds.get(column, row.kind());
                    let kind = KindFields::new(of(BUILD_SYSTEM), of(OPTION));
                    [next_part(&OptionFields::new(of(OPTION))), next_part(&kind)]
                });
                for part in [place, label, option] {
                    answer.extend_from_slice(part);
                }
                put_next(answer, &NameField { ref_data_name: names.get(job) });
                answer.extend_from_slice(kind);
                put_next(answer, &UpstreamField { upstream: self.columns.upstream(row) });
                answer.push(b'}');
            }
        }
    }

    fn put_jobs(&self, answer: &mut Vec<u8>, jobs: impl Iterator<Item = usize>, fields: Option<&[&'static str]>) {
        let mut whole = Vec::new();
        for (number, job) in jobs.enumerate() {
            if number > 0 {
                answer.push(b',');
            }
            match fields {
                None => self.put_job(answer, job),
                Some(fields) => {
                    whole.clear();
                    self.put_job(&mut whole, job);
                    put_fields(answer, &whole, fields);
                }
            }
        }
    }
}

fn is_one_of(wanted: &[String], has: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| one == has)
}

/// Which numbers a filter accepts.
fn accepted(count: usize, accepts: impl Fn(usize) -> bool) -> Vec<bool> {
    (0..count).map(accepts).collect()
}

/// A part of the JSON of jobs that is not the first.
fn next_part<T: Serialize>(fields: &T) -> Box<[u8]> {
    let mut part = Vec::with_capacity(JOB_BYTES / 2);
    put_next(&mut part, fields);
    part.into()
}

impl<const N: usize> Fragments<N> {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| OnceLock::new()).collect())
    }

    fn get(&self, number: usize, make: impl FnOnce() -> [Box<[u8]>; N]) -> &[Box<[u8]>; N] {
        self.0[number].get_or_init(make)
    }

    /// Bytes of memory that they use or will use, roughly.
    fn bytes(&self) -> usize {
        self.0.len() * (size_of::<[Box<[u8]>; N]>() + JOB_BYTES / 2)
    }
}

/// A word that a job must have, and where it is found besides in names.
struct WordFilter<'l> {
    names: &'l Words,
    finder: memchr::memmem::Finder<'static>,
    is_label: Vec<bool>,
    is_place: Vec<bool>,
}

impl<'l> WordFilter<'l> {
    /// `word` is in lower case.
    fn new(word: &str, lower: &'l LowerCase) -> Self {
        let finder = memchr::memmem::Finder::new(word).into_owned();
        let has = |text: &str| finder.find(text.as_bytes()).is_some();
        let LowerCase { names, labels, places } = lower;
        // A search finds the symbols as Treeherder shows them, `M-e10s(3)`: each and the whole.
        let is_of_symbols = word.contains(['(', ')']);
        let is_label = accepted(labels.len(), |label| {
            (0..=TYPE_SYMBOL).any(|column| has(labels.get(column, label)))
                || (is_of_symbols
                    && has(&format!("{}({})", labels.get(GROUP_SYMBOL, label), labels.get(TYPE_SYMBOL, label))))
        });
        let is_place = accepted(places.len(), |place| has(places.get(PLATFORM, place)));
        Self { names, finder, is_label, is_place }
    }

    fn accepts(&self, job: usize, row: Row) -> bool {
        self.is_label[row.label()]
            || self.is_place[row.place()]
            || self.finder.find(self.names.get(job).as_bytes()).is_some()
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
