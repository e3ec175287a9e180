//! A job that is ready to be listed. Every build system makes these of what it knows.

use std::borrow::Cow;

/// Treeherder's word for an unknown platform, job type or group.
pub const UNKNOWN: &str = "unknown";
/// Treeherder's symbol for an unknown job type or group.
pub const UNKNOWN_SYMBOL: &str = "?";

/// A job with everything that its entry in a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedJob<'j> {
    /// The job's name, unique in its project.
    pub name: &'j str,
    /// The name of the build that a test needs, if it needs one.
    pub upstream: Option<&'j str>,
    /// The build system that runs it, for example `buildbot`.
    pub build_system: &'j str,
    /// Where it runs.
    pub platform: ListedPlatform<'j>,
    /// The option (build type), for example `opt`. Several are joined by blanks, in alphabetical order.
    pub option: &'j str,
    /// The job type's name, for example `Mochitest e10s 3`; in Taskcluster the label.
    pub job_type_name: &'j str,
    /// The job type's symbol with the chunk number.
    pub job_type_symbol: Cow<'j, str>,
    /// The group's name.
    pub job_group_name: &'j str,
    /// The group's symbol.
    pub job_group_symbol: &'j str,
    /// The tier, from 1 to 3, if the build system has tiers.
    pub tier: Option<u8>,
}

/// Where a job runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListedPlatform<'j> {
    /// For example `linux64`.
    pub name: &'j str,
    /// The operating system; `unknown` if the platform is not a known one; empty if the build system does not say, as
    /// Taskcluster. A job for which both this and the architecture are empty has a short entry.
    pub os: &'j str,
    /// The architecture, `unknown`, or empty.
    pub architecture: &'j str,
}
