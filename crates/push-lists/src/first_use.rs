//! The first use of a push's list: its task graph is fetched, and the list is made and kept.

use std::sync::Arc;

use catalog::ReadError;
use catalog::list::{self, PackedList};
use catalog::taskcluster::{BUILD_SYSTEM, TaskGraph, TaskId};
use store::{CatalogCache, Provenance, PushPointer, ReadStats, SearchableList};
use taskcluster::{Artifact, ArtifactError, ArtifactLimits};

use crate::error::PushListError;
use crate::{FIRST_USE_TIME, PushLists};

/// The artifact with everything that a push can run.
const ARTIFACT: &str = "public/runnable-jobs.json";
/// Maximum size and time of the artifact. That of 30,000 labels has 7 MB.
const LIMITS: ArtifactLimits = ArtifactLimits { max_bytes: 64 << 20, timeout: FIRST_USE_TIME };

impl PushLists {
    /// Makes and keeps the list of a push.
    pub(crate) async fn make(
        &self,
        catalog: &CatalogCache,
        project: &str,
        decision_task: &TaskId,
        stats: &ReadStats,
    ) -> Result<PushPointer, PushListError> {
        let latest = async {
            let of_catalog = |error| PushListError::of_catalog(project, error);
            let pointer = catalog.pointer(project, stats).await.map_err(of_catalog)?.value;
            let list = catalog.searchable_list(project, &pointer, stats).await.map_err(of_catalog)?;
            Ok::<_, PushListError>(list.value)
        };
        let (of_project, graph, latest) =
            tokio::join!(self.check_project(project, decision_task), self.graph(decision_task), latest);
        // The task explains a missing artifact best; an unknown project needs no other explanation.
        let latest = latest?;
        of_project?;
        let graph = graph?;
        let list = blocking(decision_task, {
            let project = project.to_owned();
            move || Ok(pack(&project, graph, &latest))
        });
        let list = list.await?;
        let provenance = Provenance {
            source: format!("{}/api/queue/v1/task/{decision_task}", self.root_url),
            source_etag: None,
            updated_at: (self.clock)(),
        };
        let kept = catalog.keep_push_list(decision_task, project, &list, &provenance, stats).await;
        let kept = kept.map_err(|error| PushListError::CatalogUnavailable(error.to_string()))?;
        tracing::info!(project, %decision_task, jobs = kept.list.summary.jobs, "the list of a push is kept");
        Ok(kept)
    }

    /// Checks that the task is the decision task of a push of the project.
    async fn check_project(&self, project: &str, decision_task: &TaskId) -> Result<(), PushListError> {
        let task = decision_task.clone();
        let Some(definition) = self.taskcluster.task(decision_task).await? else {
            return Err(PushListError::UnknownTask { task });
        };
        if definition.projects().any(|of| of == project) {
            return Ok(());
        }
        match definition.projects().next() {
            Some(of) => Err(PushListError::OtherProject { task, project: project.to_owned(), of: of.to_owned() }),
            None => Err(PushListError::NotADecisionTask { task }),
        }
    }

    /// The task graph of a decision task.
    async fn graph(&self, decision_task: &TaskId) -> Result<TaskGraph, PushListError> {
        let of_artifact = |error| PushListError::of_artifact(decision_task, error);
        let artifact = self.taskcluster.artifact_of_any_run(decision_task, ARTIFACT, LIMITS).await;
        let Artifact { body, .. } = artifact.map_err(of_artifact)?;
        let task = decision_task.clone();
        blocking(decision_task, move || {
            let graph = TaskGraph::read(body, LIMITS.max_bytes, &mut |_| ());
            graph.map_err(|error| match error {
                ReadError::Input { error, .. } => PushListError::of_artifact(&task, ArtifactError::of_body(&error)),
                error => PushListError::Unusable { task, reason: format!("{ARTIFACT}: {error}") },
            })
        })
        .await
    }
}

/// Runs something on a thread that may block.
async fn blocking<T: Send + 'static>(
    decision_task: &TaskId,
    work: impl FnOnce() -> Result<T, PushListError> + Send + 'static,
) -> Result<T, PushListError> {
    let failed = |error: tokio::task::JoinError| PushListError::Unusable {
        task: decision_task.clone(),
        reason: format!("reading it failed: {error}"),
    };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}

/// The list of a push: the jobs of its graph, and those of the other build systems in the project's latest list. The
/// latter also knows tiers and builds, which the graph does not. It is kept as its index alone, which has an eighth of
/// the bytes.
fn pack(project: &str, mut graph: TaskGraph, latest: &Arc<SearchableList>) -> PackedList {
    graph.join(latest.listing.jobs());
    let jobs = list::merge(Some(&latest.listing), BUILD_SYSTEM, graph.jobs());
    let mut body = Vec::new();
    let summary = list::write_body(project, jobs.iter().cloned(), &mut body);
    let index = list::write_index(project, &list::etag(&body), jobs);
    PackedList::as_index(&body, summary, index)
}
