//! A list that is read back from its index or its body, to be filtered, paged and cut to the wanted fields.

mod cut;
mod search;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::list::columns::{Columns, ColumnsBuilder};
use crate::list::fields::{
    BadBody, BodyOfProject, EntryForm, JobFields, begin_entry, end_entry, put_kind, put_label, put_name,
    put_option_hash,
};
use crate::list::grid::PackedGrid;
use crate::list::index::{BadIndex, read_index};
use crate::list::job::ListedJob;
use crate::list::query::Query;
use crate::list::write::put;
use crate::suggest::{Index, SearchBudget};

use self::cut::put_fields;
use self::search::LineParts;

/// Bytes of a job's JSON, roughly.
const JOB_BYTES: usize = 800;
/// The number of forms that an entry can have.
const FORMS: usize = 2;

/// Which jobs and fields of a list are wanted. The default is the whole list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The job's line must match; an empty query accepts every job.
    pub query: Query,
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
    pub(in crate::list) repository: String,
    pub(in crate::list) columns: Columns,
    text: JobText,
    /// What the lines of the jobs consist of, as it is and in lower case, each made by the first query that needs it.
    parts: OnceLock<LineParts>,
    lower_parts: OnceLock<LineParts>,
    /// Built at the first look-up of an unknown name.
    names: OnceLock<Index>,
    /// Made by the first request for the grid of all jobs.
    pub(in crate::list) grid: OnceLock<PackedGrid>,
}

/// Where the JSON of the jobs comes from.
#[derive(Debug)]
enum JobText {
    /// It is in the body.
    Body { body: Arc<[u8]>, jobs: Vec<Range<usize>> },
    /// It is made of the columns; the parts that jobs share are made once. Labels are those of full entries; options and
    /// kinds are there for both forms, one after the other.
    Columns { places: Fragments, labels: Fragments, options: Fragments, kinds: Fragments },
}

/// Parts of the JSON of jobs, by the number of their words.
#[derive(Debug)]
struct Fragments(Vec<OnceLock<Box<[u8]>>>);

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
            options: Fragments::new(FORMS * columns.kinds.len()),
            kinds: Fragments::new(FORMS * columns.kinds.len()),
        };
        Ok(Self::new(repository, columns, text))
    }

    fn new(repository: String, columns: Columns, text: JobText) -> Self {
        Self {
            repository,
            columns,
            text,
            parts: OnceLock::new(),
            lower_parts: OnceLock::new(),
            names: OnceLock::new(),
            grid: OnceLock::new(),
        }
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
            JobText::Columns { places, labels, options, kinds } => {
                places.bytes() + labels.bytes() + options.bytes() + kinds.bytes()
            }
        };
        // The parts of the lines take less than the columns: of the names there is only a copy in lower case, and the
        // numbers of the words are not repeated. The packed grid takes a quarter of the columns.
        let columns = self.columns.bytes();
        2 * columns + columns / 4 + text + self.names().map(Index::bytes_of).sum::<usize>()
    }

    /// The names of all jobs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.names.iter()
    }

    /// The jobs, as the list was made of them, in its order.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = ListedJob<'_>> {
        (0..self.len()).map(|at| self.columns.job(at))
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
    fn put_job(&self, answer: &mut Vec<u8>, at: usize) {
        let (places, labels, options, kinds) = match &self.text {
            JobText::Body { body, jobs } => return answer.extend_from_slice(&body[jobs[at].clone()]),
            JobText::Columns { places, labels, options, kinds } => (places, labels, options, kinds),
        };
        let (row, job) = (self.columns.rows[at], self.columns.job(at));
        let form = EntryForm::of(job.platform);
        let kind = FORMS * row.kind() + usize::from(form == EntryForm::Full);
        places.put(answer, row.place(), |answer| begin_entry(answer, job.platform));
        if form == EntryForm::Full && !self.columns.is_typed_by_name(row) {
            labels.put(answer, row.label(), |answer| put_label(answer, form, &job));
        } else {
            put_label(answer, form, &job);
        }
        options.put(answer, kind, |answer| put_option_hash(answer, form, job.option));
        put_name(answer, job.name);
        kinds.put(answer, kind, |answer| put_kind(answer, form, &job));
        end_entry(answer, job.upstream);
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

impl Fragments {
    fn new(count: usize) -> Self {
        Self((0..count).map(|_| OnceLock::new()).collect())
    }

    /// Appends a part to an answer. `write` does so for the first time.
    fn put(&self, answer: &mut Vec<u8>, number: usize, write: impl FnOnce(&mut Vec<u8>)) {
        if let Some(part) = self.0[number].get() {
            return answer.extend_from_slice(part);
        }
        let start = answer.len();
        write(answer);
        // Another thread may have written the same at the same time.
        self.0[number].get_or_init(|| answer[start..].into());
    }

    /// Bytes of memory that they use or will use, roughly.
    fn bytes(&self) -> usize {
        self.0.len() * (size_of::<OnceLock<Box<[u8]>>>() + JOB_BYTES / 2)
    }
}
