use std::fmt;

use attendance_matching::squared_distance;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Numbers in an embedding.
pub const DIMENSIONS: usize = attendance_matching::DIMENSIONS;

/// Where a face is: pixels of the upright picture, origin at the top left, edges inside the picture.
///
/// As JSON it is `[top, right, bottom, left]`, the order that clients of the replaced service know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[i32; 4]", into = "[i32; 4]")]
#[allow(missing_docs)]
pub struct FaceBox {
    pub top: i32,
    pub right: i32,
    pub bottom: i32,
    pub left: i32,
}

impl From<[i32; 4]> for FaceBox {
    fn from([top, right, bottom, left]: [i32; 4]) -> Self {
        Self { top, right, bottom, left }
    }
}

impl From<FaceBox> for [i32; 4] {
    fn from(b: FaceBox) -> Self {
        [b.top, b.right, b.bottom, b.left]
    }
}

impl FaceBox {
    /// The area in pixels.
    #[must_use]
    pub fn area(&self) -> i64 {
        i64::from(self.right - self.left) * i64::from(self.bottom - self.top)
    }
}

/// The size of the upright picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameSize {
    /// Width.
    #[serde(rename = "w")]
    pub width: u32,
    /// Height.
    #[serde(rename = "h")]
    pub height: u32,
}

/// 128 finite numbers that describe a face; the Euclidean distance of two tells how alike the faces are.
#[derive(Clone, PartialEq)]
pub struct Embedding(Box<[f32; DIMENSIONS]>);

/// A list of numbers is no [`Embedding`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an embedding is 128 finite numbers")]
pub struct InvalidEmbedding;

impl Embedding {
    /// Returns the embedding made of these numbers.
    ///
    /// # Errors
    /// [`InvalidEmbedding`] where they are not 128 or not all finite.
    pub fn new(values: &[f32]) -> Result<Self, InvalidEmbedding> {
        let array: [f32; DIMENSIONS] = values.try_into().map_err(|_| InvalidEmbedding)?;
        if !array.iter().all(|v| v.is_finite()) {
            return Err(InvalidEmbedding);
        }
        Ok(Self(Box::new(array)))
    }

    /// The numbers.
    #[must_use]
    pub fn values(&self) -> &[f32; DIMENSIONS] {
        &self.0
    }

    /// The Euclidean distance to another embedding of the same model: smaller is more alike, 0 is equal.
    #[must_use]
    pub fn distance(&self, other: &Self) -> f32 {
        squared_distance(&self.0, &other.0).sqrt()
    }

    /// The numbers as 512 bytes, little-endian, as the stores keep them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    /// Returns the embedding that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`InvalidEmbedding`] where the bytes are not 512 or hold a number that is not finite.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidEmbedding> {
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(InvalidEmbedding);
        }
        Self::new(&words.iter().map(|w| f32::from_le_bytes(*w)).collect::<Vec<_>>())
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding([{}, ..])", self.0[0])
    }
}

/// Names the model that made an embedding, for instance `dlib-resnet-v1`. Embeddings of two models are never compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ModelId(String);

impl ModelId {
    /// The model of this name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The SHA-256 of a picture's bytes: what makes two uploads the same picture. Displayed as 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PhotoDigest([u8; 32]);

impl PhotoDigest {
    /// The digest of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for PhotoDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The picture formats that are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum PhotoFormat {
    Jpeg,
    Png,
    WebP,
}

impl PhotoFormat {
    /// The file extension, without a dot.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
        }
    }
}

/// A face found in a picture.
#[derive(Debug, Clone)]
pub struct Face {
    /// Where it is.
    pub face_box: FaceBox,
    /// What it looks like.
    pub embedding: Embedding,
    /// The aligned face as a JPEG of 150 x 150 pixels, where the scan was for an enrolment.
    pub crop: Option<Bytes>,
}

/// What an engine saw in one picture.
#[derive(Debug, Clone)]
pub struct Scan {
    /// The upright picture's size.
    pub size: FrameSize,
    /// The format the bytes were in.
    pub format: PhotoFormat,
    /// The faces, most confident detection first.
    pub faces: Vec<Face>,
    /// The side in pixels of the smallest face that was looked for: more than usual in a picture so large that it was looked
    /// at in a smaller size.
    pub min_size: u32,
}
