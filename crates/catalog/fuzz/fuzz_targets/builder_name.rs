//! Any name is classified: no part of the classification is empty, and an unknown platform is the start of the name.

#![no_main]

use catalog::buildbot::classify;
use catalog::list::UNKNOWN;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    let classification = classify(name);
    assert_eq!(classification.platform().is_empty(), name.is_empty());
    assert!(classification.os() != UNKNOWN || name.starts_with(classification.platform()));
    let words = [classification.os(), classification.architecture(), classification.option(), classification.job_type_name(), classification.job_group_name()];
    assert!(!words.contains(&"") && !classification.job_group_symbol().is_empty() && !classification.job_type_symbol().is_empty());
});
