//! The served lists: what new jobs of one build system change in them, and the lists that replace them.
//!
//! A project has one list for all build systems. An ingest replaces the jobs of its own build system and keeps the
//! others.

use std::collections::BTreeMap;

use catalog::list::{self, ListedJob, Listing, PackedList};
use store::{CatalogTable, Consistency, ListPointer, ProjectReport, Provenance, StoreError};

/// The pointers of projects.
pub(crate) type Pointers = BTreeMap<String, ListPointer>;

/// How often an ingest merges its jobs again because an ingest of another build system has moved the pointer.
const MAX_MERGES: usize = 3;

/// The served lists, for an ingest of one build system.
pub(crate) struct ServedLists<'a> {
    pub(crate) table: &'a CatalogTable,
    /// The build system of the new jobs.
    pub(crate) build_system: &'static str,
    /// Whether damaged lists are replaced.
    pub(crate) force: bool,
}

/// What new jobs change in a project.
pub(crate) struct Comparison {
    /// The changes.
    pub(crate) report: ProjectReport,
    /// Number of jobs of the build system that have a build in the served list.
    pub(crate) with_build: usize,
    /// The tag of the body that the new jobs alone have.
    pub(crate) digest: String,
    /// The list to publish: new, changed, or the same for a pointer without a summary or a usable index.
    pub(crate) list: Option<PackedList>,
}

/// New jobs of a project, by name, as a body of their own.
struct NewJobs<'a, 'j> {
    project: &'a str,
    jobs: &'a [ListedJob<'j>],
    body: Vec<u8>,
    summary: list::Summary,
    digest: String,
}

