//! The grammar of Buildbot's builder names: it reads a platform, an option, a job type and a group from a name, as
//! Treeherder showed them.
//!
//! There are two families of names. `Ubuntu VM 12.04 x64 mozilla-central opt test mochitest-e10s-3` is a machine, a
//! branch, an option and, after ` test ` or ` talos `, a suite with its chunk. `b2g_mozilla-central_flame-kk_eng_nightly`
//! and its like join product, branch, device and kind with underscores. In both families the words that matter start
//! only where a word starts; `data/` holds the words.

mod job_type;
mod platform;

use std::borrow::Cow;

use crate::buildbot::vocabulary::{JobType, Platform};
use crate::list::{UNKNOWN, UNKNOWN_SYMBOL};

/// Symbols that the chunk number replaces: the third chunk of `M` is `3`, not `M3`.
const REPLACED_BY_CHUNK: [&str; 8] = ["M", "M-e10s", "M-csb", "M-oop", "Gij", "Gij-oop", "W", "W-e10s"];

/// What a builder name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Classification<'n> {
    name: &'n str,
    platform: Option<&'static Platform>,
    option: &'static str,
    job_type: Option<&'static JobType>,
}

impl<'n> Classification<'n> {
    /// The platform. For a name without one, its first 24 characters, as in Treeherder.
    pub fn platform(&self) -> &'n str {
        match self.platform {
            Some(platform) => platform.name,
            None => self.name.char_indices().nth(24).map_or(self.name, |(end, _)| &self.name[..end]),
        }
    }

    /// The operating system, or `unknown`.
    pub fn os(&self) -> &'static str {
        self.platform.map_or(UNKNOWN, |platform| platform.os)
    }

    /// The architecture, or `unknown`.
    pub fn architecture(&self) -> &'static str {
        self.platform.map_or(UNKNOWN, |platform| platform.architecture)
    }

    /// The option (build type): `opt`, `debug`, `pgo`, `asan`, `tsan`, `cc` or `addon`.
    pub fn option(&self) -> &'static str {
        self.option
    }

    /// The job type's name, or `unknown`.
    pub fn job_type_name(&self) -> &'static str {
        self.job_type.map_or(UNKNOWN, |job_type| job_type.name)
    }

    /// The job type's symbol with the chunk number, or `?`.
    pub fn job_type_symbol(&self) -> Cow<'n, str> {
        let Some(job_type) = self.job_type else { return Cow::Borrowed(UNKNOWN_SYMBOL) };
        match chunk(self.name) {
            None => Cow::Borrowed(job_type.symbol),
            Some(number) if REPLACED_BY_CHUNK.contains(&job_type.symbol) => Cow::Borrowed(number),
            Some(number) => Cow::Owned([job_type.symbol, number].concat()),
        }
    }

    /// The group's name, or `unknown`.
    pub fn job_group_name(&self) -> &'static str {
        self.job_type.and_then(|job_type| job_type.group).map_or(UNKNOWN, |group| group.name)
    }

    /// The group's symbol, or `?`.
    pub fn job_group_symbol(&self) -> &'static str {
        self.job_type.and_then(|job_type| job_type.group).map_or(UNKNOWN_SYMBOL, |group| group.symbol)
    }

    /// Whether the grammar knows both the platform and the job type.
    pub fn is_known(&self) -> bool {
        self.platform.is_some() && self.job_type.is_some()
    }
}

/// Classifies a builder name. This never fails: what the grammar does not know is `unknown`. The time is linear in the
/// length of the name.
pub fn classify(name: &str) -> Classification<'_> {
    let (platform, option) = platform::platform_and_option(name);
    let job_type = job_type::job_type(name);
    Classification { name, platform, option, job_type }
}

/// The digits behind the last hyphen of a name that ends with them.
fn chunk(name: &str) -> Option<&str> {
    let (_, number) = name.rsplit_once('-')?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

#[cfg(test)]
mod tests;
