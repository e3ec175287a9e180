//! The job type of a builder name: a test suite, a talos suite, a device image or a build.

use crate::buildbot::vocabulary::{
    BEFORE_IMAGES, BUILDS, DEVICES, Device, EMULATOR_IMAGES, JobType, SUITES, TALOS, TALOS_FORMS, starts_word,
};

/// The job type of a builder name, if the grammar knows it.
pub(super) fn job_type(name: &str) -> Option<&'static JobType> {
    let talos = find_behind(name, " talos ");
    let tested = talos.or_else(|| find_behind(name, " test "));
    talos
        .and_then(talos_suite)
        .or_else(|| test_suite(tested.unwrap_or(name)))
        .or_else(|| build(name, BEFORE_IMAGES))
        .or_else(|| device_image(name))
        .or_else(|| build(name, BUILDS))
}

/// The text behind the first `mark`.
fn find_behind<'n>(name: &'n str, mark: &str) -> Option<&'n str> {
    memchr::memmem::find(name.as_bytes(), mark.as_bytes()).map(|at| &name[at + mark.len()..])
}

/// `chromez-stylo-e10s`: a talos suite, the machine it was tuned for, and its form. Any text may follow an open suite,
/// which includes `-snow`: Treeherder showed `other-snow-e10s` in the plain form.
fn talos_suite(suite: &str) -> Option<&'static JobType> {
    let suite = suite.strip_prefix("remote-").unwrap_or(suite);
    TALOS.prefixes(suite.as_bytes()).find_map(|entry| {
        let rest = &suite[entry.phrase.len()..];
        let snow = if entry.value.open { None } else { rest.strip_prefix("-snow") };
        let rest = rest.strip_prefix("-osx").or(snow).unwrap_or(rest);
        let form = if entry.value.open {
            // The longest form that `rest` starts with; the plain form is the empty one.
            (0..TALOS_FORMS.len())
                .filter(|form| entry.value.forms[*form].is_some() && rest.starts_with(TALOS_FORMS[*form]))
                .max_by_key(|form| TALOS_FORMS[*form].len())
        } else {
            TALOS_FORMS.iter().position(|form| *form == rest)
        };
        entry.value.forms[form?]
    })
}

/// The suite that starts first in `text`, and of those that start there the longest.
fn test_suite(text: &str) -> Option<&'static JobType> {
    let bytes = text.as_bytes();
    (0..bytes.len()).filter(|at| bytes[*at].is_ascii_lowercase() && starts_word(bytes, *at)).find_map(|at| {
        SUITES
            .prefixes(&bytes[at..])
            .find(|entry| !entry.value.last || at + entry.phrase.len() == bytes.len())
            .map(|entry| entry.value.job_type)
    })
}

/// `b2g_BRANCH_DEVICE[_eng]_(dep|periodic|nightly)`: an image for a device or an emulator.
fn device_image(name: &str) -> Option<&'static JobType> {
    let rest = name.strip_prefix("b2g")?;
    let nightly = rest.contains("_nightly");
    let dependent = rest.contains("_dep") || rest.contains("_periodic");
    let emulator = rest.contains("_emulator");
    if !nightly && !dependent {
        return (emulator && rest.contains("_nonunified")).then_some(EMULATOR_IMAGES[2]);
    }
    let kind = usize::from(nightly);
    // The device that each part of the name starts with, and what stands behind its word.
    let devices = || {
        rest.match_indices('_').filter_map(|(at, _)| {
            let entry = DEVICES.prefixes(&rest.as_bytes()[at + 1..]).next()?;
            Some((entry, &rest[at + 1 + entry.phrase.len()..]))
        })
    };
    let unknown: &Device = &DEVICES.entries[0].value;
    if rest.contains("_eng") {
        // A device without engineering builds counts as an unknown one.
        let known =
            devices().find(|(_, behind)| behind.starts_with("_eng")).and_then(|(entry, _)| entry.value.engineering);
        return known.or(unknown.engineering).map(|images| images[kind]);
    }
    if emulator {
        return Some(EMULATOR_IMAGES[kind]);
    }
    let device = devices().find(|(entry, _)| !entry.phrase.is_empty()).map_or(unknown, |(entry, _)| &entry.value);
    Some(device.images[kind])
}

/// The first of these lines of `builds.table` whose phrases are all in the name. A phrase with a final `^` has to be the
/// end of the name.
fn build(name: &str, lines: &[(&[&str], &'static JobType)]) -> Option<&'static JobType> {
    let is_in_name = |phrase: &&str| match phrase.strip_suffix('^') {
        Some(end) => name.ends_with(end),
        None => memchr::memmem::find(name.as_bytes(), phrase.as_bytes()).is_some(),
    };
    lines.iter().find(|(phrases, _)| phrases.iter().all(is_in_name)).map(|(_, job_type)| *job_type)
}
