//! The grid of a list: its jobs as columns, in JSON, from which a page draws them.
//!
//! Words that jobs share are there once, and each job has their numbers. Names are without the beginning that each shares
//! with the one before.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::list::columns::{BUILD_SYSTEM, GROUP_NAME, GROUP_SYMBOL, OPTION, PLATFORM, TYPE_SYMBOL};
use crate::list::listing::{Listing, Selection};
use crate::list::pack::{etag, pack};

/// The packed grid of a whole list.
#[derive(Debug)]
pub struct PackedGrid {
    /// The tag of the JSON.
    pub etag: String,
    /// The JSON, packed.
    pub gzip: Arc<[u8]>,
}

#[derive(Serialize)]
struct Grid<'l> {
    meta: GridMeta<'l>,
    platforms: Vec<&'l str>,
    options: Vec<&'l str>,
    groups: Vec<Group<'l>>,
    symbols: Vec<&'l str>,
    build_systems: Vec<&'l str>,
    builds: Vec<&'l str>,
    jobs: GridColumns<'l>,
}

#[derive(Serialize)]
struct GridMeta<'l> {
    repository: &'l RawValue,
    total: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
struct Group<'l> {
    name: &'l str,
    symbol: &'l str,
}

/// A value for each job, in the order of the jobs.
#[derive(Default, Serialize)]
struct GridColumns<'l> {
    shared: Vec<usize>,
    rest: Vec<&'l str>,
    platform: Vec<u32>,
    option: Vec<u32>,
    group: Vec<u32>,
    symbol: Vec<u32>,
    tier: Vec<Option<u8>>,
    build_system: Vec<u32>,
    upstream: Vec<Option<u32>>,
}

/// Words with numbers, in the order in which jobs have them first.
struct Numbered<K> {
    words: Vec<K>,
    numbers: HashMap<K, u32>,
}

impl<K: Copy + Eq + Hash> Numbered<K> {
    fn new() -> Self {
        Self { words: Vec::new(), numbers: HashMap::new() }
    }

    fn number(&mut self, word: K) -> u32 {
        *self.numbers.entry(word).or_insert_with(|| {
            self.words.push(word);
            u32::try_from(self.words.len() - 1).unwrap_or(u32::MAX)
        })
    }
}

impl Listing {
    /// The grid of all jobs, as JSON.
    pub fn grid(&self) -> Vec<u8> {
        self.grid_of(&Selection::default())
    }

    /// The packed grid of all jobs. It is made once.
    pub fn packed_grid(&self) -> &PackedGrid {
        self.grid.get_or_init(|| {
            let grid = self.grid();
            PackedGrid { etag: etag(&grid), gzip: pack(&grid).into() }
        })
    }

    /// The grid of the jobs that pass the filters, as JSON. The page and the fields of the selection have no effect.
    ///
    /// # Panics
    /// Never: memory can be written.
    pub fn grid_of(&self, wanted: &Selection) -> Vec<u8> {
        let selected = self.selected(wanted);
        let columns = &self.columns;
        let (mut platforms, mut options, mut groups) = (Numbered::new(), Numbered::new(), Numbered::new());
        let (mut symbols, mut build_systems, mut builds) = (Numbered::new(), Numbered::new(), Numbered::new());
        // The words of each table are numbered once; most jobs then only have numbers to look up.
        let mut places = vec![None; columns.places.len()];
        let mut labels = vec![None; columns.labels.len()];
        let mut kinds = vec![None; columns.kinds.len()];
        let mut jobs = GridColumns::default();
        let mut before = "";
        for at in selected.iter().copied() {
            let row = columns.rows[at];
            let name = columns.names.get(at);
            let shared = shared_ascii(before, name);
            jobs.shared.push(shared);
            jobs.rest.push(&name[shared..]);
            before = name;
            let (place, label, kind) = (row.place(), row.label(), row.kind());
            let platform = places[place].get_or_insert_with(|| platforms.number(columns.places.get(PLATFORM, place)));
            jobs.platform.push(*platform);
            let (group, symbol) = labels[label].get_or_insert_with(|| {
                let of = |column| columns.labels.get(column, label);
                let group = Group { name: of(GROUP_NAME), symbol: of(GROUP_SYMBOL) };
                (groups.number(group), symbols.number(of(TYPE_SYMBOL)))
            });
            jobs.group.push(*group);
            jobs.symbol.push(*symbol);
            let (option, build_system, tier) = kinds[kind].get_or_insert_with(|| {
                let of = |column| columns.kinds.get(column, kind);
                (options.number(of(OPTION)), build_systems.number(of(BUILD_SYSTEM)), columns.tier(row))
            });
            jobs.option.push(*option);
            jobs.build_system.push(*build_system);
            jobs.tier.push(*tier);
            jobs.upstream.push(columns.upstream(row).map(|build| builds.number(build)));
        }
        let repository: &RawValue = serde_json::from_str(&self.repository).expect("it was read from JSON");
        let grid = Grid {
            meta: GridMeta { repository, total: selected.len() },
            platforms: platforms.words,
            options: options.words,
            groups: groups.words,
            symbols: symbols.words,
            build_systems: build_systems.words,
            builds: builds.words,
            jobs,
        };
        serde_json::to_vec(&grid).expect("strings and numbers can be written to memory")
    }
}

/// The length of the ASCII beginning that two names share: as many bytes as characters, in whatever way a client counts
/// them.
fn shared_ascii(one: &str, other: &str) -> usize {
    one.bytes().zip(other.bytes()).take_while(|(one, other)| one == other && one.is_ascii()).count()
}
