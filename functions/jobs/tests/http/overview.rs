//! The whole catalog: projects, ingests, and health.

use aws_sdk_dynamodb::types::AttributeValue;
use catalog::list::PackedList;
use http::StatusCode;
use jobs::api::{Health, Heartbeat, Ingest, Ingests, Projects, Version};
use store::{FailureCode, GraphOutcome, GraphReport, ProjectReport, Provenance, Report, ReportOutcome};

use crate::app::{LIST, NAMES, TestApp, list, morning};
use test_support::store::{at, set};

#[tokio::test]
async fn projects_have_a_summary_and_whether_they_are_stale() {
    let app = TestApp::published().await;
    app.publish("mozilla-central", &NAMES[..1], None).await;
    app.report("2026-11-23T06:00:00Z", ReportOutcome::Published, &[]).await;
    app.report("2026-11-23T06:30:00Z", ReportOutcome::Unchanged, &["try"]).await;
    app.report("2026-11-23T06:40:00Z", ReportOutcome::Failed, &[]).await;

    let projects = app.get("/api/projects/").await.json::<Projects>().projects;

    assert_eq!(projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["mozilla-central", "try"]);
    let try_ = &projects[1];
    assert_eq!((try_.jobs, try_.runnable_jobs.as_str()), (6, LIST));
    assert_eq!(try_.build_systems, [("buildbot".to_owned(), 6)].into());
    assert_eq!(try_.platforms, ["linux64", "windows7-32", "windows8-64"].map(str::to_owned).into());
    assert_eq!((try_.updated_at, try_.checked_at), (morning(), at("2026-11-23T06:30:00Z")));
    assert_eq!((projects[0].checked_at, projects[0].stale), (morning(), false));
    // The names and the reports; the emulator does not report the cost of a batch.
    assert!((1.0..=3.0).contains(&app.cost().1), "{:?}", app.cost());
    // A day later nothing came.
    app.wait(24 * 3600);
    let projects = app.get("/api/projects").await.json::<Projects>().projects;
    assert!(projects.iter().all(|project| project.stale));
}

#[tokio::test]
async fn ingests_are_listed_newest_first() {
    let app = TestApp::new().await;
    assert!(app.get("/api/ingests/").await.json::<Ingests>().ingests.is_empty());
    app.get("/api/ingests/latest/").await.problem(StatusCode::NOT_FOUND, "no_ingest");
    for day in 1..=22 {
        app.report(&format!("2026-11-{day:02}T06:00:00Z"), ReportOutcome::Published, &[]).await;
    }
    app.wait(30);
    let ingests = app.get("/api/ingests/").await.json::<Ingests>().ingests;
    assert_eq!(ingests.len(), 20);
    assert_eq!(ingests[0].started_at, at("2026-11-22T06:00:00Z"));
    let latest = app.get("/api/ingests/latest").await.json::<Ingest>();
    assert_eq!(latest.started_at, ingests[0].started_at);
}

#[tokio::test]
async fn unreadable_items_are_skipped_and_counted() {
    let app = TestApp::published().await;
    app.publish("mozilla-central", &NAMES[..1], None).await;
    let times = ["2026-11-23T06:00:00Z", "2026-11-23T06:30:00Z"];
    for time in times {
        app.report(time, ReportOutcome::Published, &[]).await;
    }
    let newer = Some(AttributeValue::S("of a newer version".to_owned()));
    set(&app.client, &app.name, ("ingest", "2026-11-23T06:30:00.000000Z"), "report", newer.clone()).await;
    set(&app.client, &app.name, ("project#try", "current"), "generation", newer).await;

    let damaged = || app.lines.lock().unwrap().last().unwrap()["DamagedItems"].clone();
    let ingests = app.get("/api/ingests/").await.json::<Ingests>().ingests;
    assert_eq!(ingests.iter().map(|ingest| ingest.started_at).collect::<Vec<_>>(), [at(times[0])]);
    assert_eq!(damaged(), 1);
    assert_eq!(app.get("/api/ingests/latest/").await.json::<Ingest>().started_at, at(times[0]));
    let projects = app.get("/api/projects/").await.json::<Projects>().projects;
    assert_eq!(projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["mozilla-central"]);
    assert_eq!(damaged(), 1);
    assert_eq!(heartbeat(&app).await.0, StatusCode::OK);
}

