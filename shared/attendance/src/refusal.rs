/// Why a photograph is not enrolled: a fault of the photograph or of where it lies, so the same bytes in the same place
/// are refused again.
///
/// Displays as its sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{msg}")]
pub struct Refusal {
    /// The stable word, for programs.
    pub code: RefusalCode,
    /// One sentence for whoever sent the photograph, saying what is expected.
    pub msg: String,
}

/// The kind of a [`Refusal`]. Displays as the contract's word, `no_face` for instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display)]
#[strum(serialize_all = "snake_case")]
pub enum RefusalCode {
    /// It shows no face.
    NoFace,
    /// It shows several.
    MultipleFaces,
    /// It cannot be read or decoded.
    InvalidImage,
    /// It has too many bytes or pixels.
    ImageTooLarge,
    /// It is no picture, or in a format that is not accepted.
    UnsupportedImage,
    /// It is filed under something that is no student id.
    InvalidStudentId,
}

impl Refusal {
    /// The refusal with this code and sentence.
    pub fn new(code: RefusalCode, msg: impl Into<String>) -> Self {
        Self { code, msg: msg.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_the_contracts_words() {
        for (code, word) in [
            (RefusalCode::NoFace, "no_face"),
            (RefusalCode::MultipleFaces, "multiple_faces"),
            (RefusalCode::InvalidImage, "invalid_image"),
            (RefusalCode::ImageTooLarge, "image_too_large"),
            (RefusalCode::UnsupportedImage, "unsupported_image"),
            (RefusalCode::InvalidStudentId, "invalid_student_id"),
        ] {
            assert_eq!(code.to_string(), word);
        }
    }
}
