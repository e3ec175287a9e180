//! The files of Swagger UI, from the archive of its crate.

use std::error::Error;
use std::io::Cursor;
use std::path::Path;

use zip::ZipArchive;

/// Writes the two files that the API reference needs to the folder `out`.
pub(crate) fn extract(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut archive = ZipArchive::new(Cursor::new(utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED))?;
    for wanted in ["swagger-ui-bundle.js", "swagger-ui.css"] {
        let end = format!("/dist/{wanted}");
        let is_wanted =
            |place: &usize| matches!(archive.name_for_index(*place), Some(Ok(path)) if path.ends_with(&end));
        let place = (0..archive.len()).find(is_wanted).ok_or("Swagger UI no longer has a file of this name")?;
        crate::compress(archive.by_index(place)?, &out.join(format!("{wanted}.gz")))?;
    }
    Ok(())
}
