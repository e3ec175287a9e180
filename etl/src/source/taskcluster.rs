//! The source of Taskcluster's jobs: the task graph of each project's latest decision task, from a Taskcluster or from files.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use catalog::taskcluster::{GraphError, TaskGraph, TaskId};
use fetch::gzip::starts_like_gzip;
use flate2::read::MultiGzDecoder;
use taskcluster::{ArtifactError, ArtifactLimits, IndexPaths, Taskcluster, TaskclusterSettings};

use crate::error::IngestError;
use crate::ingest::{ProgressCallback, Stage};
use crate::source::{Opened, SourceLocation, Validators};

/// The artifact that has tiers and dependencies.
const FULL_GRAPH: &str = "public/full-task-graph.json";
/// The artifact that has what Treeherder shows, and nothing else. It has less than a tenth of the bytes.
const RUNNABLE_JOBS: &str = "public/runnable-jobs.json";
/// Maximum size of the latter, in bytes. That of 30,000 labels has 7 MB.
const MAX_RUNNABLE_JOBS_BYTES: u64 = 64 << 20;
/// Maximum time to fetch an artifact. The function has five minutes for all projects.
const ARTIFACT_TIMEOUT: Duration = Duration::from_secs(100);

/// Where the task graphs of the projects are.
pub enum TaskclusterSource {
    /// A Taskcluster.
    Service {
        /// Its client.
        client: Box<Taskcluster>,
        /// Its root URL, for reports.
        root_url: String,
        /// Where its Index has the decision tasks of each project.
        projects: BTreeMap<String, IndexPaths>,
    },
    /// A file for each project: runnable-jobs.json or full-task-graph.json, plain or gzip.
    Files(BTreeMap<String, PathBuf>),
}

/// Where a project's graph was found.
pub(crate) enum FoundGraph {
    /// A decision task.
    DecisionTask(TaskId),
    /// A file.
    File(PathBuf),
}

impl FoundGraph {
    /// The task id, or the path.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::DecisionTask(id) => id.to_string(),
            Self::File(path) => path.display().to_string(),
        }
    }

    /// Whether the graph is the same whenever it is read.
    pub(crate) fn is_immutable(&self) -> bool {
        matches!(self, Self::DecisionTask(_))
    }
}

/// A graph that was read.
pub struct GraphOf {
    /// The graph.
    pub graph: TaskGraph,
    /// The artifact that holds it; `None` for a file.
    pub artifact: Option<String>,
}

impl From<TaskclusterSettings> for TaskclusterSource {
    fn from(settings: TaskclusterSettings) -> Self {
        let (root_url, projects) = (settings.root_url.to_string(), settings.projects.clone());
        Self::Service { client: Box::new(Taskcluster::new(settings)), root_url, projects }
    }
}

impl fmt::Display for TaskclusterSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { root_url, .. } => f.write_str(root_url),
            Self::Files(files) => {
                let shown: Vec<String> = files.values().map(|file| file.display().to_string()).collect();
                f.write_str(&shown.join(", "))
            }
        }
    }
}

impl TaskclusterSource {
    /// The projects that have a graph here, or may have one.
    pub fn projects(&self) -> impl Iterator<Item = &str> {
        let names: Vec<&String> = match self {
            Self::Service { projects, .. } => projects.keys().collect(),
            Self::Files(files) => files.keys().collect(),
        };
        names.into_iter().map(String::as_str)
    }

    /// Finds the graph of a project. `None` if the Index knows no decision task.
    pub(crate) async fn find(&self, project: &str) -> Result<Option<FoundGraph>, IngestError> {
        match self {
            Self::Service { client, projects, .. } => {
                let Some(paths) = projects.get(project) else { return Ok(None) };
                Ok(client.find_task(&paths.latest).await?.map(FoundGraph::DecisionTask))
            }
            Self::Files(files) => Ok(files.get(project).cloned().map(FoundGraph::File)),
        }
    }

    /// Reads the graph of a project, which must be of this project.
    pub(crate) async fn read(
        &self,
        project: &str,
        found: &FoundGraph,
        max_bytes: u64,
        on_progress: &ProgressCallback,
    ) -> Result<GraphOf, IngestError> {
        match (self, found) {
            (Self::Service { client, .. }, FoundGraph::DecisionTask(id)) => {
                let projects = projects_of(client, id).await?;
                if !projects.is_empty() && !projects.iter().any(|of_task| of_task == project) {
                    return Err(IngestError::WrongProject(projects));
                }
                let read = fetch(client, id, max_bytes, on_progress).await?;
                match &read.graph.findings().project {
                    Some(of_graph) if of_graph != project => Err(IngestError::WrongProject(vec![of_graph.clone()])),
                    None if projects.is_empty() => Err(IngestError::WrongProject(Vec::new())),
                    _ => Ok(read),
                }
            }
            (_, FoundGraph::File(path)) => {
                let graph = read_file(path.clone(), max_bytes, on_progress).await?;
                match &graph.findings().project {
                    Some(of_graph) if of_graph != project => Err(IngestError::WrongProject(vec![of_graph.clone()])),
                    _ => Ok(GraphOf { graph, artifact: None }),
                }
            }
            (Self::Files(_), FoundGraph::DecisionTask(id)) => {
                Err(IngestError::Internal(format!("the decision task {id} was found in files")))
            }
        }
    }

