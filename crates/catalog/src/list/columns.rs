//! The jobs of a list as columns: words that jobs share are there once, and each job has their numbers.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::list::fields::JobFields;
use crate::list::index::BadIndex;
use crate::list::job::{ListedJob, ListedPlatform};
use crate::list::words::{Reader, Words, put_number};

/// The columns of `Columns::places`.
pub(super) const PLATFORM: usize = 0;
const OS: usize = 1;
const ARCHITECTURE: usize = 2;
/// The columns of `Columns::labels`.
pub(super) const GROUP_NAME: usize = 0;
pub(super) const GROUP_SYMBOL: usize = 1;
const TYPE_NAME: usize = 2;
pub(super) const TYPE_SYMBOL: usize = 3;
/// The columns of `Columns::kinds`.
pub(super) const OPTION: usize = 0;
pub(super) const BUILD_SYSTEM: usize = 1;
/// The tier in digits, or nothing.
const TIER: usize = 2;
/// `TYPED_BY_NAME`, or nothing.
const TYPING: usize = 3;

/// The name of the job's type is the job's own, as in Taskcluster: `labels` does not repeat it.
const TYPED_BY_NAME: &str = "=";

/// The jobs of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Columns {
    /// The name of each job.
    pub(super) names: Words,
    pub(super) rows: Vec<Row>,
    pub(super) places: Table<3>,
    pub(super) labels: Table<4>,
    pub(super) kinds: Table<4>,
    /// The builds that jobs need.
    upstreams: Table<1>,
}

/// The numbers of a job's words: its place, its label, its kind, and the build that it needs plus one, or 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Row([u32; 4]);

impl Row {
    /// Where it runs.
    pub(super) fn place(self) -> usize {
        self.0[0] as usize
    }

    /// Its group and type.
    pub(super) fn label(self) -> usize {
        self.0[1] as usize
    }

    /// Its option, build system and tier.
    pub(super) fn kind(self) -> usize {
        self.0[2] as usize
    }

    /// The number of the build that it needs.
    pub(super) fn upstream(self) -> Option<usize> {
        self.0[3].checked_sub(1).map(|number| number as usize)
    }
}

/// Tuples of words by number, each tuple once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table<const N: usize>([Words; N]);

impl<const N: usize> Default for Table<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Words::default()))
    }
}

impl<const N: usize> Table<N> {
    pub(super) fn len(&self) -> usize {
        self.0[0].len()
    }

    pub(super) fn column(&self, column: usize) -> &Words {
        &self.0[column]
    }

    pub(super) fn get(&self, column: usize, number: usize) -> &str {
        self.0[column].get(number)
    }

    fn push(&mut self, words: &[Cow<'_, str>; N]) -> u32 {
        self.0.iter_mut().zip(words).map(|(column, word)| column.push(word)).last().unwrap_or_default()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_number(out, self.len());
        for column in &self.0 {
            column.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, BadIndex> {
        let count = reader.number()? as usize;
        let mut table = Self::default();
        for column in &mut table.0 {
            *column = Words::decode(count, reader)?;
        }
        Ok(table)
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Words::bytes).sum()
    }
}

impl Columns {
    /// A job with all its words.
    pub(super) fn job(&self, at: usize) -> ListedJob<'_> {
        let row = self.rows[at];
        let (place, label, kind) = (row.place(), row.label(), row.kind());
        let name = self.names.get(at);
        ListedJob {
            name,
            upstream: self.upstream(row),
            build_system: self.kinds.get(BUILD_SYSTEM, kind),
            platform: ListedPlatform {
                name: self.places.get(PLATFORM, place),
                os: self.places.get(OS, place),
                architecture: self.places.get(ARCHITECTURE, place),
            },
            option: self.kinds.get(OPTION, kind),
            job_type_name: if self.is_typed_by_name(row) { name } else { self.labels.get(TYPE_NAME, label) },
            job_type_symbol: self.labels.get(TYPE_SYMBOL, label).into(),
            job_group_name: self.labels.get(GROUP_NAME, label),
            job_group_symbol: self.labels.get(GROUP_SYMBOL, label),
            tier: self.tier(row),
        }
    }

    /// The tier of a job.
    pub(super) fn tier(&self, row: Row) -> Option<u8> {
        self.kinds.get(TIER, row.kind()).parse().ok()
    }

    /// Whether the name of the job's type is the job's own.
    pub(super) fn is_typed_by_name(&self, row: Row) -> bool {
        self.kinds.get(TYPING, row.kind()) == TYPED_BY_NAME
    }

    /// The build that a job needs.
    pub(super) fn upstream(&self, row: Row) -> Option<&str> {
        row.upstream().map(|number| self.upstreams.get(0, number))
    }

    /// The builds that jobs need, by number.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &str> {
        self.upstreams.0[0].iter()
    }

    /// Bytes of memory that they use.
    pub(super) fn bytes(&self) -> usize {
        let tables = self.places.bytes() + self.labels.bytes() + self.kinds.bytes() + self.upstreams.bytes();
        self.names.bytes() + size_of_val(&*self.rows) + tables
    }

