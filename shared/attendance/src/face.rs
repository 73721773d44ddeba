use std::fmt;

use attendance_matching::{DIMENSIONS, squared_distance};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// Where a face is: pixels of the upright picture, origin at the top left, edges inside the picture.
///
/// As an array it is `[top, right, bottom, left]`, the order that clients of the replaced service know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Returns the area in pixels.
    #[must_use]
    pub fn area(&self) -> i64 {
        i64::from(self.right - self.left) * i64::from(self.bottom - self.top)
    }
}

/// The size of the upright picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameSize {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Finite numbers that describe a face, as many as its [`ModelId`] says; the Euclidean distance of two from one model
/// tells how alike the faces are.
#[derive(Clone, PartialEq)]
pub struct Embedding(Box<[f32]>);

/// Numbers or bytes are no [`Embedding`], or not one of the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmbedding {
    /// A number is infinite or not a number, or there is none.
    #[error("an embedding is made of finite numbers")]
    NotFinite,
    /// Bytes that are not 32-bit numbers.
    #[error("{0} bytes are no 32-bit numbers")]
    Bytes(usize),
    /// As many numbers as another model's embeddings have.
    #[error("an embedding of {model} is {expected} numbers, not {found}")]
    Dimensions {
        /// The model's name.
        model: String,
        /// Its dimensions.
        expected: usize,
        /// The dimensions found.
        found: usize,
    },
}

impl Embedding {
    /// Returns the embedding made of these numbers, of whatever model. [`ModelId::embedding`] also checks how many they are.
    ///
    /// # Errors
    /// [`InvalidEmbedding::NotFinite`].
    pub fn new(values: &[f32]) -> Result<Self, InvalidEmbedding> {
        match !values.is_empty() && values.iter().all(|v| v.is_finite()) {
            true => Ok(Self(values.into())),
            false => Err(InvalidEmbedding::NotFinite),
        }
    }

    /// Returns the numbers.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.0
    }

    /// Returns the Euclidean distance to another embedding of the same model: smaller is more alike, 0 is equal.
    ///
    /// # Panics
    /// If one has not the dimensions that the search is compiled for ([`Gallery::holds`](crate::Gallery::holds)).
    #[must_use]
    pub fn distance(&self, other: &Self) -> f32 {
        squared_distance(self.array(), other.array()).sqrt()
    }

    /// Returns the numbers as the search takes them.
    pub(crate) fn array(&self) -> &[f32; DIMENSIONS] {
        self.values().try_into().expect("`Gallery::holds` was asked about the model")
    }

    /// Returns the numbers as bytes, four each, little-endian, as the stores keep them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    /// Returns the embedding that [`to_bytes`](Self::to_bytes) wrote, of whatever model. [`ModelId::read_embedding`] also
    /// checks how many numbers there are.
    ///
    /// # Errors
    /// [`InvalidEmbedding::Bytes`] or [`InvalidEmbedding::NotFinite`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, InvalidEmbedding> {
        let (words, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(InvalidEmbedding::Bytes(bytes.len()));
        }
        Self::new(&words.iter().map(|w| f32::from_le_bytes(*w)).collect::<Vec<_>>())
    }
}

impl fmt::Debug for Embedding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Embedding([{}, ..])", self.0[0])
    }
}

/// Names the model that made an embedding, for instance `dlib-resnet-v1`, and says how many numbers its embeddings have.
/// Embeddings of two models are never compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelId {
    name: String,
    dimensions: usize,
}

impl ModelId {
    /// Returns the model of this name, whose embeddings have this many numbers.
    #[must_use]
    pub fn new(name: impl Into<String>, dimensions: usize) -> Self {
        Self { name: name.into(), dimensions }
    }

    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns how many numbers an embedding of this model has.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Returns how many bytes [`Embedding::to_bytes`] makes of an embedding of this model.
    #[must_use]
    pub fn embedding_bytes(&self) -> usize {
        self.dimensions * size_of::<f32>()
    }

    /// Returns the embedding of this model that these numbers are.
    ///
    /// # Errors
    /// [`InvalidEmbedding`].
    pub fn embedding(&self, values: &[f32]) -> Result<Embedding, InvalidEmbedding> {
        self.check(Embedding::new(values)?)
    }

    /// Returns the embedding of this model that [`Embedding::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`InvalidEmbedding`].
    pub fn read_embedding(&self, bytes: &[u8]) -> Result<Embedding, InvalidEmbedding> {
        self.check(Embedding::from_bytes(bytes)?)
    }

    fn check(&self, embedding: Embedding) -> Result<Embedding, InvalidEmbedding> {
        match embedding.0.len() {
            found if found == self.dimensions => Ok(embedding),
            found => Err(InvalidEmbedding::Dimensions { model: self.name.clone(), expected: self.dimensions, found }),
        }
    }
}

/// The SHA-256 of a picture's bytes: what makes two uploads the same picture. Displayed as 64 lower-case hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PhotoDigest([u8; 32]);

impl PhotoDigest {
    /// Returns the digest of these bytes.
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
    /// Returns the file extension, without a dot.
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
    /// The aligned face as a JPEG of 150 x 150 pixels, if the scan was for an enrolment.
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