#[tokio::test]
async fn nothing_internal_is_shown_of_an_ingest_that_failed() {
    let internal =
        "reading s3://SECRET-bucket: AccessDenied: arn:aws:sts::SECRET:assumed-role/SECRET is not authorized";
    let codes = [
        (FailureCode::SourceUnavailable, ReportOutcome::Failed, "source_unavailable"),
        (FailureCode::DocumentBroken, ReportOutcome::Refused, "document_broken"),
        (FailureCode::Guarded, ReportOutcome::Refused, "guarded"),
        (FailureCode::Superseded, ReportOutcome::Superseded, "superseded"),
        (FailureCode::StoreUnavailable, ReportOutcome::Failed, "store_unavailable"),
        (FailureCode::UnknownProject, ReportOutcome::Failed, "unknown_project"),
        (FailureCode::Interrupted, ReportOutcome::Failed, "interrupted"),
        (FailureCode::Internal, ReportOutcome::Failed, "internal"),
    ];
    // Reports of earlier releases have no code.
    let earlier = [
        (ReportOutcome::Failed, "internal"),
        (ReportOutcome::Refused, "document_broken"),
        (ReportOutcome::Superseded, "superseded"),
    ];
    let with = codes.map(|(code, outcome, public)| (Some(code), outcome, public));
    let without = earlier.map(|(outcome, public)| (None, outcome, public));
    let app = TestApp::new().await;
    for (hour, (error_code, outcome, _)) in with.iter().chain(&without).enumerate() {
        let mut report = Report::new(
            at(&format!("2026-11-23T{hour:02}:00:00Z")),
            "https://SECRET:SECRET@example.org/a.json?key=SECRET#SECRET",
        );
        (report.error, report.error_code, report.outcome) = (Some(internal.to_owned()), *error_code, *outcome);
        report.archive = Some("s3://SECRET-bucket/a.json.gz".to_owned());
        let state = store::SourceState { etag: Some("SECRET".to_owned()), ..store::SourceState::default() };
        report.sources.insert("buildbot".to_owned(), state);
        report.masters = [("SECRET".to_owned(), 1)].into();
        report.masters_gone = [("SECRET".to_owned(), 1)].into();
        app.table.put_report(&report).await.unwrap();
    }

    let answer = app.get("/api/ingests/").await;

    let text = String::from_utf8_lossy(&answer.body);
    assert!(!text.contains("SECRET") && !text.contains("arn:") && !text.contains("bucket"), "{text}");
    let mut ingests = answer.json::<Ingests>().ingests;
    ingests.reverse();
    for (ingest, (_, _, public)) in ingests.iter().zip(with.iter().chain(&without)) {
        assert_eq!(serde_json::to_value(&ingest.error_code).unwrap(), *public);
        assert!(ingest.error.as_ref().unwrap().ends_with('.'));
        assert_eq!(ingest.source, "https://example.org/a.json");
    }
    let latest = app.get("/api/ingests/latest/").await;
    assert!(!String::from_utf8_lossy(&latest.body).contains("SECRET"));
    // Operators see all of it.
    assert_eq!(app.table.reports(1).await.unwrap()[0].error.as_deref(), Some(internal));
}

async fn heartbeat(app: &TestApp) -> (StatusCode, Heartbeat) {
    let answer = app.get("/__heartbeat__").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test]
async fn the_heartbeat_reports_a_catalog_that_is_not_fresh() {
    let app = TestApp::new().await;
    let (status, never) = heartbeat(&app).await;
    assert_eq!((status, never.status), (StatusCode::SERVICE_UNAVAILABLE, Health::Error));
    assert_eq!(never.checks["store"], Health::Ok);
    assert_eq!(never.details["catalog"], "nothing was ever ingested");

    app.report("2026-11-23T06:00:00Z", ReportOutcome::Unchanged, &[]).await;
    // Neither a failed nor a partial ingest makes a catalog fresh, or less so.
    app.report("2026-11-23T06:30:00Z", ReportOutcome::Failed, &[]).await;
    app.wait(5);
    let (status, fresh) = heartbeat(&app).await;
    assert_eq!((status, fresh.status), (StatusCode::OK, Health::Ok), "{fresh:?}");
    assert_eq!(fresh.details["catalog"], "last ingested at 2026-11-23T06:00:00Z");

    app.wait(24 * 3600);
    app.report("2026-11-24T06:00:00Z", ReportOutcome::Published, &["try"]).await;
    let (status, late) = heartbeat(&app).await;
    assert_eq!((status, late.checks["catalog"]), (StatusCode::SERVICE_UNAVAILABLE, Health::Error));
    let expected = "last ingested at 2026-11-23T06:00:00Z; 1 ingests were due since and missed";
    assert_eq!(late.details["catalog"], expected);
}

/// A report of an ingest of Taskcluster with this outcome for `try`.
async fn report_taskcluster(app: &TestApp, started_at: &str, outcome: GraphOutcome) {
    let mut report = Report::of_taskcluster(at(started_at), "https://taskcluster.example.org/");
    let mut graph = GraphReport::new(outcome);
    if graph.succeeded() {
        report.outcome = ReportOutcome::Unchanged;
        graph.decision_task = Some("fN1SbArXTPSVFNUvaOlinQ".to_owned());
    } else {
        (report.error, report.error_code) = (Some("try: SECRET".to_owned()), Some(FailureCode::WrongProject));
        (graph.error, graph.error_code) = (Some("SECRET".to_owned()), Some(FailureCode::WrongProject));
        graph.decision_task = Some("/SECRET/try.json".to_owned());
    }
    let entry = ProjectReport { jobs: 4, graph: Some(graph), ..ProjectReport::default() };
    report.projects.insert("try".to_owned(), entry);
    app.table.put_report(&report).await.unwrap();
}

