//! A folder of pictures to enrol, on disk.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use attendance::{BulkEntry, Refusal, RefusalCode, StudentId};
use walkdir::WalkDir;

/// The content of an enrolment folder, by path.
#[derive(Debug, Default)]
pub(crate) struct KnownFaces {
    /// Pictures with their students.
    pub(crate) pictures: Vec<(StudentId, PathBuf)>,
    /// Files that look meant for enrolment and cannot be enrolled. Paths are relative to the folder.
    pub(crate) refused: Vec<(String, Refusal)>,
}

impl KnownFaces {
    /// Lists the folder, following links. A file that cannot be read is refused and does not stop the others.
    pub(crate) fn list(folder: &Path) -> Result<Self> {
        ensure!(folder.is_dir(), "{} is not a folder; it should hold <student_id>/<any name>.jpg", folder.display());
        let mut found = Self::default();
        for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
            let (path, fault) = match entry {
                Ok(entry) if entry.file_type().is_dir() => continue,
                Ok(entry) => (entry.into_path(), None),
                Err(error) if error.depth() == 0 => bail!("{} cannot be listed: {error}", folder.display()),
                Err(error) => {
                    let fault = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    (error.path().unwrap_or(folder).to_owned(), Some(fault))
                }
            };
            let relative = path.strip_prefix(folder).unwrap_or(&path);
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            let name = parts.join("/");
            if let Some(fault) = fault {
                if !parts.iter().any(|part| part.starts_with('.')) {
                    let msg = format!("it cannot be read ({fault})");
                    found.refused.push((name, Refusal::new(RefusalCode::InvalidImage, msg)));
                }
                continue;
            }
            match BulkEntry::of(&name) {
                BulkEntry::Picture(student) => found.pictures.push((student, path)),
                BulkEntry::Refused(refusal) => found.refused.push((name, refusal)),
                BulkEntry::Ignored => {}
            }
        }
        Ok(found)
    }
}