impl<'a, 'j> NewJobs<'a, 'j> {
    fn new(project: &'a str, jobs: &'a [ListedJob<'j>]) -> Self {
        let mut body = Vec::new();
        let summary = list::write_body(project, jobs.iter().cloned(), &mut body);
        let digest = list::etag(&body);
        Self { project, jobs, body, summary, digest }
    }
}

impl ServedLists<'_> {
    /// Compares the new jobs of a project with those of the served list.
    pub(crate) async fn compare(
        &self,
        project: &str,
        jobs: &[ListedJob<'_>],
        pointer: Option<&ListPointer>,
    ) -> Result<Comparison, StoreError> {
        let new = NewJobs::new(project, jobs);
        let digest = new.digest.clone();
        let served = pointer.filter(|pointer| pointer.digest_of(self.build_system) == Some(&*digest));
        // The digests are equal: read the served list only where it may be damaged or outdated.
        let old = match served {
            Some(pointer) if !self.force && !pointer.is_outdated() => None,
            _ => self.old(project, pointer).await?,
        };
        let Some(pointer) = served else {
            let own = old.iter().flat_map(Listing::jobs).filter(|job| job.build_system == self.build_system);
            let found = list::compare(own, jobs.iter().cloned());
            let report = ProjectReport {
                jobs: jobs.len(),
                added: found.added.len(),
                removed: found.removed.len(),
                changed: found.changed.len(),
                unchanged: found.unchanged,
                lost_builds: found.lost_builds.len(),
                graph: None,
            };
            let list = self.merged(new, old.as_ref(), pointer);
            return Ok(Comparison { report, with_build: found.with_build, digest, list: Some(list) });
        };
        let report = ProjectReport { jobs: jobs.len(), unchanged: jobs.len(), ..ProjectReport::default() };
        let with_build = jobs.iter().filter(|job| job.upstream.is_some()).count();
        let list = if self.force || pointer.is_outdated() {
            let list = self.merged(new, old.as_ref(), Some(pointer));
            self.once_more(project, pointer, list, old.is_some()).await?
        } else {
            None
        };
        Ok(Comparison { report, with_build, digest, list })
    }

    /// An unchanged list that is published again for its summary or its index, or because it is damaged. `None` if
    /// there is no reason. A single part is replaced at once. Several parts are replaced one by one and keep their
    /// bytes: bytes of another compressor would not fit the existing parts.
    async fn once_more(
        &self,
        project: &str,
        pointer: &ListPointer,
        list: PackedList,
        is_whole: bool,
    ) -> Result<Option<PackedList>, StoreError> {
        if !is_whole || pointer.etag != list.etag {
            return Ok(Some(list));
        }
        if !pointer.is_outdated() && self.has_index(project, pointer).await? {
            return Ok(None);
        }
        if pointer.parts == 1 && list.parts().len() == 1 {
            return Ok(Some(list));
        }
        Ok(Some(PackedList { gzip: self.table.list(project, pointer).await?, ..list }))
    }

    /// The list of the new jobs and of the other build systems' jobs in the old list.
    fn merged(&self, new: NewJobs<'_, '_>, old: Option<&Listing>, pointer: Option<&ListPointer>) -> PackedList {
        let NewJobs { project, jobs, mut body, mut summary, digest } = new;
        let of_others = |job: &ListedJob<'_>| job.build_system != self.build_system;
        let has_others = old.into_iter().flat_map(Listing::jobs).any(|job| of_others(&job));
        let index_of = |etag: &str, jobs: &[ListedJob<'_>]| list::write_index(project, etag, jobs.iter().cloned());
        let packed = if has_others {
            let all = list::merge(old, self.build_system, jobs.iter().cloned());
            body.clear();
            summary = list::write_body(project, all.iter().cloned(), &mut body);
            let packed = PackedList::new(&body, summary);
            let index = index_of(&packed.etag, &all);
            packed.with_index(index)
        } else {
            let packed = PackedList::new(&body, summary);
            let index = index_of(&packed.etag, jobs);
            packed.with_index(index)
        };
        let digests = packed.summary.build_systems.keys().map(|name| {
            let of_other = || {
                let known = pointer.and_then(|pointer| pointer.digest_of(name)).map(ToOwned::to_owned);
                known.unwrap_or_else(|| digest_of(project, name, old))
            };
            (name.clone(), if name == self.build_system { digest.clone() } else { of_other() })
        });
        let digests = digests.collect();
        packed.with_digests(digests)
    }

    /// The jobs of the served list; `None` for no list. With `force` a damaged list counts as none, and is then written
    /// anew.
    async fn old(&self, project: &str, pointer: Option<&ListPointer>) -> Result<Option<Listing>, StoreError> {
        let Some(pointer) = pointer else { return Ok(None) };
        match self.listing(project, pointer).await {
            Err(StoreError::Damaged { .. }) if self.force => Ok(None),
            other => other.map(Some),
        }
    }

    /// The jobs of a served list, read from its body, whose tag is checked: jobs are taken over from it.
    pub(crate) async fn listing(&self, project: &str, pointer: &ListPointer) -> Result<Listing, StoreError> {
        let damaged = |what: String| StoreError::Damaged { key: format!("list of {project}"), what };
        let packed = self.table.list(project, pointer).await?;
        let body = list::unpack(&packed).map_err(|error| damaged(error.to_string()))?;
        if list::etag(&body) != pointer.etag {
            return Err(damaged("its content is not its ETag's".to_owned()));
        }
        Listing::read(body.into()).map_err(|error| damaged(error.to_string()))
    }

    /// Whether a served list has a usable index.
    async fn has_index(&self, project: &str, pointer: &ListPointer) -> Result<bool, StoreError> {
        match self.table.index(project, pointer).await {
            Ok(index) => {
                Ok(Listing::from_index(&index, &pointer.etag).is_ok_and(|list| list.len() == pointer.summary.jobs))
            }
            Err(StoreError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The number of jobs of the build system that have a build in the served list. A damaged list counts as empty: an
    /// ingest of its project repairs it.
    pub(crate) async fn jobs_with_build(&self, project: &str, pointer: &ListPointer) -> Result<usize, StoreError> {
        let has_build = |job: &ListedJob<'_>| job.build_system == self.build_system && job.upstream.is_some();
        match self.listing(project, pointer).await {
            Ok(listing) => Ok(listing.jobs().filter(has_build).count()),
            Err(StoreError::Damaged { .. }) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Publishes a project's list in place of `previous`. If an ingest of another build system has moved the pointer,
    /// merges `jobs` with what that ingest published, and tries again.
    ///
    /// # Errors
    /// `Superseded` if another ingest of the same build system has published the project since `previous` was read.
    pub(crate) async fn publish<'j>(
        &self,
        project: &str,
        list: &PackedList,
        previous: Option<&ListPointer>,
        jobs: impl Fn() -> Vec<ListedJob<'j>>,
        provenance: &Provenance,
    ) -> Result<ListPointer, StoreError> {
        let mut result = self.table.publish(project, list, previous, provenance).await;
        for _ in 0..MAX_MERGES {
            if !matches!(result, Err(StoreError::Superseded { .. })) {
                break;
            }
            let mut now = self.table.pointers([project], Consistency::Consistent).await?;
            let Some(now) = now.remove(project).transpose()? else { break };
            if !self.is_of_another(previous, &now) {
                break;
            }
            tracing::info!(project, "another build system's jobs were published meanwhile: the jobs are merged again");
            let jobs = jobs();
            let old = self.old(project, Some(&now)).await?;
            let list = self.merged(NewJobs::new(project, &jobs), old.as_ref(), Some(&now));
            result = self.table.publish(project, &list, Some(&now), provenance).await;
        }
        result
    }

    /// Whether the pointer has moved since `previous` was read, and only for other build systems.
    fn is_of_another(&self, previous: Option<&ListPointer>, now: &ListPointer) -> bool {
        let own = |pointer: &ListPointer| {
            let digest = pointer.digest_of(self.build_system)?.to_owned();
            Some((digest, pointer.updated_at(self.build_system)))
        };
        match previous {
            Some(previous) => previous.generation != now.generation && own(previous) == own(now),
            None => now.jobs_of(self.build_system) == 0,
        }
    }
}

/// The tag of the body that a build system's jobs of a list alone have.
fn digest_of(project: &str, build_system: &str, list: Option<&Listing>) -> String {
    let jobs = list.into_iter().flat_map(Listing::jobs).filter(|job| job.build_system == build_system);
    let jobs: Vec<ListedJob<'_>> = jobs.collect();
    NewJobs::new(project, &jobs).digest
}
