//! The public part of an ingest's report. The report itself is for operators: its source may be a signed address, and
//! its error repeats messages of the store or the network. Operators read it with `runnable-jobs runs` and in the log.

use catalog::taskcluster::{self, TaskId};
use store::{FailureCode, GraphReport, Report, ReportOutcome};

use crate::api::{Graph, GraphOutcome, Ingest, IngestErrorCode, IngestOutcome, ProjectChanges};

impl From<&Report> for Ingest {
    fn from(report: &Report) -> Self {
        let changes = |report: &store::ProjectReport| ProjectChanges {
            jobs: report.jobs,
            added: report.added,
            removed: report.removed,
            changed: report.changed,
            unchanged: report.unchanged,
            lost_builds: report.lost_builds,
            graph: report.graph.as_ref().map(graph),
        };
        let error_code = error_code(report);
        Self {
            build_system: report.build_system.clone(),
            started_at: report.started_at,
            seconds: report.seconds,
            outcome: match report.outcome {
                ReportOutcome::Published => IngestOutcome::Published,
                ReportOutcome::Unchanged => IngestOutcome::Unchanged,
                ReportOutcome::Checked => IngestOutcome::Checked,
                ReportOutcome::Refused => IngestOutcome::Refused,
                ReportOutcome::Superseded => IngestOutcome::Superseded,
                ReportOutcome::Failed => IngestOutcome::Failed,
            },
            error: error_code.as_ref().map(|code| match report.build_system.as_str() {
                taskcluster::BUILD_SYSTEM => "Some projects could not be read. `projects` has the reasons.".to_owned(),
                _ => sentence(code).to_owned(),
            }),
            error_code,
            refusals: report.refusals.iter().map(ToString::to_string).collect(),
            source: source(&report.source),
            only: report.only.clone(),
            bytes: report.bytes,
            builders: report.builders,
            jobs: report.jobs,
            not_runnable: report.not_runnable,
            empty_slavepool: report.empty_slavepool,
            tests_without_build: report.tests_without_build,
            unknown_names: report.unknown_names,
            problem_count: report.problem_count,
            problems: report.problems.clone(),
            projects: report.projects.iter().map(|(name, report)| (name.clone(), changes(report))).collect(),
            next_due: report.schedule.as_ref().map(|schedule| schedule.next_due),
        }
    }
}

/// The kind of error, if the report has one. For reports of earlier releases it is derived from the outcome.
fn error_code(report: &Report) -> Option<IngestErrorCode> {
    report.error.as_ref()?;
    let code = report.error_code.unwrap_or(match report.outcome {
        ReportOutcome::Superseded => FailureCode::Superseded,
        ReportOutcome::Refused if report.refusals.is_empty() => FailureCode::DocumentBroken,
        ReportOutcome::Refused => FailureCode::Guarded,
        _ => FailureCode::Internal,
    });
    Some(public_code(code))
}

fn public_code(code: FailureCode) -> IngestErrorCode {
    match code {
        FailureCode::SourceUnavailable => IngestErrorCode::SourceUnavailable,
        FailureCode::DocumentBroken => IngestErrorCode::DocumentBroken,
        FailureCode::WrongProject => IngestErrorCode::WrongProject,
        FailureCode::ArtifactMissing => IngestErrorCode::ArtifactMissing,
        FailureCode::Guarded => IngestErrorCode::Guarded,
        FailureCode::Superseded => IngestErrorCode::Superseded,
        FailureCode::StoreUnavailable => IngestErrorCode::StoreUnavailable,
        FailureCode::UnknownProject => IngestErrorCode::UnknownProject,
        FailureCode::Interrupted => IngestErrorCode::Interrupted,
        FailureCode::Internal => IngestErrorCode::Internal,
    }
}

/// The task graph of a project. A file is not named, because paths are internal.
fn graph(report: &GraphReport) -> Graph {
    let error_code = report.error_code.map(public_code);
    Graph {
        outcome: match report.outcome {
            store::GraphOutcome::Published => GraphOutcome::Published,
            store::GraphOutcome::Unchanged => GraphOutcome::Unchanged,
            store::GraphOutcome::Checked => GraphOutcome::Checked,
            store::GraphOutcome::NoDecisionTask => GraphOutcome::NoDecisionTask,
            store::GraphOutcome::Refused => GraphOutcome::Refused,
            store::GraphOutcome::Superseded => GraphOutcome::Superseded,
            store::GraphOutcome::Failed => GraphOutcome::Failed,
        },
        decision_task: report.decision_task.clone().filter(|task| task.parse::<TaskId>().is_ok()),
        artifact: report.artifact.clone(),
        error: error_code.as_ref().map(|code| sentence(code).to_owned()),
        error_code,
        skipped: report.skipped,
    }
}

fn sentence(code: &IngestErrorCode) -> &'static str {
    match code {
        IngestErrorCode::SourceUnavailable => "The source could not be read.",
        IngestErrorCode::DocumentBroken => {
            "The source is broken, too long, or not what it should be. The old jobs stay."
        }
        IngestErrorCode::WrongProject => "The source is that of another project. The old jobs stay.",
        IngestErrorCode::ArtifactMissing => {
            "The decision task has no task graph, or has it no longer. The old jobs stay."
        }
        IngestErrorCode::Guarded => "The guards refused the source. The old jobs stay.",
        IngestErrorCode::Superseded => "Another ingest published at the same time. The next ingest catches up.",
        IngestErrorCode::StoreUnavailable => "The store could not be used.",
        IngestErrorCode::UnknownProject => "The ingest was restricted to a project that does not exist.",
        IngestErrorCode::Interrupted => "The ingest was interrupted.",
        IngestErrorCode::Internal => "The ingest failed. Its log has the reason.",
    }
}

/// The address of a web source without user, query and fragment; for other sources only the kind, because paths,
/// buckets and keys are internal.
fn source(source: &str) -> String {
    let kind = |kind: &str| kind.to_owned();
    match source.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => {
            let rest = rest.split(['?', '#']).next().unwrap_or_default();
            let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
            let host = authority.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        Some(("s3", _)) => kind("S3"),
        None if source == "standard input" => kind("standard input"),
        _ => kind("a file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_shown_without_user_query_and_fragment() {
        for (stored, shown) in [
            ("https://example.org/a.json", "https://example.org/a.json"),
            ("https://example.org/a.json?X-Amz-Signature=secret#secret", "https://example.org/a.json"),
            ("https://%E2%80%A6:secret@example.org:8443/a.json?secret", "https://example.org:8443/a.json"),
            ("http://example.org?secret", "http://example.org"),
            ("http://secret@example.org#a/b@c", "http://example.org"),
            ("s3://secret-bucket/sources/a.json", "S3"),
            ("/home/secret/a.json", "a file"),
            ("secret.json?x://", "a file"),
            ("standard input", "standard input"),
        ] {
            assert_eq!(source(stored), shown);
        }
    }
}