#[tokio::test]
async fn a_missed_ingest_of_taskcluster_makes_the_heartbeat_fail_by_its_own_schedule() {
    let app = TestApp::with(&[("RUNNABLE_JOBS_TASKCLUSTER_SCHEDULE", "20 * * * ? *")]).await;
    app.report("2026-11-23T06:00:00Z", ReportOutcome::Published, &[]).await;
    let (status, never) = heartbeat(&app).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let expected = "buildbot: last ingested at 2026-11-23T06:00:00Z; taskcluster: nothing was ever ingested";
    assert_eq!(never.details["catalog"], expected);

    report_taskcluster(&app, "2026-11-23T06:20:00Z", GraphOutcome::NoDecisionTask).await;
    app.wait(5);
    assert_eq!(heartbeat(&app).await.0, StatusCode::OK);
    // Two hours later. Buildbot's is not due.
    app.wait(2 * 3600);
    report_taskcluster(&app, "2026-11-23T08:20:00Z", GraphOutcome::Refused).await;
    let (status, late) = heartbeat(&app).await;
    assert_eq!((status, late.checks["catalog"]), (StatusCode::SERVICE_UNAVAILABLE, Health::Error));
    let expected = "taskcluster: last ingested at 2026-11-23T06:20:00Z; 2 ingests were due since and missed";
    assert!(late.details["catalog"].ends_with(expected), "{late:?}");
}

#[tokio::test]
async fn a_project_is_stale_if_an_ingest_of_any_of_its_build_systems_was_missed() {
    let app = TestApp::with(&[("RUNNABLE_JOBS_TASKCLUSTER_SCHEDULE", "20 * * * ? *")]).await;
    let of_buildbot = list("try", &NAMES);
    let mut summary = of_buildbot.summary.clone();
    summary.build_systems.insert("taskcluster".to_owned(), 4);
    let mixed = PackedList { summary, ..of_buildbot };
    let provenance = Provenance { source: "-".to_owned(), source_etag: None, updated_at: at("2026-11-23T05:00:00Z") };
    app.table.publish("try", &mixed, None, &provenance).await.unwrap();
    app.publish("ash", &NAMES, None).await;
    app.report("2026-11-23T06:00:00Z", ReportOutcome::Unchanged, &[]).await;
    report_taskcluster(&app, "2026-11-23T06:20:00Z", GraphOutcome::Unchanged).await;
    report_taskcluster(&app, "2026-11-23T06:50:00Z", GraphOutcome::Failed).await;
    let projects = app.get("/api/projects/").await.json::<Projects>().projects;
    let found: Vec<_> = projects.iter().map(|project| (&*project.name, project.checked_at, project.stale)).collect();
    let morning = at("2026-11-23T06:00:00Z");
    assert_eq!(found, [("ash", morning, false), ("try", morning, false)]);
    app.wait(2 * 3600);
    let projects = app.get("/api/projects/").await.json::<Projects>().projects;
    assert_eq!(projects.iter().map(|project| project.stale).collect::<Vec<_>>(), [false, true]);

    let answer = app.get("/api/ingests/").await;
    let text = String::from_utf8_lossy(&answer.body);
    assert!(!text.contains("SECRET"), "{text}");
    let ingests = answer.json::<Ingests>().ingests;
    let systems: Vec<&str> = ingests.iter().map(|ingest| ingest.build_system.as_str()).collect();
    assert_eq!(systems, ["taskcluster", "taskcluster", "buildbot"]);
    let of_try = ingests[0].projects["try"].graph.as_ref().unwrap();
    assert_eq!(serde_json::to_value(&of_try.error_code).unwrap(), "wrong_project");
    assert_eq!(of_try.decision_task, None);
    let of_try = ingests[1].projects["try"].graph.as_ref().unwrap();
    assert_eq!(of_try.decision_task.as_deref(), Some("fN1SbArXTPSVFNUvaOlinQ"));
}

#[tokio::test]
async fn the_heartbeat_reports_a_store_that_does_not_answer_and_the_other_one_does_not_use_the_store() {
    let app = TestApp::published().await;
    app.report("2026-11-23T06:00:00Z", ReportOutcome::Published, &[]).await;
    assert_eq!(heartbeat(&app).await.0, StatusCode::OK);
    app.goes_down(true);
    app.wait(5);
    let (status, down) = heartbeat(&app).await;
    assert_eq!((status, down.checks["store"]), (StatusCode::SERVICE_UNAVAILABLE, Health::Error));
    assert_eq!(down.details["store"], "it cannot be read; the function's log has the reason");
    assert!(app.lines.lock().unwrap().last().unwrap()["error"].as_str().unwrap().contains("InternalServerError"));
    let asked = app.asked();
    assert_eq!(app.get("/__lbheartbeat__").await.status, StatusCode::OK);
    assert_eq!(app.asked(), asked);
}

#[tokio::test]
async fn the_version_names_program_and_rules() {
    let app = TestApp::new().await;
    let version = app.get("/__version__").await.json::<Version>();
    assert_eq!((version.source.as_str(), version.version.as_str()), ("runnable-jobs", env!("CARGO_PKG_VERSION")));
    assert_eq!(version.build, catalog::RULES);
}
