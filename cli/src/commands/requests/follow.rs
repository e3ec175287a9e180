//! `requests follow`: one round over the requests whose jobs were forwarded.

use chrono::TimeDelta;
use forward::settings::FollowSettings;
use forward::{FollowReport, Follower};
use store::RequestsTable;
use taskcluster::Taskcluster;
use treeherder::Treeherder;

use super::{Operator, clock, warn_of_damage};
use crate::failure::Failure;
use crate::output::{print_json_line, print_text};

/// Looks at the requests whose turn it is, as the forward function does each minute.
pub(super) async fn follow(operator: &Operator<'_>, as_json: bool) -> Result<(), Failure> {
    let settings = FollowSettings::read(operator.lookup)?;
    let requests = RequestsTable::new(operator.aws().await?.dynamodb(), &settings.requests_table);
    let clock = clock();
    let treeherder = Treeherder::new(&settings.treeherder_url, TimeDelta::zero(), clock.clone());
    let taskcluster = settings.taskcluster.map(Taskcluster::new);
    let follower = Follower {
        requests: &requests,
        treeherder: &treeherder,
        taskcluster: taskcluster.as_ref(),
        following: settings.following,
        clock: &clock,
    };
    let report = follower.round(None).await;
    warn_of_damage(report.damaged);
    if as_json {
        print_json_line(&report)?;
    } else {
        print_text(&text(&report))?;
    }
    match report.error {
        Some(error) if report.failed > 0 => Err(Failure::Internal(error)),
        _ => Ok(()),
    }
}

fn text(report: &FollowReport) -> String {
    let FollowReport { followed, looked_at, changed, ended, pushes, tasks, conflicts, unanswered, .. } = report;
    let mut lines = vec![
        format!("{looked_at} of {followed} followed requests looked at: {changed} changed, {ended} of them ended"),
        format!("{pushes} pushes and {tasks} tasks asked about"),
    ];
    if *conflicts > 0 {
        lines.push(format!("{conflicts} changed at the same time: the next round looks at them"));
    }
    if let Some(error) = report.error.as_ref().filter(|_| *unanswered > 0) {
        lines.push(format!("{unanswered} questions were not answered: {error}"));
    }
    lines.join("\n") + "\n"
}