    /// Appends the columns. `decode` reads them.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        self.places.encode(out);
        self.labels.encode(out);
        self.kinds.encode(out);
        self.upstreams.encode(out);
        put_number(out, self.rows.len());
        for column in 0..Row::default().0.len() {
            for row in &self.rows {
                put_number(out, row.0[column] as usize);
            }
        }
        self.names.encode(out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, BadIndex> {
        let (places, labels) = (Table::decode(reader)?, Table::decode(reader)?);
        let (kinds, upstreams) = (Table::<4>::decode(reader)?, Table::decode(reader)?);
        if (0..kinds.len()).any(|kind| !is_tier(kinds.get(TIER, kind))) {
            return Err(BadIndex::Malformed("a tier is not a number"));
        }
        let count = reader.number()? as usize;
        let limits = [places.len(), labels.len(), kinds.len(), upstreams.len() + 1];
        let mut columns = limits.map(|_| Vec::new());
        for (column, limit) in columns.iter_mut().zip(limits) {
            *column = reader.numbers(count)?;
            if column.iter().any(|number| *number as usize >= limit) {
                return Err(BadIndex::Malformed("a job has a word that is not there"));
            }
        }
        let rows = (0..count).map(|at| Row(columns.each_ref().map(|column| column[at]))).collect();
        let names = Words::decode(count, reader)?;
        Ok(Self { names, rows, places, labels, kinds, upstreams })
    }
}

/// Whether this is what the column of tiers can have.
fn is_tier(word: &str) -> bool {
    word.is_empty() || word.parse::<u8>().is_ok()
}

/// Makes columns of jobs.
#[derive(Default)]
pub(super) struct ColumnsBuilder<'j> {
    columns: Columns,
    places: Numbers<'j, 3>,
    labels: Numbers<'j, 4>,
    kinds: Numbers<'j, 4>,
    upstreams: Numbers<'j, 1>,
}

/// The numbers of the tuples of a table.
struct Numbers<'j, const N: usize>(HashMap<[Cow<'j, str>; N], u32>);

impl<const N: usize> Default for Numbers<'_, N> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<'j, const N: usize> Numbers<'j, N> {
    fn number(&mut self, table: &mut Table<N>, words: [Cow<'j, str>; N]) -> u32 {
        *self.0.entry(words).or_insert_with_key(|words| table.push(words))
    }
}

/// The words of a job, as the tables have them.
pub(super) struct JobWords<'j> {
    pub(super) name: Cow<'j, str>,
    pub(super) upstream: Option<Cow<'j, str>>,
    pub(super) place: [Cow<'j, str>; 3],
    pub(super) label: [Cow<'j, str>; 4],
    pub(super) kind: [Cow<'j, str>; 4],
}

impl<'j> From<ListedJob<'j>> for JobWords<'j> {
    fn from(job: ListedJob<'j>) -> Self {
        Self {
            name: job.name.into(),
            upstream: job.upstream.map(Cow::Borrowed),
            place: [job.platform.name, job.platform.os, job.platform.architecture].map(Cow::Borrowed),
            label: [
                job.job_group_name.into(),
                job.job_group_symbol.into(),
                job.job_type_name.into(),
                job.job_type_symbol,
            ],
            kind: [job.option.into(), job.build_system.into(), tier_word(job.tier), Cow::Borrowed("")],
        }
    }
}

impl<'b> From<JobFields<'b>> for JobWords<'b> {
    fn from(job: JobFields<'b>) -> Self {
        Self {
            name: job.name,
            upstream: job.upstream,
            place: [job.platform.unwrap_or_default(), job.os, job.architecture],
            label: [job.job_group_name, job.job_group_symbol, job.job_type_name, job.job_type_symbol],
            kind: [job.option, job.build_system_type, tier_word(job.tier), Cow::Borrowed("")],
        }
    }
}

/// A tier as its column has it.
fn tier_word(tier: Option<u8>) -> Cow<'static, str> {
    match tier {
        None => Cow::Borrowed(""),
        Some(1) => Cow::Borrowed("1"),
        Some(2) => Cow::Borrowed("2"),
        Some(3) => Cow::Borrowed("3"),
        Some(other) => Cow::Owned(other.to_string()),
    }
}

impl<'j> ColumnsBuilder<'j> {
    pub(super) fn push(&mut self, mut job: JobWords<'j>) {
        if job.label[TYPE_NAME] == job.name {
            job.label[TYPE_NAME] = Cow::Borrowed("");
            job.kind[TYPING] = Cow::Borrowed(TYPED_BY_NAME);
        }
        let columns = &mut self.columns;
        let upstream = job.upstream.map(|build| self.upstreams.number(&mut columns.upstreams, [build]));
        columns.names.push(&job.name);
        columns.rows.push(Row([
            self.places.number(&mut columns.places, job.place),
            self.labels.number(&mut columns.labels, job.label),
            self.kinds.number(&mut columns.kinds, job.kind),
            upstream.map_or(0, |number| number + 1),
        ]));
    }

    pub(super) fn finish(self) -> Columns {
        self.columns
    }
}
