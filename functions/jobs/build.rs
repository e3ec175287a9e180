//! Extracts the files of Swagger UI that the API reference needs from the archive of its crate, and compresses them as
//! they are served.

use std::error::Error;
use std::fs::File;
use std::io::{self, Cursor};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::ZipArchive;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR")?;
    let mut archive = ZipArchive::new(Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED))?;
    for wanted in ["swagger-ui-bundle.js", "swagger-ui.css"] {
        let end = format!("/dist/{wanted}");
        let is_wanted =
            |place: &usize| matches!(archive.name_for_index(*place), Some(Ok(path)) if path.ends_with(&end));
        let place = (0..archive.len()).find(is_wanted).ok_or("Swagger UI no longer has a file of this name")?;
        let mut file = archive.by_index(place)?;
        let packed = File::create(Path::new(&out).join(format!("{wanted}.gz")))?;
        let mut encoder = GzEncoder::new(packed, Compression::best());
        io::copy(&mut file, &mut encoder)?;
        encoder.finish()?;
    }
    Ok(())
}
