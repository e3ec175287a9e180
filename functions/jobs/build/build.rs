//! Compresses the files that the function serves with gzip: those of the page, and those of Swagger UI that the API
//! reference needs.

mod page;
mod stale;
mod swagger_ui;

use std::error::Error;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build");
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    swagger_ui::extract(&out)?;
    let web = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../web");
    let dist = web.join("dist");
    println!("cargo::rerun-if-changed={}", dist.display());
    // Cargo would run this each time for a path that does not exist.
    for source in stale::SOURCES.map(|source| web.join(source)).iter().filter(|source| source.exists()) {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    if let Err(error) = page::embed(&dist, &out) {
        println!("cargo::error={error}");
    }
    if let Some(source) = stale::newer_source(&web)? {
        let source = source.strip_prefix(&web).unwrap_or(&source).display();
        println!("cargo::warning=the page in web/dist is older than web/{source}: run `make page`");
    }
    Ok(())
}

/// Compresses a file as small as it gets. The same file gives the same bytes, at any time.
fn compress(mut file: impl Read, packed: &Path) -> io::Result<()> {
    let mut encoder = GzEncoder::new(File::create(packed)?, Compression::best());
    io::copy(&mut file, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