    /// Finds and reads the graph of a project, without a store. `None` if the Index knows no decision task.
    ///
    /// # Errors
    /// The graph cannot be found or read, or is that of another project.
    pub async fn find_and_read(
        &self,
        project: &str,
        max_bytes: u64,
        on_progress: &ProgressCallback,
    ) -> Result<Option<GraphOf>, IngestError> {
        let Some(found) = self.find(project).await? else { return Ok(None) };
        self.read(project, &found, max_bytes, on_progress).await.map(Some)
    }
}

/// The projects that a decision task's routes name.
async fn projects_of(client: &Taskcluster, id: &TaskId) -> Result<Vec<String>, IngestError> {
    let gone = || ArtifactError::Missing(format!("the decision task {id} is gone"));
    let task = client.task(id).await?.ok_or_else(|| IngestError::Artifact(gone()))?;
    Ok(task.projects().map(ToOwned::to_owned).collect())
}

/// Fetches the full graph of a decision task, or the runnable jobs if the full graph cannot be had.
async fn fetch(
    client: &Taskcluster,
    id: &TaskId,
    max_bytes: u64,
    on_progress: &ProgressCallback,
) -> Result<GraphOf, IngestError> {
    let mut first_error = None;
    for (name, most) in [(FULL_GRAPH, max_bytes), (RUNNABLE_JOBS, max_bytes.min(MAX_RUNNABLE_JOBS_BYTES))] {
        let limits = ArtifactLimits { max_bytes: most, timeout: ARTIFACT_TIMEOUT };
        match client.artifact_of_any_run(id, name, limits).await {
            Ok(artifact) => {
                let graph = read(artifact.body, most, on_progress).await.map_err(of_artifact)?;
                return Ok(GraphOf { graph, artifact: Some(name.to_owned()) });
            }
            Err(error) if is_absent(&error) => {
                tracing::info!(%id, name, %error, "the decision task does not have the artifact");
                first_error.get_or_insert(error);
            }
            Err(error) => return Err(error.into()),
        }
    }
    let none = || ArtifactError::Missing("it has no task graph".to_owned());
    Err(first_error.unwrap_or_else(none).into())
}

/// Whether an artifact is not there: another may be.
fn is_absent(error: &ArtifactError) -> bool {
    matches!(
        error,
        ArtifactError::NotYet(_) | ArtifactError::Missing(_) | ArtifactError::Failed { .. } | ArtifactError::Expired(_)
    )
}

/// The error of reading an artifact: a stream that broke says why.
fn of_artifact(error: IngestError) -> IngestError {
    match &error {
        IngestError::Broken(GraphError::Input { error: broken, .. }) => match ArtifactError::of_body(broken) {
            said @ (ArtifactError::TooLarge(_) | ArtifactError::Unavailable { .. }) => said.into(),
            _ => error,
        },
        _ => error,
    }
}

/// Reads a file, plain or gzip.
///
/// # Errors
/// The file cannot be read, or holds no task graph.
pub async fn read_file(
    path: PathBuf,
    max_bytes: u64,
    on_progress: &ProgressCallback,
) -> Result<TaskGraph, IngestError> {
    let content = match SourceLocation::File(path).open(&Validators::default(), None).await? {
        Opened::Content(content) => content,
        Opened::NotModified => return Err(IngestError::Internal("a file is not modified since nothing".to_owned())),
    };
    let mut bytes = BufReader::with_capacity(64 * 1024, content.bytes);
    let broken = |error| GraphError::Input { path: "the document".to_owned(), error, offset: 0 };
    let is_gzip = starts_like_gzip(&mut bytes).map_err(broken)?;
    let unpacked: Box<dyn Read + Send> = if is_gzip { Box::new(MultiGzDecoder::new(bytes)) } else { Box::new(bytes) };
    read(unpacked, max_bytes, on_progress).await
}

/// Reads a graph on a thread that may block.
async fn read(
    bytes: Box<dyn Read + Send>,
    max_bytes: u64,
    on_progress: &ProgressCallback,
) -> Result<TaskGraph, IngestError> {
    let on_progress = on_progress.clone();
    let reading = tokio::task::spawn_blocking(move || {
        TaskGraph::read(bytes, max_bytes, &mut |labels| on_progress(Stage::ReadGraph { labels }))
    });
    Ok(reading.await.map_err(|error| IngestError::Internal(error.to_string()))??)
}
