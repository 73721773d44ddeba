use serde::{Deserialize, Serialize};
use strum::{Display, IntoStaticStr};
use utoipa::ToSchema;

/// The stable word that names an error, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Display, IntoStaticStr, ToSchema)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs)]
pub enum Code {
    NoFace,
    InvalidImage,
    InvalidForm,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    ImageTooLarge,
    BodyTooLarge,
    UnsupportedImage,
    UnsupportedMediaType,
    MissingField,
    DuplicateField,
    InvalidStudentId,
    InvalidParameter,
    MultipleFaces,
    UpgradeRequired,
    Internal,
    Unavailable,
    Overloaded,
}

impl Code {
    /// The HTTP status that goes with the code.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::NoFace => 200,
            Self::InvalidImage | Self::InvalidForm => 400,
            Self::Unauthorized => 401,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::RequestTimeout => 408,
            Self::ImageTooLarge | Self::BodyTooLarge => 413,
            Self::UnsupportedImage | Self::UnsupportedMediaType => 415,
            Self::MissingField
            | Self::DuplicateField
            | Self::InvalidStudentId
            | Self::InvalidParameter
            | Self::MultipleFaces => 422,
            Self::UpgradeRequired => 426,
            Self::Internal => 500,
            Self::Unavailable | Self::Overloaded => 503,
        }
    }
}

/// What every error answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    /// Always false.
    pub ok: bool,
    /// Always 0; only where no face was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub saved: Option<usize>,
    /// One sentence for a person.
    pub msg: String,
    #[allow(missing_docs)]
    pub code: Code,
}
