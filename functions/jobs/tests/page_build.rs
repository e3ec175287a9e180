//! The build script notices that the page is older than its sources.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

#[path = "../build/stale.rs"]
mod stale;

use stale::newer_source;

/// A folder `web` of a test, without files.
fn web(test: &str) -> PathBuf {
    let web = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page_build").join(test);
    if web.exists() {
        fs::remove_dir_all(&web).unwrap();
    }
    fs::create_dir_all(&web).unwrap();
    web
}

/// Writes a file that was modified at this second.
fn write(web: &Path, name: &str, second: u64) -> PathBuf {
    let path = web.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + second);
    File::create(&path).unwrap().set_modified(modified).unwrap();
    path
}

#[test]
fn a_source_that_is_newer_than_the_page_is_found() {
    let web = web("newer");
    write(&web, "dist/index.html", 10);
    write(&web, "index.html", 9);
    write(&web, "src/main.tsx", 9);
    let deep = write(&web, "src/ui/plan/plan.tsx", 11);
    assert_eq!(newer_source(&web).unwrap(), Some(deep));
    write(&web, "src/ui/plan/plan.tsx", 10);
    let index = write(&web, "index.html", 11);
    assert_eq!(newer_source(&web).unwrap(), Some(index));
}

#[test]
fn sources_as_old_as_the_page_are_not_newer() {
    let web = web("equal");
    for name in ["dist/index.html", "index.html", "src/main.tsx"] {
        write(&web, name, 10);
    }
    // Neither is a source.
    write(&web, "dist/assets/index-0123abcd.js", 11);
    write(&web, "tests/plan.test.ts", 11);
    assert_eq!(newer_source(&web).unwrap(), None);
}

#[test]
fn without_sources_or_without_a_page_nothing_is_newer() {
    let web = web("missing");
    assert_eq!(newer_source(&web).unwrap(), None);
    write(&web, "dist/index.html", 10);
    assert_eq!(newer_source(&web).unwrap(), None);
    fs::remove_file(web.join("dist/index.html")).unwrap();
    write(&web, "src/main.tsx", 11);
    assert_eq!(newer_source(&web).unwrap(), None);
}
