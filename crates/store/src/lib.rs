//! Where things are kept: the catalog table and the requests table in DynamoDB, the archive of dumps in S3, the queue of
//! requests in SQS, and the shapes of their items.
//!
//! This crate is the one place that knows keys and attribute names. It holds concrete types over the AWS SDK; tests run
//! them against a DynamoDB-compatible emulator.

mod archive;
mod aws;
pub mod cached;
mod catalog_table;
mod error;
mod items;
mod queue;
mod report;
mod requests_table;
pub mod settings;

pub use archive::Archive;
pub use aws::{Aws, ClientProfile};
pub use catalog_table::{CatalogTable, Consistency, ListPointer, Provenance, Usage};
pub use error::StoreError;
pub use queue::{Queue, ReceivedMessage, Ticket};
pub use report::{FailureCode, ProjectReport, Report, ReportOutcome, Schedule, SourceState};
pub use requests_table::{BudgetShare, Cost, RequestsTable, UpdateResult};
