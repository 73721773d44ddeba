use crate::{Refusal, RefusalCode, StudentId};

/// The largest picture that is enrolled, in bytes.
pub const MAX_PICTURE_BYTES: usize = 20 << 20;

/// What a file under `known_faces/` is, by its path alone. The rule is the same for a folder on disk and for the keys
/// of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkEntry {
    /// A picture to enrol for this student: `<student_id>/<any name>.{jpg,jpeg,png,webp}`.
    Picture(StudentId),
    /// Nothing that anybody meant to enrol: a hidden file, `Thumbs.db`, a README, a folder marker.
    Ignored,
    /// Something that looks meant for enrolment and cannot be enrolled.
    Refused(Refusal),
}

impl BulkEntry {
    /// What the file at this path is. `path` is relative to `known_faces/`, its parts separated by `/`.
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
            let msg = "only .jpg, .jpeg, .png and .webp files are enrolled; save the picture as one of these";
            return Self::Refused(Refusal::new(RefusalCode::UnsupportedImage, msg));
        }
        let (Some(folder), None) = (parts.next(), parts.next()) else {
            let msg = "a picture must lie directly in a folder named after the student, as in siswaA/front.jpg";
            return Self::Refused(Refusal::new(RefusalCode::UnsupportedImage, msg));
        };
        match StudentId::parse(folder) {
            Ok(student) => Self::Picture(student),
            Err(error) => {
                let msg = format!("the folder's name is taken as the student id: {error}");
                Self::Refused(Refusal::new(RefusalCode::InvalidStudentId, msg))
            }
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
        for (path, code, reason) in [
            ("siswaA/1.heic", RefusalCode::UnsupportedImage, "only .jpg"),
            ("siswaA/clip.gif", RefusalCode::UnsupportedImage, "only .jpg"),
            ("siswaA/list.xlsx", RefusalCode::UnsupportedImage, "only .jpg"),
            ("notes.txt", RefusalCode::UnsupportedImage, "only .jpg"),
            ("siswaA/jpg", RefusalCode::UnsupportedImage, "only .jpg"),
            ("a b/1.jpg", RefusalCode::InvalidStudentId, "ASCII letters"),
            ("Unknown/1.jpg", RefusalCode::InvalidStudentId, "reserved"),
            ("1.jpg", RefusalCode::UnsupportedImage, "directly in a folder"),
            ("class/siswaA/1.jpg", RefusalCode::UnsupportedImage, "directly in a folder"),
        ] {
            let BulkEntry::Refused(refusal) = BulkEntry::of(path) else { panic!("{path} is refused") };
            assert_eq!(refusal.code, code, "{path}");
            assert!(refusal.msg.contains(reason), "{path}: {refusal}");
        }
    }
}
