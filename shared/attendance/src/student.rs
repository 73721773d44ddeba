use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// A student's identifier as the school knows it: 1 to 64 ASCII letters, digits, `.`, `_`, `-`, not starting with a
/// dot, and not the reserved word `unknown` in any case.
///
/// It becomes a folder name and an object key, so it exists only in checked form. Cloning is cheap.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StudentId(Arc<str>);

/// Why a text is no [`StudentId`]; its message says what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidStudentId {
    /// The text is the label for faces that nobody is enrolled for.
    #[error("student_id must not be `unknown`: the word is reserved for faces that nobody is enrolled for")]
    Reserved,
    /// The text has a wrong length, a wrong character or a dot at the start.
    #[error("student_id must be 1 to 64 ASCII letters, digits, `.`, `_` or `-`, and must not start with a dot")]
    Malformed,
}

impl StudentId {
    /// The largest length, in characters (which are bytes here).
    pub const MAX_LENGTH: usize = 64;

    /// Returns the checked id.
    ///
    /// # Errors
    /// [`InvalidStudentId`] where the text breaks the rules above.
    pub fn parse(text: &str) -> Result<Self, InvalidStudentId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if text.is_empty() || text.len() > Self::MAX_LENGTH || text.starts_with('.') || !text.bytes().all(allowed) {
            return Err(InvalidStudentId::Malformed);
        }
        if text.eq_ignore_ascii_case("unknown") {
            return Err(InvalidStudentId::Reserved);
        }
        Ok(Self(text.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whom to look for, where that is known: the students of one class, say. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster(Arc<HashSet<StudentId>>);

impl Roster {
    /// Returns the students in this text, whose ids are separated by commas.
    ///
    /// # Errors
    /// [`InvalidStudentId`] for the first that is none; also where there is no text.
    pub fn parse(text: &str) -> Result<Self, InvalidStudentId> {
        text.split(',').map(|id| StudentId::parse(id.trim())).collect::<Result<_, _>>().map(|ids| Self(Arc::new(ids)))
    }

    /// Whether this student is one of them.
    #[must_use]
    pub fn has(&self, student: &StudentId) -> bool {
        self.0.contains(student)
    }
}

impl fmt::Display for StudentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StudentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StudentId({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_schools_use() {
        for text in ["siswaA", "2024-001", "a.b_c-d", "x", &"a".repeat(64), "unknown1"] {
            assert_eq!(StudentId::parse(text).expect(text).as_str(), text);
        }
    }

    #[test]
    fn refuses_paths_spaces_and_lengths() {
        for text in ["", "../x", ".hidden", "a/b", "a b", "é", "😀", "a\0", "a\n", &"a".repeat(65)] {
            assert_eq!(StudentId::parse(text), Err(InvalidStudentId::Malformed), "{text:?}");
        }
    }

    #[test]
    fn refuses_the_reserved_word_in_any_case() {
        for text in ["unknown", "Unknown", "UNKNOWN"] {
            assert_eq!(StudentId::parse(text), Err(InvalidStudentId::Reserved));
        }
    }
}
