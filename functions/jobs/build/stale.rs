//! Whether the built page is older than what it is built from.

use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{fs, io};

/// What the page is built from, in the folder `web`.
pub(crate) const SOURCES: [&str; 2] = ["index.html", "src"];

/// A source of the page in the folder `web` that is newer than the built page. There is none if the page or the sources
/// are missing.
///
/// # Errors
/// A folder of sources cannot be read.
pub(crate) fn newer_source(web: &Path) -> io::Result<Option<PathBuf>> {
    let Some(built) = modified(&web.join("dist/index.html")) else { return Ok(None) };
    let mut left: Vec<PathBuf> = SOURCES.iter().map(|source| web.join(source)).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        } else if modified(&path).is_some_and(|modified| modified > built) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// When a file was modified last, if it exists.
fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}
