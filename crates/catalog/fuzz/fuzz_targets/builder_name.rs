//! Any name is classified, each part of it is said, and nothing is said of an unknown platform but the name's start.

#![no_main]

use catalog::buildbot::classify;
use catalog::list::UNKNOWN;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    let says = classify(name);
    assert_eq!(says.platform().is_empty(), name.is_empty());
    assert!(says.os() != UNKNOWN || name.starts_with(says.platform()));
    let words = [says.os(), says.architecture(), says.option(), says.job_type_name(), says.job_group_name()];
    assert!(!words.contains(&"") && !says.job_group_symbol().is_empty() && !says.job_type_symbol().is_empty());
});
