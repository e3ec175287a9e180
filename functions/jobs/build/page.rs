//! The files of the page, which `make page` builds: `index.html`, and in `assets/` what it loads.
//!
//! Browsers keep an asset for a year, so its name has to change with its content: Vite appends a hash to it.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// The length of a hash in a name.
const HASH: usize = 8;

/// Compresses the files of the folder `dist` into the folder `out`, and writes the table of them, `page.rs`. An error
/// says what a developer has to do.
pub(crate) fn embed(dist: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    if !dist.join("index.html").is_file() {
        return Err(
            "the page that this function serves, web/dist, is missing: run `make page`, which needs Node".into()
        );
    }
    let folder = out.join("page");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir(&folder)?;
    if let Some(other) = names(dist)?.into_iter().find(|name| !matches!(name.as_str(), "index.html" | "assets")) {
        return Err(format!("web/dist/{other} is not served: all files but index.html have to be in assets/").into());
    }
    crate::compress(File::open(dist.join("index.html"))?, &folder.join("index.html.gz"))?;
    let mut table = String::from("const INDEX: PackedFile = ");
    add(&mut table, "text/html; charset=utf-8", "index.html");
    table.push_str(";\nconst ASSETS: &[(&str, PackedFile)] = &[\n");
    for name in names(&dist.join("assets"))? {
        let Some(content_type) = content_type(&name) else {
            return Err(format!("web/dist/assets/{name} has an extension without a content type here").into());
        };
        if !is_hashed(&name) {
            return Err(format!("web/dist/assets/{name} has no hash in its name: browsers keep it for a year").into());
        }
        crate::compress(File::open(dist.join("assets").join(&name))?, &folder.join(format!("{name}.gz")))?;
        let _ = write!(table, "    (\"{name}\", ");
        add(&mut table, content_type, &name);
        table.push_str("),\n");
    }
    table.push_str("];\n");
    fs::write(out.join("page.rs"), table)?;
    Ok(())
}

/// Adds a file to the table.
fn add(table: &mut String, content_type: &str, name: &str) {
    let _ = write!(
        table,
        "PackedFile {{ content_type: \"{content_type}\", \
         gzip: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/page/{name}.gz\")) }}"
    );
}

fn content_type(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "js" => Some("text/javascript"),
        "css" => Some("text/css"),
        "svg" => Some("image/svg+xml"),
        "table" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

/// Whether the name ends with a hash, before the dot, and consists of what a path and a Rust string have as it is.
fn is_hashed(name: &str) -> bool {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    is_plain && stem.len() > HASH + 1 && stem.as_bytes()[stem.len() - HASH - 1] == b'-'
}

/// The names of a folder's files and folders, in alphabetical order. A missing folder is empty.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    if folder.is_dir() {
        for entry in fs::read_dir(folder)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
