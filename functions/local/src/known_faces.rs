//! A folder of pictures to enrol, on disk.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use attendance::{BulkEntry, BulkRefusal, StudentId};
use walkdir::WalkDir;

/// What lies in an enrolment folder, by path.
#[derive(Debug, Default)]
pub(crate) struct KnownFaces {
    /// Pictures and whose they are.
    pub(crate) pictures: Vec<(StudentId, PathBuf)>,
    /// Files that look meant and cannot be enrolled. Paths are relative to the folder.
    pub(crate) refused: Vec<(String, BulkRefusal)>,
}

impl KnownFaces {
    /// Lists the folder. Links are followed; a loop of them is an error.
    pub(crate) fn list(folder: &Path) -> Result<Self> {
        ensure!(folder.is_dir(), "{} is not a folder; it should hold <student_id>/<any name>.jpg", folder.display());
        let mut found = Self::default();
        for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
            let entry = entry.with_context(|| format!("{} cannot be listed", folder.display()))?;
            if entry.file_type().is_dir() {
                continue;
            }
            let path = entry.into_path();
            let relative = path.strip_prefix(folder).unwrap_or(&path);
            let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
            let name = parts.join("/");
            match BulkEntry::of(&name) {
                BulkEntry::Picture(student) => found.pictures.push((student, path)),
                BulkEntry::Refused(refusal) => found.refused.push((name, refusal)),
                BulkEntry::Ignored => {}
            }
        }
        Ok(found)
    }
}
