//! A project's list of runnable jobs: its fields, its body, how it is packed, compared and searched.
//!
//! The body has the shape of Treeherder's own list of 2015-2019, so that its clients work unchanged.

mod columns;
mod diff;
mod fields;
mod grid;
mod index;
mod job;
mod limits;
mod listing;
mod merge;
mod names;
mod pack;
mod query;
mod titles;
mod words;
mod write;

pub use diff::{ListDiff, compare};
pub use fields::{BadBody, FIELDS, JobFields, jobs_of};
pub use grid::PackedGrid;
pub use index::{BadIndex, body_of_index, index_format, write_index};
pub use job::{ListedJob, ListedPlatform, UNKNOWN, UNKNOWN_SYMBOL};
pub use limits::{MAX_NAME, is_project_name};
pub use listing::{Listing, Selection};
pub use merge::merge;
pub use names::Names;
pub use pack::{MAX_PART_BYTES, PackedList, Summary, etag, pack, unpack};
pub use query::Query;
pub use write::write_body;
