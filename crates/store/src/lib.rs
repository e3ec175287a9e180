//! Storage: the catalog table and the requests table in DynamoDB, the archive of dumps in S3, the queue of requests in
//! SQS, the shapes of their items, and the catalog in memory.
//!
//! Only this crate knows keys and attribute names. Its types are concrete and use the AWS SDK; tests run them against
//! an emulator of DynamoDB.

mod archive;
mod catalog_cache;
mod catalog_table;
mod error;
mod items;
mod queue;
mod report;
mod requests_table;

pub use archive::Archive;
pub use catalog_cache::{CatalogCache, CatalogError, Found, List, ReadStats, SearchableList};
pub use catalog_table::{CatalogTable, Consistency, ListOwner, ListPointer, Provenance, PushPointer, Share, Usage};
pub use error::StoreError;
pub use queue::{Queue, ReceivedMessage, Ticket};
pub use report::{
    BUILD_SYSTEMS, FailureCode, GraphOutcome, GraphReport, ProjectReport, Report, ReportOutcome, Schedule, SourceState,
};
pub use requests_table::{
    BudgetShare, Cost, FollowedRequest, PushLock, RequestWithJobs, RequestsTable, StoredRequest, UpdateResult,
};
