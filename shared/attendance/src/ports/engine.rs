use async_trait::async_trait;
use bytes::Bytes;

use super::Cause;
use crate::{ModelId, Refusal, RefusalCode, Scan};

/// Why a picture could not be scanned. The messages are for the person who sent it.
#[derive(Debug, thiserror::Error)]
pub enum ScanError {
    /// Empty, truncated, or not decodable.
    #[error("the image {reason}; send a complete JPEG, PNG or WebP file")]
    Invalid {
        /// What is wrong, as the rest of a sentence that begins with "the image".
        reason: String,
    },
    /// A picture format that is not accepted.
    #[error("{format} images are not supported; send a JPEG, PNG or WebP file")]
    Unsupported {
        /// The format's name.
        format: &'static str,
    },
    /// Too many pixels.
    #[error("the image has {width} x {height} pixels; allowed are {megapixels} megapixels, and {side} pixels a side")]
    TooManyPixels {
        /// Width in pixels, as the file claims.
        width: u32,
        /// Height in pixels, as the file claims.
        height: u32,
        /// The most megapixels.
        megapixels: u32,
        /// The most pixels a side.
        side: u32,
    },
    /// Too many bytes.
    #[error("the image has {size} bytes; at most {limit} are allowed")]
    TooManyBytes {
        /// The picture's size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// More pictures wait than the engine takes.
    #[error("too many pictures are waiting; try again in a moment")]
    Overloaded,
    /// A fault of ours.
    #[error("the face engine failed")]
    Internal(#[source] Cause),
}

impl ScanError {
    /// Why the picture is refused; `None` if the fault is not the picture's, so that a later try may succeed.
    #[must_use]
    pub fn refusal(&self) -> Option<Refusal> {
        let code = match self {
            Self::Invalid { .. } => RefusalCode::InvalidImage,
            Self::Unsupported { .. } => RefusalCode::UnsupportedImage,
            Self::TooManyPixels { .. } | Self::TooManyBytes { .. } => RefusalCode::ImageTooLarge,
            Self::Overloaded | Self::Internal(_) => return None,
        };
        Some(Refusal::new(code, self.to_string()))
    }
}

/// What a scan is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A missed or tilted face costs more than time; faces come with their crops.
    Enroll,
    /// Somebody waits for the answer.
    Recognize,
}

/// Finds and describes the faces of a picture.
#[async_trait]
pub trait FaceEngine: Send + Sync {
    /// The model that makes the embeddings.
    fn model(&self) -> &ModelId;

    /// The faces in the picture, most confident detection first, in upright coordinates.
    ///
    /// Adapters bound the memory and the time of a scan and how many wait, and never block the caller's thread.
    ///
    /// # Errors
    /// [`ScanError`].
    async fn scan(&self, photo: Bytes, purpose: Purpose) -> Result<Scan, ScanError>;
}
