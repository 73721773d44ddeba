use crate::{InvalidStudentId, StudentId};

/// What a file under `known_faces/` is, told by its path alone: `<student_id>/<any name>.{jpg,jpeg,png,webp}` is a
/// picture. The same rule holds for a folder on disk and for keys in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkEntry {
    /// A picture to enrol for this student.
    Picture(StudentId),
    /// Nothing that anybody meant to enrol: hidden files, `Thumbs.db`, READMEs, folder markers.
    Ignored,
    /// Something that looks meant, and cannot be enrolled.
    Refused(BulkRefusal),
}

/// Why a file was refused by its path. The messages are for the person who put it there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BulkRefusal {
    /// The extension is not that of a picture we take.
    #[error("only .jpg, .jpeg, .png and .webp files are enrolled; save the picture as one of these")]
    UnsupportedImage,
    /// The folder's name is no student id.
    #[error("the folder's name is taken as the student id: {0}")]
    InvalidStudentId(#[from] InvalidStudentId),
    /// The file, or the folder, cannot be read.
    #[error("it cannot be read ({0})")]
    Unreadable(String),
    /// The file lies in no student's folder, or deeper than in one.
    #[error("a picture must lie directly in a folder named after the student, as in siswaA/front.jpg")]
    Misplaced,
}

impl BulkEntry {
    /// What the file at this path is. `path` is relative to the enrolment folder, its parts separated by `/`.
    #[must_use]
    pub fn of(path: &str) -> Self {
        let mut parts = path.rsplit('/');
        let name = parts.next().unwrap_or_default();
        let stem = name.split('.').next().unwrap_or_default();
        let ignored = name.is_empty() || name.eq_ignore_ascii_case("thumbs.db") || stem.eq_ignore_ascii_case("readme");
        if ignored || path.split('/').any(|part| part.starts_with('.')) {
            return Self::Ignored;
        }
        let extension = name.rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase()).unwrap_or_default();
        if !matches!(extension.as_str(), "jpg" | "jpeg" | "png" | "webp") {
            return Self::Refused(BulkRefusal::UnsupportedImage);
        }
        match (parts.next(), parts.next()) {
            (Some(folder), None) => match StudentId::parse(folder) {
                Ok(student) => Self::Picture(student),
                Err(error) => Self::Refused(error.into()),
            },
            _ => Self::Refused(BulkRefusal::Misplaced),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_told_by_folder_and_extension() {
        for path in ["siswaA/1.jpg", "siswaA/FRONT.JPEG", "siswaA/a b+c (2)~.Png", "siswaA/x.tar.webp"] {
            assert_eq!(BulkEntry::of(path), BulkEntry::Picture(StudentId::parse("siswaA").unwrap()), "{path}");
        }
    }

    #[test]
    fn what_nobody_meant_is_ignored() {
        for path in ["", "siswaA/", "siswaA/.DS_Store", ".git/x.jpg", "siswaA/Thumbs.db", "README.md", "a/readme"] {
            assert_eq!(BulkEntry::of(path), BulkEntry::Ignored, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_enrolled_is_refused_with_a_reason() {
        let refused = |path| match BulkEntry::of(path) {
            BulkEntry::Refused(refusal) => refusal,
            other => panic!("{path}: {other:?}"),
        };
        for path in ["siswaA/1.heic", "siswaA/clip.gif", "siswaA/list.xlsx", "notes.txt", "siswaA/jpg"] {
            assert_eq!(refused(path), BulkRefusal::UnsupportedImage, "{path}");
        }
        assert_eq!(refused("a b/1.jpg"), BulkRefusal::InvalidStudentId(InvalidStudentId::Malformed));
        assert_eq!(refused("Unknown/1.jpg"), BulkRefusal::InvalidStudentId(InvalidStudentId::Reserved));
        assert_eq!(refused("1.jpg"), BulkRefusal::Misplaced);
        assert_eq!(refused("class/siswaA/1.jpg"), BulkRefusal::Misplaced);
    }
}
