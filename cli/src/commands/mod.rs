//! What each command does.

pub(crate) mod dumps;
pub(crate) mod forward;
pub(crate) mod openapi;
pub(crate) mod requests;
pub(crate) mod serve;
pub(crate) mod stored;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use runtime::Aws;
use runtime::Clock;
use trigger_api::Dependencies;
use trigger_api::settings::Settings as TriggerSettings;

#[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn clock() -> Clock {
    Arc::new(now)
}

/// Looks a setting up: among the flags, each of which stands for a variable, then in the environment.
fn lookup(flags: &[(&str, Option<String>)], variable: &str) -> Option<String> {
    match flags.iter().find(|(known, _)| *known == variable) {
        Some((_, value)) => value.clone(),
        None => std::env::var(variable).ok(),
    }
}

/// The tables and the queue of the trigger service, with this machine's clock and chance.
fn trigger_dependencies(settings: &TriggerSettings, aws: &Aws) -> Dependencies {
    Dependencies::new(settings, aws, clock(), Arc::new(|| uuid::Uuid::new_v4().as_u128()))
}
